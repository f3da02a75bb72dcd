"""What is played: tempo, chords, melody and words. Times are in beats, pitches are MIDI notes."""

from __future__ import annotations

from dataclasses import dataclass

BEATS_PER_MINUTE = 104.0
BEATS_PER_BAR = 4
ENDING_BEAT = 20.0  # one bar of intro and four of verse, then a last chord rings
LENGTH_SECONDS = 13.2


def beat_seconds(beat: float) -> float:
    """When a beat falls, in seconds from the start."""
    return beat * 60.0 / BEATS_PER_MINUTE


@dataclass(frozen=True)
class Chord:
    """A harmony held from one beat to another: a bass root, and the notes above it."""

    start: float
    stop: float
    root: int
    notes: tuple[int, ...]


CHORDS = (
    Chord(0, 4, 33, (57, 60, 64, 67)),  # Am7
    Chord(4, 8, 29, (57, 60, 64, 65)),  # Fmaj7
    Chord(8, 12, 36, (55, 60, 62, 64)),  # Cadd9
    Chord(12, 16, 31, (55, 59, 62, 67)),  # G
    Chord(16, 20, 33, (57, 60, 64, 67)),  # Am7
    Chord(20, 22.5, 29, (57, 60, 64, 67)),  # Fmaj9
)


@dataclass(frozen=True)
class Syllable:
    """One sung syllable: its sounds, when its vowel starts and ends, and the note or notes it is on.

    `notes` are pairs of (share of the syllable after which the note comes, MIDI note).
    """

    sounds: str
    start: float
    stop: float
    notes: tuple[tuple[float, int], ...]
    strength: float = 1.0


Phrase = tuple[Syllable, ...]
Notes = tuple[tuple[float, int], ...]


def line(first_beat: float, *rows: tuple[str, float, float, int | Notes, float]) -> Phrase:
    """A phrase from rows of sounds, start and stop after `first_beat`, note or notes, and strength."""
    return tuple(
        Syllable(
            sounds,
            start=first_beat + start,
            stop=first_beat + stop,
            notes=((0.0, notes),) if isinstance(notes, int) else notes,
            strength=strength,
        )
        for sounds, start, stop, notes, strength in rows
    )


# "Take the music all apart, every voice and every heart;
#  add them up and you will find nothing lost and none behind."
PHRASES = (
    line(
        4,
        ("t eI k", 0.0, 0.5, 69, 1.0),
        ("dh @", 0.5, 1.0, 67, 0.7),
        ("m j u", 1.0, 1.5, 69, 0.95),
        ("z I k", 1.5, 2.0, 72, 0.85),
        ("O l", 2.0, 2.5, 69, 1.0),
        ("@", 2.5, 2.75, 67, 0.7),
        ("p a r t", 2.75, 3.6, ((0.0, 67), (0.22, 64)), 1.0),
    ),
    line(
        8,
        ("E v", 0.0, 0.5, 67, 1.0),
        ("r i", 0.5, 1.0, 64, 0.75),
        ("v OI s", 1.0, 1.75, 67, 1.0),
        ("ae n d", 1.75, 2.0, 69, 0.75),
        ("E v", 2.0, 2.5, 67, 0.95),
        ("r i", 2.5, 2.75, 64, 0.75),
        ("h a r t", 2.75, 3.6, ((0.0, 62), (0.3, 64)), 1.0),
    ),
    line(
        12,
        ("ae d", 0.0, 0.5, 62, 0.9),
        ("dh E m", 0.5, 1.0, 64, 0.75),
        ("V p", 1.0, 1.5, 67, 1.0),
        ("ae n d", 1.5, 2.0, 69, 0.8),
        ("j u", 2.0, 2.5, 71, 1.0),
        ("w I l", 2.5, 2.75, 69, 0.85),
        ("f aI n d", 2.75, 3.6, ((0.0, 74), (0.35, 71)), 1.1),
    ),
    line(
        16,
        ("n V", 0.0, 0.5, 72, 1.1),
        ("th I n", 0.5, 1.0, 71, 0.85),
        ("l O s t", 1.0, 1.75, 69, 1.0),
        ("ae n d", 1.75, 2.0, 67, 0.75),
        ("n V n", 2.0, 2.5, 69, 1.0),
        ("b I", 2.5, 3.0, 67, 0.8),
        ("h aI n d", 3.0, 6.0, ((0.0, 67), (0.16, 69)), 1.1),
    ),
)

# A third above each note of the last line, within the key.
HARMONY = {62: 65, 64: 67, 65: 69, 67: 71, 69: 72, 71: 74, 72: 76, 74: 77}
