"""A plucked bass string and its line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from demo_song.score import CHORDS, ENDING_BEAT, Chord, beat_seconds
from demo_song.sound import Signal, band, compressed, empty, hertz, peak_eq, place, release, times

FIFTH, OCTAVE = 7, 12


def pluck(note: float, seconds: float, strength: float, rng: np.random.Generator) -> Signal:
    """A string plucked at a fifth of its length: partial k starts at sin(k pi / 5) / k, high ones die."""
    t = times(seconds)
    root_hz = float(hertz(note))
    sound = np.zeros_like(t)
    for k in range(1, min(40, int(6000.0 / root_hz))):
        stiff = k * np.sqrt(1.0 + 6e-5 * k * k)
        bright = strength ** (0.25 * k)
        amplitude = bright * np.sin(np.pi * k / 5.0) / k
        sound += amplitude * np.exp(-t * (0.9 + 0.4 * k)) * np.sin(2 * np.pi * root_hz * stiff * t)
    finger = band(rng.standard_normal(t.size), 600.0, 2500.0) * np.exp(-t / 0.006)
    attack = 1.0 - np.exp(-t / 0.002)
    return release((sound + 0.05 * finger) * attack * strength, 0.03)


def line(chord: Chord, next_root: int) -> list[tuple[float, float, int, float]]:
    """(beat, beats held, note, strength) for one bar; the last eighth leads into the next chord."""
    root = chord.root
    approach = next_root + (2 if next_root < root else -1)
    return [
        (0.0, 0.7, root, 1.0),
        (0.75, 0.6, root, 0.8),
        (1.5, 0.45, root + OCTAVE, 0.85),
        (2.0, 0.4, root, 0.75),
        (2.5, 0.5, root, 0.97),
        (3.0, 0.45, root + FIFTH, 0.8),
        (3.5, 0.45, approach, 0.85),
    ]


def play(rng: np.random.Generator) -> Signal:
    """The bass track, in the middle of the stereo image. Shape: `(2, frames)`."""
    track = empty()
    for chord, after in pairwise(CHORDS):
        notes = line(chord, after.root)
        for beat, held, note, strength in notes[-2:] if chord.start == 0 else notes:
            start = beat_seconds(chord.start + beat) + rng.normal(0.004, 0.003)
            place(track, pluck(note, beat_seconds(held), strength * rng.uniform(0.94, 1.0), rng), start)
    last = CHORDS[-1]
    place(track, pluck(last.root, beat_seconds(last.stop - last.start), 1.0, rng), beat_seconds(ENDING_BEAT))
    driven = np.tanh(2.2 * band(track, 34.0, None))
    return compressed(peak_eq(peak_eq(driven, 90.0, 2.0), 1100.0, 7.0, 0.6), -14.0, 3.0)
