"""A drum kit and its part."""

from __future__ import annotations

import numpy as np

from demo_song.score import BEATS_PER_BAR, ENDING_BEAT, beat_seconds
from demo_song.sound import SAMPLE_RATE, Signal, band, compressed, empty, peak_eq, place, release, room, times

SWING = 0.035  # beats by which every second sixteenth is late


def swept(t: Signal, low_hz: float, high_hz: float, fall_seconds: float) -> Signal:
    """A sine whose frequency falls exponentially from high to low."""
    frequency_hz = low_hz + (high_hz - low_hz) * np.exp(-t / fall_seconds)
    return np.sin(2.0 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE)


def kick(rng: np.random.Generator) -> Signal:
    t = times(0.42)
    body = swept(t, 47.0, 175.0, 0.026) * np.exp(-t / 0.13)
    click = band(rng.standard_normal(t.size), 1800.0, 8000.0) * np.exp(-t / 0.004)
    return release(np.tanh(1.9 * body + 0.35 * click), 0.05)


def snare(rng: np.random.Generator) -> Signal:
    t = times(0.4)
    shell = swept(t, 182.0, 260.0, 0.012) * np.exp(-t / 0.07)
    ring = 0.5 * np.sin(2 * np.pi * 331.0 * t) * np.exp(-t / 0.045)
    decay = 0.7 * np.exp(-t / 0.085) + 0.5 * np.exp(-t / 0.012)
    wires = band(rng.standard_normal(t.size), 1300.0, 10500.0) * decay
    return release(np.tanh(0.75 * (shell + ring) + 0.9 * wires), 0.05)


def metal(rng: np.random.Generator, seconds: float, low_hz: float, decay_seconds: float) -> Signal:
    """Struck brass: noise over a cluster of partials without a common root."""
    t = times(seconds)
    partials_hz = np.array([2053.0, 3044.0, 3696.0, 5227.0, 5406.0, 8003.0]) * rng.uniform(0.985, 1.015, 6)
    cluster = sum(np.sin(2 * np.pi * f * t + 2.2 * np.sin(2 * np.pi * 1.483 * f * t)) for f in partials_hz)
    mixture = 0.28 * np.asarray(cluster) + rng.standard_normal(t.size)
    attack = 1.0 - np.exp(-t / 0.0006)
    return release(band(mixture, low_hz, 16500.0, 3) * np.exp(-t / decay_seconds) * attack, 0.02)


def tom(rng: np.random.Generator, low_hz: float) -> Signal:
    t = times(0.5)
    skin = band(rng.standard_normal(t.size), 500.0, 4000.0) * np.exp(-t / 0.012)
    drum = swept(t, low_hz, 1.7 * low_hz, 0.05) * np.exp(-t / 0.15)
    return release(np.tanh(1.3 * drum + 0.15 * skin), 0.06)


def humanised(beat: float, rng: np.random.Generator) -> float:
    """The moment a player would hit, in seconds: swung, and a few milliseconds off."""
    swung = beat + (SWING if round(beat * 4) % 2 else 0.0)
    return beat_seconds(swung) + rng.normal(0.0, 0.0025)


def verse_bar(track: Signal, bar: int, rng: np.random.Generator) -> None:
    first = bar * BEATS_PER_BAR
    kicks = ((0.0, 0), (1.5, -4), (2.5, -1), (3.75, -6)) if bar % 2 else ((0.0, 0), (0.75, -5), (2.5, -1))
    for beat, level_db in kicks:
        place(track, kick(rng), humanised(first + beat, rng), level_db + rng.normal(0, 0.5) - 1.0)
    for beat, level_db in ((1.0, 0.0), (3.0, 0.3), (2.25, -17.0), (1.75, -19.0), (3.75, -16.0)):
        place(track, snare(rng), humanised(first + beat, rng), level_db + rng.normal(0, 0.6) - 2.0, -0.06)
    for step in range(16):
        if step % 2 and rng.random() < 0.62:
            continue
        open_hat = bar % 2 == 0 and step == 14
        level_db = -19.5 + (0.0, -9.0, -3.5, -9.0)[step % 4] + rng.normal(0, 0.9)
        hat = (
            metal(rng, 0.36, 6500.0, 0.16)
            if open_hat
            else metal(rng, 0.12, 7500.0, 0.026 + 0.008 * rng.random())
        )
        place(track, hat, humanised(first + step / 4, rng), level_db, 0.32)


def play(rng: np.random.Generator) -> Signal:
    """The drum track. Shape: `(2, frames)`."""
    track, cymbals = empty(), empty()
    for beat in (0.0, 1.0, 2.0):
        place(track, kick(rng), humanised(beat, rng), -2.0)
    for step in range(12):
        hat = metal(rng, 0.12, 7500.0, 0.03)
        place(track, hat, humanised(step / 4, rng), -21.0 - 6.0 * (step % 2) + step * 0.3, 0.32)
    for beat, low_hz, pan in ((3.0, 128.0, -0.4), (3.25, 128.0, -0.4), (3.5, 98.0, 0.1), (3.75, 76.0, 0.45)):
        place(track, tom(rng, low_hz), humanised(beat, rng), -5.0 + 1.5 * (beat - 3.0), pan)
    place(track, snare(rng), humanised(3.0, rng), -6.0)
    for bar in range(1, 5):
        verse_bar(track, bar, rng)
    for beat in (4.0, ENDING_BEAT):
        for pan in (-0.75, 0.75):  # two decorrelated halves make it wide
            place(cymbals, metal(rng, 2.4, 3200.0, 0.62), humanised(beat, rng), -23.0, pan)
    place(track, kick(rng), humanised(ENDING_BEAT, rng), 0.0)
    place(track, snare(rng), humanised(ENDING_BEAT, rng), -4.0)
    kit = room(track, rng, 0.45, 0.008, -14.0, 300.0)
    return compressed(peak_eq(peak_eq(kit, 9000.0, -3.0, 0.5), 700.0, 4.0, 0.6), -14.0, 2.5) + cymbals
