"""MIDI files as notes in beats, on the grid of the bar, and the key that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

BAR = 4.0
"""Beats of a bar: only music in four is composed."""

# How well a pitch class fits a major and a minor key on C: Krumhansl and Kessler, Psychological Review 89
# (1982), "Tracing the dynamic changes in perceived tonal organization", as used for key finding since.
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


@dataclass(frozen=True)
class Note:
    """A note: start and length in beats, MIDI pitch and velocity."""

    beat: float
    beats: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Score:
    """A song's parts by name, aligned so that beat 0 begins a bar."""

    path: Path
    parts: dict[str, list[Note]]
    tempo_bpm: float

    @property
    def beats(self) -> float:
        """Beats until the last note ends."""
        return max((note.beat + note.beats for notes in self.parts.values() for note in notes), default=0.0)


@dataclass(frozen=True)
class Key:
    """A tonic, 0 for C to 11 for B, major or minor."""

    tonic: int
    minor: bool


def read_score(path: Path) -> Score:
    """The parts of a MIDI file by the names of its tracks, with beat 0 moved to the start of a bar.

    Raises `ValueError` where it is not a MIDI file or holds no notes.
    """
    try:
        file = mido.MidiFile(path)
    except (OSError, ValueError, EOFError, IndexError, KeyError) as error:
        raise ValueError(f"{path} must be a MIDI file, got '{error or type(error).__name__}'") from error
    parts: dict[str, list[Note]] = {}
    tempos = [message.tempo for track in file.tracks for message in track if message.type == "set_tempo"]
    for number, track in enumerate(file.tracks):
        if notes := _notes(track, max(1, file.ticks_per_beat)):
            parts.setdefault(track.name.strip() or f"track {number}", []).extend(notes)
    if not parts:
        raise ValueError(f"{path} must hold notes, got none")
    tempo_bpm = float(np.median([mido.tempo2bpm(tempo) for tempo in tempos])) if tempos else 120.0
    return Score(path, parts, tempo_bpm)


def on_the_bar(score: Score) -> Score:
    """The same score moved by less than a bar, so that its accents fall where a bar has them.

    Low and loud notes tend to fall on the first beat, then the third, the second and fourth, and eighths.
    """
    steps = 16 * int(BAR)
    onsets = np.zeros(steps)
    for note in (note for notes in score.parts.values() for note in notes):
        onsets[round(note.beat * 16) % steps] += note.velocity / 127 * (3.0 if note.pitch < 52 else 1.0)
    accents = np.zeros(steps)
    for period, weight in ((8, 1.0), (16, 1.0), (32, 1.0), (64, 1.0)):
        accents[::period] += weight
    fit = [float(np.dot(np.roll(accents, shift), onsets)) for shift in range(steps)]
    offset = float(np.argmax(fit)) / 16
    moved = {
        name: [replace(note, beat=note.beat - offset) for note in notes]
        for name, notes in score.parts.items()
    }
    return replace(score, parts=moved)


def excerpt(notes: Iterable[Note], start: float, beats: float) -> list[Note]:
    """The notes that start within a stretch of beats, counted from its start, cut at its end."""
    return [
        replace(note, beat=note.beat - start, beats=min(note.beats, start + beats - note.beat))
        for note in notes
        if start <= note.beat < start + beats
    ]


def stretched(notes: Iterable[Note], factor: float) -> list[Note]:
    """The notes with every time multiplied."""
    return [replace(note, beat=note.beat * factor, beats=note.beats * factor) for note in notes]


def transposed(notes: Iterable[Note], semitones: int) -> list[Note]:
    """The notes so many semitones higher, those that MIDI cannot say left out."""
    moved = (replace(note, pitch=note.pitch + semitones) for note in notes)
    return [note for note in moved if 0 <= note.pitch <= 127]


def pitch_classes(notes: Iterable[Note]) -> NDArray[np.float64]:
    """Beats spent on each pitch class. Shape: `(12,)`."""
    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += min(note.beats, BAR)
    return weights


def key_of(weights: NDArray[np.float64]) -> Key:
    """The key whose profile correlates best with the weights of the pitch classes.

    >>> key_of(np.array([3, 0, 1, 0, 2, 1, 0, 3, 0, 1, 0, 1.0]))
    Key(tonic=0, minor=False)
    """
    if np.ptp(weights) == 0:
        return Key(0, False)
    fits = {
        Key(tonic, minor): float(np.corrcoef(np.roll(profile, tonic), weights)[0, 1])
        for minor, profile in ((False, MAJOR), (True, MINOR))
        for tonic in range(12)
    }
    return max(fits, key=lambda key: fits[key])


def steps_between(key: Key, wanted: Key) -> int:
    """The least transposition, -5 to 6 semitones, that brings one key to another or to its relative.

    >>> steps_between(Key(0, False), Key(9, True))  # C major to A minor: the same notes
    0
    """
    tonic = key.tonic
    if key.minor != wanted.minor:
        tonic += 3 if key.minor else -3
    return (wanted.tonic - tonic + 5) % 12 - 5


def part(score: Score, *names: str) -> list[Note]:
    """The first part of one of these names, however they are written; none where it has none."""
    for name in names:
        for own, notes in score.parts.items():
            if own.lower() == name.lower():
                return notes
    return []


def write_midi(path: Path, channels: Sequence[tuple[int, int, Sequence[Note]]], tempo_bpm: float) -> None:
    """A MIDI file of `(channel, program, notes)` at one tempo, for a synthesizer to play."""
    file = mido.MidiFile(ticks_per_beat=960)
    header = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_bpm))])
    file.tracks.append(header)
    for channel, program, notes in channels:
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        events = [(max(0.0, note.beat), 1, note) for note in notes]
        events += [(max(0.0, note.beat + note.beats), 0, note) for note in notes]
        ticks = 0
        for beat, on, note in sorted(events, key=lambda event: (event[0], event[1], event[2].pitch)):
            now = round(beat * 960)
            velocity = note.velocity if on else 0
            track.append(
                mido.Message("note_on", channel=channel, note=note.pitch, velocity=velocity, time=now - ticks)
            )
            ticks = now
        file.tracks.append(track)
    file.save(path)


def _notes(track: mido.MidiTrack, ticks_per_beat: int) -> list[Note]:
    now, notes = 0, []
    held: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        place = (message.channel, message.note)
        if message.type == "note_on" and message.velocity:
            held.setdefault(place, []).append((now, message.velocity))
        elif held.get(place):
            began, velocity = held[place].pop(0)
            notes.append(Note(began / ticks_per_beat, (now - began) / ticks_per_beat, message.note, velocity))
    return sorted(notes, key=lambda note: (note.beat, note.pitch))
