"""Everything else: electric piano, plucked guitar and a pad."""

from __future__ import annotations

import numpy as np
from scipy import signal

from demo_song.score import CHORDS, ENDING_BEAT, Chord, beat_seconds
from demo_song.sound import (
    SAMPLE_RATE,
    Signal,
    band,
    empty,
    frames,
    hertz,
    peak_eq,
    place,
    release,
    room,
    times,
)


def piano_note(note: float, seconds: float, strength: float) -> Signal:
    """An electric piano by frequency modulation: a mellow 1:1 pair, and a tine at 14 times the note."""
    t = times(seconds)
    phase = 2.0 * np.pi * float(hertz(note)) * t
    mellow = np.sin(phase + (1.5 * strength * np.exp(-t / 0.55) + 0.25) * np.sin(phase))
    tine = np.sin(phase + 0.9 * strength * np.exp(-t / 0.09) * np.sin(14.0 * phase))
    return release((0.75 * mellow + 0.4 * tine) * np.exp(-t / 0.9) * (1.0 - np.exp(-t / 0.0015)), 0.07)


def guitar_note(note: float, seconds: float, rng: np.random.Generator) -> Signal:
    """A plucked string (K. Karplus and A. Strong, 1983, with the fractional delay of Jaffe and Smith)."""
    period = SAMPLE_RATE / float(hertz(note))
    whole = int(period - 0.5)
    fraction = period - 0.5 - whole
    # The loop: a delay of `whole`, linear interpolation for the rest, a two-point mean as the damping.
    loop = 0.4975 * np.convolve([1.0, 1.0], [1.0 - fraction, fraction])
    excitation = np.zeros(frames(seconds))
    excitation[:whole] = band(rng.uniform(-1.0, 1.0, whole), None, 5500.0, 1)
    feedback = np.concatenate([[1.0], np.zeros(whole - 1), -loop])
    return release(np.asarray(signal.lfilter([1.0], feedback, excitation)), 0.08)


def pad_chord(chord: Chord, rng: np.random.Generator) -> Signal:
    """Slow saw-like voices, detuned differently left and right. Shape: `(2, frames)`."""
    seconds = beat_seconds(chord.stop - chord.start) + 0.5
    t = times(seconds)
    sound = np.zeros((2, t.size))
    for note in (chord.root + 12, *chord.notes):
        for side in (0, 1):
            for cents in rng.uniform(-9.0, 9.0, 2):
                root_hz = float(hertz(note + cents / 100.0))
                for k in range(1, int(4200.0 / root_hz) + 1):
                    roll_off = 1.0 / (k * (1.0 + (k * root_hz / 1100.0) ** 2))
                    sound[side] += roll_off * np.sin(2 * np.pi * (k * root_hz * t + rng.random()))
    swell = np.minimum(1.0, t / 0.35) * np.minimum(1.0, (seconds - t) / 0.5)
    return 0.1 * sound * swell


def piano_track(rng: np.random.Generator) -> Signal:
    track = empty()
    for chord in CHORDS:
        stabs = ((0.0, 1.4, 1.0), (1.5, 0.9, 0.8), (2.5, 0.4, 0.65), (3.25, 0.7, 0.85))
        for beat, held, strength in ((0.0, 2.6, 1.0),) if chord.start == ENDING_BEAT else stabs:
            for strum, note in enumerate(chord.notes):
                start = beat_seconds(chord.start + beat) + 0.006 * strum + rng.normal(0.0, 0.003)
                force = strength * rng.uniform(0.9, 1.05)
                sound = piano_note(note, beat_seconds(held) + 0.1, force)
                place(track, force * sound, start, -13.0, (note - 62) / 24)
    # The stereo tremolo of a suitcase piano.
    sway = 0.28 * np.sin(2 * np.pi * 4.3 * np.arange(track.shape[1]) / SAMPLE_RATE)
    return track * np.stack([1.0 + sway, 1.0 - sway])


def guitar_track(rng: np.random.Generator) -> Signal:
    track = empty()
    order = (0, 2, 1, 3, 2, 1, 3, 2)
    for chord in CHORDS[1:]:
        for step, index in enumerate(order if chord.start < ENDING_BEAT else (0, 1, 2, 3)):
            spacing = 0.5 if chord.start < ENDING_BEAT else 0.08
            start = beat_seconds(chord.start + spacing * step) + rng.normal(0.0, 0.004)
            note = chord.notes[index] + (12 if step % 3 == 1 else 0)
            sound = guitar_note(note, beat_seconds(1.2), rng)
            place(track, sound, start, -11.0 + rng.normal(0, 0.8), -0.55)
            place(
                track, band(sound, 400.0, 4000.0), start + beat_seconds(0.75), -23.0, 0.7
            )  # an echo, opposite
    return band(track, 160.0, None)


def play(rng: np.random.Generator) -> Signal:
    """The track of all that is neither voice, drums nor bass. Shape: `(2, frames)`."""
    pads = empty()
    for chord in CHORDS:
        place(pads, pad_chord(chord, rng), beat_seconds(chord.start) - 0.08, -9.0)
    together = piano_track(rng) + guitar_track(rng) + band(pads, 180.0, None)
    return room(peak_eq(band(together, 110.0, None), 2200.0, 5.0, 0.5), rng, 1.4, 0.018, -15.0)
