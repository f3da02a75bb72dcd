"""What the instruments share: units, envelopes, filters, panning and a reverberant room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from demo_song.score import LENGTH_SECONDS

Signal = NDArray[np.float64]
"""`(frames,)`, or `(2, frames)` where it is said to be stereo."""

SAMPLE_RATE = 44100
LENGTH = round(LENGTH_SECONDS * SAMPLE_RATE)


def frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def times(seconds: float) -> Signal:
    """The time of each frame of a sound of this length, in seconds."""
    return np.arange(frames(seconds)) / SAMPLE_RATE


def hertz(note: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(440.0 * 2.0 ** ((np.asarray(note, float) - 69.0) / 12.0))


def gain(level_db: float) -> float:
    return float(10.0 ** (level_db / 20.0))


def band(sound: Signal, low_hz: float | None, high_hz: float | None, order: int = 2) -> Signal:
    """Keep what lies between two frequencies; None leaves that side open."""
    if low_hz is not None:
        sound = signal.sosfilt(signal.butter(order, low_hz, "high", fs=SAMPLE_RATE, output="sos"), sound)
    if high_hz is not None:
        sound = signal.sosfilt(signal.butter(order, high_hz, "low", fs=SAMPLE_RATE, output="sos"), sound)
    return np.asarray(sound)


def peak_eq(sound: Signal, centre_hz: float, gain_db: float, q: float = 1.0) -> Signal:
    """A bell (R. Bristow-Johnson's audio equaliser cookbook)."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * centre_hz / SAMPLE_RATE
    alpha = np.sin(w) / (2.0 * q)
    b = [1.0 + alpha * a, -2.0 * np.cos(w), 1.0 - alpha * a]
    return np.asarray(signal.lfilter(b, [1.0 + alpha / a, -2.0 * np.cos(w), 1.0 - alpha / a], sound))


def release(sound: Signal, seconds: float) -> Signal:
    """Fade the end, so that a note that is cut off does not click."""
    count = min(frames(seconds), sound.shape[-1])
    faded = sound.copy()
    faded[..., -count:] *= np.cos(np.linspace(0.0, np.pi / 2.0, count)) ** 2
    return faded


def panned(sound: Signal, pan: float) -> Signal:
    """A mono sound at a place from left (-1) to right (+1), of constant power.

    Shape: `(frames,)` to `(2, frames)`.
    """
    angle = (pan + 1.0) * np.pi / 4.0
    return np.stack([np.cos(angle) * sound, np.sin(angle) * sound]) * np.sqrt(2.0)


def empty() -> Signal:
    """A silent stereo track of the song's length."""
    return np.zeros((2, LENGTH))


def place(track: Signal, sound: Signal, start_seconds: float, level_db: float = 0.0, pan: float = 0) -> None:
    """Add a mono or stereo sound to a stereo track, in place; what lies outside the song is lost."""
    stereo = panned(sound, pan) if sound.ndim == 1 else sound
    start = frames(start_seconds)
    stereo = stereo[:, max(0, -start) : max(0, LENGTH - start)]
    start = max(0, start)
    track[:, start : start + stereo.shape[1]] += gain(level_db) * stereo


def room(
    track: Signal,
    rng: np.random.Generator,
    rt60_seconds: float,
    delay_seconds: float,
    level_db: float,
    low_hz: float = 250.0,
    high_hz: float = 7000.0,
) -> Signal:
    """The stereo track with a room around it: noise that decays by 60 dB in `rt60_seconds`."""
    t = times(rt60_seconds)
    decay = np.exp(-np.log(1000.0) * t / rt60_seconds)
    response = band(rng.standard_normal((2, t.size)) * decay, low_hz, high_hz)
    # High frequencies die first: cross-fade into a darker copy.
    response += (band(response, None, high_hz / 3.0) - response) * np.linspace(0.0, 1.0, t.size)
    response /= np.sqrt((response**2).sum(axis=1, keepdims=True))
    wet = signal.fftconvolve(track, response, axes=-1)[:, :LENGTH]
    late = np.zeros_like(track)
    late[:, frames(delay_seconds) :] = wet[:, : LENGTH - frames(delay_seconds)]
    return track + gain(level_db) * late


def compressed(track: Signal, threshold_db: float, ratio: float) -> Signal:
    """Even out a stereo track: both channels follow their common power over about 25 ms."""
    power = (track**2).mean(axis=0)
    pole = np.exp(-1.0 / (0.025 * SAMPLE_RATE))
    smooth = signal.filtfilt([1.0 - pole], [1.0, -pole], power)
    level_db = 10.0 * np.log10(np.maximum(smooth, 1e-10))
    reduction_db = np.maximum(level_db - threshold_db, 0.0) * (1.0 / ratio - 1.0)
    return track * 10.0 ** (reduction_db / 20.0)
