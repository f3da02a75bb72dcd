"""The table of separators: what each gives, how late it is, how fast it is."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.tables import Table, machine
from plugin_bridge.separation import catalogue

name = "separators"

RATE = 44100
SECONDS = 12.0
ROUNDS = 3


def song() -> np.ndarray:
    """Chords that repeat, clicks and a gliding voice with noise, `(2, frames)`."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110, 220, 277, 330)) * np.exp(-3 * (t % 0.5))
    voice = np.sin(2 * np.pi * 600 * t + 40 * np.sin(2 * np.pi * 0.37 * t))
    noise = np.random.default_rng(0).standard_normal((2, t.size))
    clicks = (np.arange(t.size) % (RATE // 4) < 400) * noise[0]
    return (0.1 * np.stack([chord + voice + clicks, 0.5 * chord + voice + clicks]) + 0.005 * noise).astype(
        np.float32
    )


def real_time_factor(model: str, audio: np.ndarray) -> float:
    """Processor time over the audio's length, the median of several runs."""
    separator, times = catalogue.load(model), []
    separator.separate(audio[:, :RATE])
    for _ in range(ROUNDS):
        start = time.process_time()
        separator.separate(audio)
        times.append(time.process_time() - start)
    return statistics.median(times) / SECONDS


def run() -> Table:
    """Measure every model of the catalogue."""
    audio, rows = song(), []
    for model in catalogue.names():
        card = catalogue.card(model)
        if card.streaming and card.latency is not None and card.hop is not None:
            late = f"live, {1000 * (card.latency + card.hop) / card.sample_rate:.0f} ms"
        else:
            late = f"files, in windows of {card.window_seconds:g} s"
        rows.append(
            (
                f"`{model}`",
                ", ".join(card.sources),
                late,
                f"{real_time_factor(model, audio):.3f}",
                card.summary,
            )
        )
    return Table(
        title="Separators",
        columns=("model", "stems", "works on", "real-time factor", "what it is"),
        rows=tuple(rows),
        note="Latency is algorithmic (hop + look-ahead). Real-time factor: processor time over the length "
        f"of {SECONDS:g} s of stereo at 44.1 kHz, median of {ROUNDS}. {machine('numpy', 'scipy')}",
    )
