"""Instruments of recorded single notes: the nearest recording resampled to the pitch, by velocity."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio
from plugin_bridge.training.composer_midi import Note
from plugin_bridge.training.composer_sources import Source, Use
from plugin_bridge.training.datasets import Track, extent, read_track

RATE = 44100
"""Sample rate, in Hz, of everything that is composed."""
NOTE = re.compile(r"(?:^|[_\- ])([a-g])(b|#|s)?(-?\d)(?=[_\- .]|$)")
CLASSES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
DYNAMICS = {"pp": 0, "p": 1, "mp": 2, "m": 3, "mf": 3, "f": 4, "ff": 5}
RELEASE_SECONDS = 0.08


@dataclass(frozen=True)
class Sampled:
    """An instrument: for each pitch its recordings, softest first."""

    source: Source
    notes: dict[int, tuple[tuple[Path, ...], ...]] = field(hash=False)

    def play(
        self, notes: Sequence[Note], tempo_bpm: float, frames: int, draw: np.random.Generator, stem: str
    ) -> tuple[Audio, set[Use]]:
        """The notes on one channel, doubled. Shape: `(2, frames)`; and the recordings that were used.

        Notes more than four semitones outside the recorded range are moved into it by octaves.
        """
        out = np.zeros(frames, np.float32)
        uses: set[Use] = set()
        pitches = np.array(sorted(self.notes))
        for note in notes:
            pitch = _within(note.pitch, int(pitches[0]) - 4, int(pitches[-1]) + 4)
            nearest = int(pitches[np.argmin(np.abs(pitches - pitch))])
            path = _layer(self.notes[nearest], note.velocity, draw)
            sound = shifted(path, pitch - nearest)
            start = round(note.beat * 60 / tempo_bpm * RATE)
            _add(out, sound, start, round(note.beats * 60 / tempo_bpm * RATE), (note.velocity / 127) ** 1.5)
            uses.add(Use(stem, self.source.name, self.source.licence, path.name))
        return np.stack([out, out]), uses


def sampled_instrument(source: Source, paths: Sequence[Path]) -> Sampled | None:
    """The instrument that these files are, or None where no file is named by a note.

    Names say the note, but some count octaves one lower or higher than MIDI does: the octave is measured.
    """
    found: dict[int, dict[int, list[Path]]] = {}
    for path in paths:
        if (pitch := note_number(path.stem)) is not None:
            found.setdefault(pitch, {}).setdefault(_dynamics(path.stem), []).append(path)
    if not found:
        return None
    octave = _octave(found) if source.octave is None else 12 * source.octave
    notes = {
        pitch + octave: tuple(tuple(layers[level]) for level in sorted(layers))
        for pitch, layers in sorted(found.items())
    }
    return Sampled(source, notes)


def note_number(name: str) -> int | None:
    """The MIDI pitch that a file's name says, middle C being c4.

    >>> note_number("twang_eb3_f_rr1"), note_number("scrape_1_rr1")
    (51, None)
    """
    match = NOTE.search(name.lower())
    if match is None:
        return None
    letter, accidental, octave = match.groups()
    return CLASSES[letter] + {None: 0, "b": -1, "#": 1, "s": 1}[accidental] + 12 * (int(octave) + 1)


def load(path: Path) -> Audio:
    """A recording at the composer's rate, silence at its start removed, at its own level.

    Shape: `(channels, frames)`, one channel or two.
    """
    audio = read_track(Track(path))[:2]
    _, rate = extent(Track(path))
    if rate != RATE:
        audio = soxr.resample(audio.T, rate, RATE, quality="HQ").T
    loud = np.abs(audio).max(0) > 0.01 * np.abs(audio).max(initial=0.0)
    start = int(np.argmax(loud)) if loud.any() else 0
    return np.ascontiguousarray(audio[:, max(0, start - 32) :], np.float32)


@lru_cache(maxsize=4096)
def shifted(path: Path, semitones: int) -> Audio:
    """A recording's mono sum at peak 1, resampled to sound so many semitones higher. Shape: `(frames,)`."""
    mono = load(path).mean(0)
    peak = float(np.abs(mono).max(initial=0.0))
    mono = mono / peak if peak else mono
    if semitones:
        mono = soxr.resample(mono, RATE * 2 ** (semitones / 12), RATE, quality="MQ")
    return np.ascontiguousarray(mono, np.float32)


def fundamental_hz(audio: Audio) -> float:
    """The pitch of a steady tone, by its autocorrelation. Shape: `(frames,)`."""
    piece = audio[int(0.15 * RATE) : int(0.15 * RATE) + 32768]
    if len(piece) < 8192:
        piece = audio[:32768]
    window = np.hanning(len(piece))
    lags = min(len(piece) // 3, RATE // 20)
    # Divided by the window's own, or short lags (high octaves) would be favoured.
    correlation = _correlation(piece * window)[:lags] / _correlation(window)[:lags]
    start = max(int(np.argmax(correlation < 0)), RATE // 2500)
    # Every multiple of the period fits as well as the period itself: the first that does is it.
    first = start + int(np.argmax(correlation[start:] >= 0.85 * correlation[start:].max()))
    climb = correlation[first : first + max(2, first // 10)]
    return RATE / (first + int(np.argmax(climb)))


def _correlation(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.fft.irfft(np.abs(np.fft.rfft(signal, 2 * len(signal))) ** 2))


def _octave(found: dict[int, dict[int, list[Path]]]) -> int:
    """Semitones, a multiple of 12, from what names say to what is heard, of a few notes of the middle."""
    pitches = sorted(found)
    middle = pitches[len(pitches) // 4 : len(pitches) // 4 + 5] or pitches
    apart = []
    for pitch in middle:
        layers = found[pitch]
        heard_hz = fundamental_hz(shifted(layers[max(layers)][0], 0))
        apart.append(69 + 12 * np.log2(heard_hz / 440) - pitch)
    return 12 * round(float(np.median(apart)) / 12)


def _dynamics(name: str) -> int:
    """Loudness that a name says: `p`, `mf`, ... or that letter and one more for the take, as in `fa`."""
    for token in re.split(r"[_\- ]", name.lower())[1:]:
        if token in DYNAMICS:
            return DYNAMICS[token]
        if re.fullmatch(r"[pmf][a-d]", token):
            return DYNAMICS[token[0]]
    return DYNAMICS["mf"]


def _layer(layers: tuple[tuple[Path, ...], ...], velocity: int, draw: np.random.Generator) -> Path:
    takes = layers[min(len(layers) - 1, velocity * len(layers) // 128)]
    return takes[int(draw.integers(len(takes)))]


def _within(pitch: int, lowest: int, highest: int) -> int:
    while pitch < lowest:
        pitch += 12
    while pitch > highest:
        pitch -= 12
    return pitch


def _add(out: Audio, sound: Audio, start: int, held: int, gain: float) -> None:
    """Lay a sound into a signal from a frame on, released after so many frames."""
    release = round(RELEASE_SECONDS * RATE)
    begin = max(0, start)
    frames = min(len(sound), held + release, len(out) - begin)
    if frames <= 0 or start < -RATE:
        return
    piece = sound[:frames] * np.float32(gain)
    fade = min(release, frames)
    if frames < len(sound):
        piece[frames - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    out[begin : begin + frames] += piece
