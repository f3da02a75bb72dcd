"""One song drawn from the library: score, key, tempo, groove, instruments, voice, and who plays when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from plugin_bridge.training.composer_kit import ROLES, Kit, drawn_kit
from plugin_bridge.training.composer_library import Groove, Library
from plugin_bridge.training.composer_midi import (
    BAR,
    Key,
    Note,
    Score,
    excerpt,
    key_of,
    on_the_bar,
    part,
    pitch_classes,
    read_score,
    steps_between,
    stretched,
    transposed,
)
from plugin_bridge.training.composer_parts import (
    BASS_STYLES,
    arpeggio,
    bass_line,
    chords,
    drawn_sections,
    humanised,
    pad,
    strummed,
    within,
)
from plugin_bridge.training.composer_samples import RATE, Sampled, load
from plugin_bridge.training.composer_soundfont import Soundfont
from plugin_bridge.training.composer_sources import Source, Use
from plugin_bridge.training.composer_vocals import Placed, Singer, chroma, heard_key, placed

# General MIDI programs from 0 by what they play. Choirs and voices are left out: they are neither stem.
CHORD_PROGRAMS = (0, 1, 2, 4, 5, 6, 7, 16, 17, 18, 19, 21, 24, 25, 26, 27, 28)
PAD_PROGRAMS = (44, 48, 49, 50, 51, 61, 62, 63, 88, 89, 90, 92, 93, 94, 95)
LEAD_PROGRAMS = (11, 22, 26, 29, 30, 40, 56, 57, 59, 60, 64, 65, 66, 68, 71, 73, 75, 80, 81, 84, 87)
PLUCK_PROGRAMS = (8, 11, 12, 13, 24, 25, 45, 46, 80, 81, 87, 88, 98, 104, 107)
BASS_PROGRAMS = (32, 33, 34, 35, 36, 37, 38, 39)
DRUM_PROGRAMS = (0, 8, 16, 24, 25, 32, 40)
TEMPO_RANGE_BPM = (70.0, 170.0)

TRACK_CHANCE = 0.12


@dataclass(frozen=True)
class Recording:
    """A part of a recording of one instrument, from a second on, so many semitones higher."""

    source: Source
    path: Path
    start_seconds: float
    semitones: int


Instrument = Sampled | tuple[Soundfont, int] | Recording


@dataclass(frozen=True)
class Layer:
    """One instrument of the stem `other`: its notes, its level, its place between left and right."""

    part: str
    instrument: Instrument = field(hash=False)
    notes: tuple[Note, ...] = field(repr=False)
    level_db: float
    pan: float
    driven: bool = False


@dataclass(frozen=True)
class Arrangement:
    """Everything that is decided before a sound is made; times in beats."""

    facts: dict[str, Any]
    tempo_bpm: float
    beats: float
    drums: tuple[Note, ...]
    kit: Kit | tuple[Soundfont, int]
    bass: tuple[Note, ...]
    bass_instrument: Instrument
    layers: tuple[Layer, ...]
    singer: Singer
    phrases: tuple[Placed, ...]
    vocal_semitones: float
    uses: frozenset[Use]


def arrange(library: Library, draw: np.random.Generator, seconds: float) -> Arrangement:
    """A song of about so many seconds, whole bars of them."""
    singer = _drawn_singer(library, draw)
    source, path = library.scores[int(draw.integers(len(library.scores)))]
    score = on_the_bar(read_score(path))
    shift = int(draw.integers(-2, 3))
    tempo_bpm = _drawn_tempo(singer, score, draw)
    bars = max(4, round(seconds * tempo_bpm / 60 / BAR))
    parts, transposition = _fitted_parts(score, singer, shift, tempo_bpm, bars, draw)
    groove, drums = _drawn_drums(library, tempo_bpm, bars, draw)
    kit = _drawn_kit(library, draw)
    harmony = chords(parts["harmony"], bars * BAR)
    kicks = [note.beat for note in drums if ROLES.get(note.pitch) == "kick"]
    style = str(draw.choice(BASS_STYLES))
    bass = within(bass_line(harmony, kicks, style, draw), drawn_sections(bars, 0.93, draw))
    phrases = placed(singer, tempo_bpm, bars * BAR, draw)
    uses = {Use("score", source.name, source.licence, path.name)}
    uses.add(Use("drums", groove.source.name, groove.source.licence, groove.path.name))
    bass_instrument = _drawn_instrument(library.basses, library.fonts, BASS_PROGRAMS, draw)
    layers = _layers(library, parts, harmony, bars, draw)
    if library.tracks and draw.random() < TRACK_CHANCE:
        layers.append(
            _track(library, key_of(pitch_classes(parts["harmony"])), bars * BAR * 60 / tempo_bpm, draw)
        )
    return Arrangement(
        facts={
            "score": path.name,
            "transposition": transposition,
            "groove": groove.path.name,
            "kit": "assembled" if isinstance(kit, Kit) else spoken(kit),
            "bass": f"{spoken(bass_instrument)}, {style}",
            "other": [f"{layer.part}: {spoken(layer.instrument)}" for layer in layers],
            "tempo_bpm": round(tempo_bpm, 2),
            "bars": bars,
            "singer": singer.name,
            "vocals_shifted": shift,
        },
        tempo_bpm=tempo_bpm,
        beats=bars * BAR,
        drums=tuple(within(drums, drawn_sections(bars, 0.93, draw))),
        kit=kit,
        bass=tuple(humanised(bass, draw)),
        bass_instrument=bass_instrument,
        layers=tuple(layers),
        singer=singer,
        phrases=tuple(phrases),
        vocal_semitones=float(shift),
        uses=frozenset(uses),
    )


def spoken(instrument: Instrument) -> str:
    """An instrument in words."""
    if isinstance(instrument, tuple):
        return f"{instrument[0].path.stem} program {instrument[1]}"
    return instrument.source.name


def _drawn_singer(library: Library, draw: np.random.Generator) -> Singer:
    shares = {singer.source.name: singer.source.share for singer in library.singers}
    weights = np.array(list(shares.values()))
    name = list(shares)[int(draw.choice(len(shares), p=weights / weights.sum()))]
    own = [singer for singer in library.singers if singer.source.name == name]
    return own[int(draw.integers(len(own)))]


def _drawn_tempo(singer: Singer, score: Score, draw: np.random.Generator) -> float:
    tempo_bpm = singer.tempo_bpm or score.tempo_bpm
    while tempo_bpm < TEMPO_RANGE_BPM[0]:
        tempo_bpm *= 2
    while tempo_bpm > TEMPO_RANGE_BPM[1]:
        tempo_bpm /= 2
    return float(np.clip(tempo_bpm * draw.uniform(0.88, 1.1), *TEMPO_RANGE_BPM))


def _fitted_parts(
    score: Score, singer: Singer, shift: int, tempo_bpm: float, bars: int, draw: np.random.Generator
) -> tuple[dict[str, list[Note]], int]:
    """Harmony, melody and second line in the singer's key and at about their own speed; the transposition."""
    factor = min((0.5, 1.0, 2.0), key=lambda f: abs(np.log(score.tempo_bpm * f / tempo_bpm)))
    everything = [note for notes in score.parts.values() for note in notes]
    wanted = singer.key or heard_key(singer.phrases)
    transposition = steps_between(key_of(pitch_classes(everything)), wanted) + shift
    last = max(0, int(score.beats * factor // BAR) - bars)
    first = min(last, int(min((note.beat for note in everything), default=0) * factor // BAR) + 1)
    start = BAR * float(draw.integers(first, last + 1))
    longest = max(score.parts, key=lambda name: len(score.parts[name]))
    chosen = {
        "harmony": part(score, "piano") or score.parts[longest],
        "melody": part(score, "melody"),
        "second": part(score, "bridge"),
    }
    cut = {name: excerpt(stretched(notes, factor), start, bars * BAR) for name, notes in chosen.items()}
    if not cut["harmony"]:  # the excerpt fell into a rest: any notes are better than none
        cut["harmony"] = excerpt(stretched(everything, factor), 0, bars * BAR)
    return {name: transposed(notes, transposition) for name, notes in cut.items()}, transposition


def _drawn_drums(
    library: Library, tempo_bpm: float, bars: int, draw: np.random.Generator
) -> tuple[Groove, list[Note]]:
    """A beat gone round for as long as the song lasts, with a fill in every eighth bar or so."""
    beats = [groove for groove in library.grooves if not groove.fill]
    near = [groove for groove in beats if 0.8 < groove.tempo_bpm / tempo_bpm < 1.25]
    pool = near or sorted(beats, key=lambda groove: abs(groove.tempo_bpm - tempo_bpm))[:20]
    groove = pool[int(draw.integers(len(pool)))]
    notes = _round(_performed(groove), bars, draw)
    fills = [fill for fill in library.grooves if fill.fill and fill.style == groove.style]
    for bar in range(7, bars, 8):
        if fills and draw.random() < 0.6:
            played = _performed(fills[int(draw.integers(len(fills)))])
            notes = [note for note in notes if not bar <= note.beat / BAR < bar + 1]
            notes += _placed_at(excerpt(played, 0, BAR), bar * BAR)
    return groove, sorted(notes, key=lambda note: (note.beat, note.pitch))


def _performed(groove: Groove) -> list[Note]:
    return [note for notes in read_score(groove.path).parts.values() for note in notes]


def _round(notes: Sequence[Note], bars: int, draw: np.random.Generator) -> list[Note]:
    """The performance from one of its bars on, repeated until the song ends."""
    length = max(1, round(max((note.beat for note in notes), default=0.0) / BAR))
    first = int(draw.integers(0, max(1, length - bars + 1)))
    out: list[Note] = []
    for bar in range(0, bars, length):
        played = excerpt(notes, first * BAR, min(length, bars - bar) * BAR)
        out += _placed_at(played, bar * BAR)
    return out


def _placed_at(notes: Sequence[Note], beat: float) -> list[Note]:
    return [Note(note.beat + beat, note.beats, note.pitch, note.velocity) for note in notes]


def _drawn_kit(library: Library, draw: np.random.Generator) -> Kit | tuple[Soundfont, int]:
    own = {"kick", "snare"} <= library.drums.keys()
    if library.fonts and (not own or draw.random() < 0.35):
        font = library.fonts[int(draw.integers(len(library.fonts)))]
        return font, int(draw.choice(DRUM_PROGRAMS))
    return drawn_kit(library.drums, draw)


def _drawn_instrument(
    sampled: Sequence[Sampled], fonts: Sequence[Soundfont], programs: Sequence[int], draw: np.random.Generator
) -> Instrument:
    if sampled and (not fonts or draw.random() < 0.45):
        return sampled[int(draw.integers(len(sampled)))]
    return fonts[int(draw.integers(len(fonts)))], int(draw.choice(programs))


def _layers(
    library: Library,
    parts: dict[str, list[Note]],
    harmony: Sequence[Any],
    bars: int,
    draw: np.random.Generator,
) -> list[Layer]:
    """The instruments of `other`: the harmony always, each of the rest by chance."""
    step = float(draw.choice([0.25, 0.5]))
    plans: list[tuple[str, float, tuple[int, ...], Callable[[], list[Note]]]] = [
        ("harmony", 1.0, CHORD_PROGRAMS, lambda: strummed(parts["harmony"], draw)),
        ("pad", 0.45, PAD_PROGRAMS, lambda: pad(harmony)),
        ("arpeggio", 0.35, PLUCK_PROGRAMS, lambda: arpeggio(harmony, step, draw)),
        ("second", 0.5, LEAD_PROGRAMS, lambda: parts["second"]),
        ("melody", 0.3, LEAD_PROGRAMS, lambda: parts["melody"]),
    ]
    found = []
    for name, chance, programs, make in plans:
        if draw.random() >= chance:
            continue
        held = name == "pad"
        instrument = _drawn_instrument(
            [] if held and library.fonts else library.keys, library.fonts, programs, draw
        )
        plays = drawn_sections(bars, 0.95 if name == "harmony" else 0.6, draw)
        notes = tuple(humanised(within(make(), plays), draw))
        level_db = 0.0 if name == "harmony" else float(draw.uniform(-12, 0))
        driven = bool(isinstance(instrument, Sampled) and draw.random() < 0.35)
        if notes:
            found.append(Layer(name, instrument, notes, level_db, float(draw.uniform(-0.7, 0.7)), driven))
    return found


def _track(library: Library, key: Key, seconds: float, draw: np.random.Generator) -> Layer:
    """A recording of one instrument under the song, brought to its key but not to its tempo."""
    source, path = library.tracks[int(draw.integers(len(library.tracks)))]
    audio = load(path)
    start_seconds = float(draw.uniform(0, max(0.0, audio.shape[-1] / RATE - seconds)))
    piece = audio[:, round(start_seconds * RATE) :][:, : round(seconds * RATE)].mean(0)
    semitones = steps_between(key_of(chroma(piece)), key)
    recording = Recording(source, path, start_seconds, semitones)
    return Layer("track", recording, (), float(draw.uniform(-8, 0)), float(draw.uniform(-0.5, 0.5)))
