"""The sounds of speech that the singer knows, and when each of a phrase's sounds begins and ends."""

from __future__ import annotations

from dataclasses import dataclass

from demo_song.score import Phrase, Syllable, beat_seconds


@dataclass(frozen=True)
class Sound:
    """A speech sound: where the mouth resonates, what the voice does, what noise it makes.

    `formants_hz` of None keeps the neighbour's mouth. A `noise` is (low_hz, high_hz, level_db); with
    `burst` it comes as a stop's short explosion at the end, after silence.
    """

    formants_hz: tuple[float, float, float] | None = None
    voice_db: float = 0.0
    breath_db: float = -34.0
    seconds: float = 0.06
    noise: tuple[float, float, float] | None = None
    burst: bool = False


SILENT_DB = -80.0

# A woman's vowels, after the averages of G. Peterson and H. Barney (1952).
VOWELS = {
    "i": Sound((330, 2700, 3250)),
    "I": Sound((430, 2400, 3050)),
    "e": Sound((520, 2250, 3000)),
    "E": Sound((620, 2200, 2950)),
    "ae": Sound((830, 1950, 2850)),
    "a": Sound((860, 1230, 2800)),
    "O": Sound((620, 950, 2750)),
    "u": Sound((390, 980, 2650)),
    "V": Sound((760, 1380, 2780)),
    "@": Sound((540, 1550, 2800)),
}
DIPHTHONGS = {"eI": ("e", "i"), "aI": ("a", "I"), "OI": ("O", "I")}

CONSONANTS = {
    "m": Sound((280, 1050, 2500), voice_db=-9, seconds=0.085),
    "n": Sound((280, 1650, 2650), voice_db=-9, seconds=0.075),
    "l": Sound((360, 1150, 2900), voice_db=-5, seconds=0.065),
    "r": Sound((400, 1150, 1750), voice_db=-4, seconds=0.075),
    "w": Sound((320, 720, 2500), voice_db=-5, seconds=0.07),
    "j": Sound((320, 2600, 3200), voice_db=-4, seconds=0.06),
    "v": Sound((320, 1200, 2500), voice_db=-12, seconds=0.06, noise=(1500, 9000, -41)),
    "dh": Sound((320, 1500, 2700), voice_db=-11, seconds=0.05, noise=(2000, 9000, -42)),
    "z": Sound((310, 1700, 2700), voice_db=-15, seconds=0.085, noise=(4800, 11500, -28)),
    "s": Sound(None, SILENT_DB, -60, 0.105, (5200, 12000, -23)),
    "f": Sound(None, SILENT_DB, -50, 0.085, (1800, 11000, -34)),
    "th": Sound(None, SILENT_DB, -50, 0.08, (1800, 10000, -36)),
    "h": Sound(None, SILENT_DB, -15, 0.075),
    "p": Sound((350, 900, 2400), SILENT_DB, -55, 0.075, (400, 2500, -27), burst=True),
    "t": Sound((350, 1800, 2800), SILENT_DB, -55, 0.075, (3200, 9500, -21), burst=True),
    "k": Sound((350, 2000, 2600), SILENT_DB, -55, 0.08, (1500, 4500, -22), burst=True),
    "b": Sound((300, 900, 2400), -26, -60, 0.055, (350, 2000, -32), burst=True),
    "d": Sound((300, 1800, 2700), -24, -60, 0.055, (2800, 7000, -28), burst=True),
}


@dataclass(frozen=True)
class Segment:
    """One sound of a phrase, in seconds from the song's start."""

    sound: Sound
    start: float
    stop: float


def split(syllable: Syllable) -> tuple[list[Sound], list[Sound], list[Sound]]:
    """The consonants before the vowel, the vowel's one or two mouths, the consonants after it."""
    names = syllable.sounds.split()
    vowel = next(i for i, name in enumerate(names) if name not in CONSONANTS)
    mouths = [VOWELS[name] for name in DIPHTHONGS.get(names[vowel], (names[vowel],))]
    return [CONSONANTS[n] for n in names[:vowel]], mouths, [CONSONANTS[n] for n in names[vowel + 1 :]]


def segments(phrase: Phrase) -> list[Segment]:
    """The sounds of a phrase: a vowel starts on its beat, the consonants before it come ahead of the beat."""
    result: list[Segment] = []
    for i, syllable in enumerate(phrase):
        before, mouths, after = split(syllable)
        start, stop = beat_seconds(syllable.start), beat_seconds(syllable.stop)
        if i + 1 < len(phrase):
            stop = beat_seconds(phrase[i + 1].start) - sum(s.seconds for s in split(phrase[i + 1])[0])
        shrink = min(1.0, 0.4 * (stop - start) / sum(s.seconds for s in after)) if after else 1.0
        vowel_stop = stop - shrink * sum(s.seconds for s in after)
        clock = start - sum(s.seconds for s in before)
        plan = [(s, s.seconds) for s in before]
        if len(mouths) == 1:
            plan.append((mouths[0], vowel_stop - start))
        else:
            turn = start + 0.55 * (vowel_stop - start)  # where a diphthong turns
            plan += [(mouths[0], turn - start), (mouths[1], vowel_stop - turn)]
        plan += [(s, shrink * s.seconds) for s in after]
        for sound, seconds in plan:
            result.append(Segment(sound, clock, clock + seconds))
            clock += seconds
    return result
