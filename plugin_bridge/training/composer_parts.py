"""Parts made of a score: a bass line under its chords, held and broken chords, and which bars they play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plugin_bridge.training.composer_midi import BAR, Note

HALF = BAR / 2
BASS_RANGE = (26, 38)
"""Lowest and highest root of a bass line: D1 to D2."""
BASS_STYLES = ("held", "quarters", "eighths", "octaves", "kick", "root and fifth")


@dataclass(frozen=True)
class Chord:
    """What sounds from a beat on: its pitches, lowest first."""

    beat: float
    beats: float
    pitches: tuple[int, ...]


def chords(notes: Sequence[Note], beats: float) -> list[Chord]:
    """The pitches of a harmony part by half bars; a half bar without notes keeps the chord before it."""
    found: list[Chord] = []
    before: tuple[int, ...] = ()
    for beat in np.arange(0, beats, HALF):
        inside = {n.pitch for n in notes if n.beat < beat + HALF - 0.2 and n.beat + n.beats > beat + 0.2}
        before = tuple(sorted(inside)) or before
        if before:
            found.append(Chord(float(beat), HALF, before))
    return found


def bass_line(
    harmony: Sequence[Chord], kicks: Sequence[float], style: str, draw: np.random.Generator
) -> list[Note]:
    """Roots below the chords, in one of `BASS_STYLES`; kicks are the beats of the bass drum."""
    line: list[Note] = []
    for number, chord in enumerate(harmony):
        root = _bass_pitch(chord.pitches[0])
        following = harmony[number + 1].pitches[0] if number + 1 < len(harmony) else chord.pitches[0]
        figure = _figure(style, chord, root, kicks)
        if len(figure) > 1 and draw.random() < 0.15:
            figure[-1] = replace(figure[-1], pitch=_bass_pitch(following) + int(draw.choice([-2, -1, 1, 2])))
        line += figure
    return [replace(note, velocity=int(np.clip(draw.normal(note.velocity, 8), 30, 127))) for note in line]


def pad(harmony: Sequence[Chord], low: int = 48) -> list[Note]:
    """Chords held as long as they last, at most four voices around the middle of the keyboard."""
    notes: list[Note] = []
    for chord in harmony:
        voiced = sorted({low + (pitch - low) % 12 for pitch in chord.pitches})[:4]
        last = notes[-len(voiced) :] if notes else []
        if [note.pitch for note in last] == voiced and last[0].beat + last[0].beats >= chord.beat:
            notes[-len(voiced) :] = [replace(note, beats=note.beats + chord.beats) for note in last]
        else:
            notes += [Note(chord.beat, chord.beats, pitch, 80) for pitch in voiced]
    return notes


def arpeggio(harmony: Sequence[Chord], step: float, draw: np.random.Generator, low: int = 60) -> list[Note]:
    """Chords broken into one note at a time, up, down or in a drawn order that stays."""
    order = int(draw.integers(3))
    shuffle = draw.permutation(8)
    notes = []
    for chord in harmony:
        tones = sorted({low + (pitch - low) % 12 for pitch in chord.pitches})
        tones += [tones[0] + 12]
        for number in range(round(chord.beats / step)):
            index = (number, -1 - number, int(shuffle[number % 8]))[order] % len(tones)
            velocity = 95 if number == 0 else 78
            notes.append(Note(chord.beat + number * step, step * 0.95, tones[index], velocity))
    return notes


def strummed(notes: Sequence[Note], draw: np.random.Generator, beats_between: float = 0.03) -> list[Note]:
    """Notes struck together set apart by a little, from the lowest up or from the highest down."""
    out: list[Note] = []
    together: list[Note] = []
    for note in [*sorted(notes, key=lambda n: (n.beat, n.pitch)), Note(1e9, 1, 0, 1)]:
        if together and note.beat - together[0].beat > 0.05:
            if draw.random() < 0.3:
                together.reverse()
            out += [replace(one, beat=one.beat + beats_between * i) for i, one in enumerate(together)]
            together = []
        together.append(note)
    return out


def humanised(notes: Sequence[Note], draw: np.random.Generator, beats: float = 0.012) -> list[Note]:
    """Notes a little early, late, softer and louder than written."""
    moves, touches = draw.normal(0, beats, len(notes)), draw.normal(0, 6, len(notes))
    return [
        replace(note, beat=max(0.0, note.beat + move), velocity=int(np.clip(note.velocity + touch, 20, 127)))
        for note, move, touch in zip(notes, moves, touches, strict=True)
    ]


def drawn_sections(bars: int, chance: float, draw: np.random.Generator) -> list[bool]:
    """For each bar whether a part plays: the same for four or eight bars on end, and never nowhere."""
    length = int(draw.choice([4, 8]))
    plays = [bool(draw.random() < chance) for _ in range(0, bars, length)]
    if not any(plays):
        plays[int(draw.integers(len(plays)))] = True
    return [plays[bar // length] for bar in range(bars)]


def within(notes: Sequence[Note], plays: Sequence[bool]) -> list[Note]:
    """The notes that start in a bar in which their part plays."""
    return [note for note in notes if 0 <= note.beat < BAR * len(plays) and plays[int(note.beat // BAR)]]


def _bass_pitch(pitch: int) -> int:
    low, high = BASS_RANGE
    return low + (pitch - low) % 12 if pitch > high or pitch < low else pitch


def _figure(style: str, chord: Chord, root: int, kicks: Sequence[float]) -> list[Note]:
    start, beats = chord.beat, chord.beats
    if style == "quarters":
        return [Note(start + beat, 0.9, root, 95) for beat in np.arange(0, beats, 1.0)]
    if style == "eighths":
        return [
            Note(start + beat, 0.45, root, 95 if beat % 1 == 0 else 82) for beat in np.arange(0, beats, 0.5)
        ]
    if style == "octaves":
        return [
            Note(start + beat, 0.45, root + 12 * int(beat % 1 > 0), 95) for beat in np.arange(0, beats, 0.5)
        ]
    if style == "root and fifth":
        return [Note(start, 1.4, root, 98), Note(start + 1.5, 0.45, root + 7, 85)]
    if style == "kick":
        inside = sorted(
            {round(kick * 4) / 4 for kick in kicks if start <= round(kick * 4) / 4 < start + beats}
        )
        ends = [*inside[1:], start + beats]
        figure = [Note(beat, (end - beat) * 0.9, root, 98) for beat, end in zip(inside, ends, strict=False)]
        return figure or [Note(start, beats * 0.95, root, 90)]
    return [Note(start, beats * 0.97, root, 95)]
