"""Whether a stream is after ten minutes what it was in the first: the scores of the same minute of music."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table, machine
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import Audio, Stems, StreamingSeparator
from plugin_bridge.separation.stream import Reblocked
from tests.little_song import SECONDS, little_song

name = "steadiness"

MINUTES = 10
SONGS = round(60 / SECONDS)
"""How often the little song fits into a minute."""

OTHERS = ((1, 196.0, 0.1), (2, 247.0, 1.0), (3, 294.0, 8.0))
"""Seed, key in Hz and gain of what plays in between: faint, usual and far too loud."""


@dataclass(frozen=True)
class Minute:
    """SDR of each stem in dB, as the median of frames of one second and of the whole; processor seconds."""

    scores_db: dict[str, float]
    whole_db: dict[str, float]
    processor_seconds: float


def first_and_last(model: str, minutes: int = MINUTES) -> tuple[Minute, Minute]:
    """The same music in the first and the last minute of one stream, other music in between."""
    separator = catalogue.load(model)
    assert isinstance(separator, StreamingSeparator)
    song = little_song(separator.sample_rate)
    truth = np.stack([song[source] for source in separator.sources])
    others = [gain * _mix(separator, seed, key_hz) for seed, key_hz, gain in OTHERS]
    between = islice(cycle(others), (minutes - 2) * SONGS)
    mix = truth.sum(axis=0)
    plan = [*[mix] * SONGS, *between, *[mix] * SONGS]
    errors: tuple[list[NDArray[np.float64]], ...] = ([], [])
    begun, taken = time.process_time(), []
    for number, stems in enumerate(streamed(separator, plan), start=1):
        if number <= SONGS or number > len(plan) - SONGS:
            errors[number > SONGS].append(_by_seconds(stems - truth, separator.sample_rate))
        if number in (SONGS, len(plan)):
            taken.append(time.process_time() - begun)
        if number in (SONGS, len(plan) - SONGS):
            begun = time.process_time()
    wanted = np.concatenate([_by_seconds(truth, separator.sample_rate)] * SONGS, axis=1)
    first, last = (
        _minute(separator.sources, wanted, np.concatenate(parts, axis=1), seconds)
        for parts, seconds in zip(errors, taken, strict=True)
    )
    return first, last


def _by_seconds(stems: Stems, sample_rate: int) -> NDArray[np.float64]:
    """Energy of each stem in each second. Shape: `(sources, channels, frames)` to `(sources, seconds)`."""
    seconds = stems.shape[-1] // sample_rate
    whole = np.square(stems[..., : seconds * sample_rate], dtype=np.float64)
    energies: NDArray[np.float64] = whole.reshape(*stems.shape[:2], seconds, sample_rate).sum(axis=(1, 3))
    return energies


def _minute(
    sources: tuple[str, ...], wanted: NDArray[np.float64], errors: NDArray[np.float64], seconds: float
) -> Minute:
    """Scores from energies, `(sources, seconds)` of stems and errors; seconds without a stem are left out."""
    sounding = wanted > 1e-6 * wanted.max(axis=1, keepdims=True)
    frames = np.where(sounding, 10 * np.log10(np.where(sounding, wanted / errors, 1)), np.nan)
    medians = np.nanmedian(frames, axis=1)
    whole = 10 * np.log10(wanted.sum(axis=1) / errors.sum(axis=1))
    named = [dict(zip(sources, scores.tolist(), strict=True)) for scores in (medians, whole)]
    return Minute(*named, seconds)


def _mix(separator: StreamingSeparator, seed: int, key_hz: float) -> NDArray[np.float32]:
    song = little_song(separator.sample_rate, seed=seed, key_hz=key_hz)
    return np.sum([*song.values()], axis=0, dtype=np.float32)


def streamed(separator: StreamingSeparator, mixes: Iterable[Audio]) -> Iterator[Stems]:
    """The stems of mixes that follow each other in one stream, without its latency."""
    stream = Reblocked(separator.stream(), separator.channels, len(separator.sources))
    late, before = stream.latency, None
    for mix in mixes:
        out = stream.process(mix)
        if before is not None:
            yield np.concatenate((before[..., late:], out[..., :late]), axis=-1)
        before = out
    if before is not None:
        rest = stream.process(np.zeros((separator.channels, late), np.float32))
        yield np.concatenate((before[..., late:], rest), axis=-1)


def run() -> Table:
    """Measure the default model."""
    model = catalogue.DEFAULT_MODEL
    first, last = first_and_last(model)
    rows = []
    for what, scores in (("", "scores_db"), (", whole minute", "whole_db")):
        pair = [getattr(minute, scores) for minute in (first, last)]
        for label, found in zip(("1", str(MINUTES)), pair, strict=True):
            rows.append((f"{label}{what}", *(f"{score:.2f}" for score in found.values())))
        rows.append((f"change{what}", *(f"{pair[1][stem] - pair[0][stem]:+.3f}" for stem in pair[0])))
    factors = [minute.processor_seconds / 60 for minute in (first, last)]
    return Table(
        title=f"The same minute of music at both ends of one stream of `{model}`",
        columns=("minute", *(f"{stem}, dB" for stem in first.scores_db)),
        rows=tuple(rows),
        note=f"SDR of a little song that the tests make, {SONGS} times a minute; other songs in between, "
        "20 dB fainter, as loud and 18 dB louder. Scores are medians over frames of one second, as "
        "elsewhere; those of a whole minute, energy over energy, show a slightly worse beginning too. "
        f"Real-time factors (processor time over time): {factors[0]:.3f} and {factors[1]:.3f}. "
        + machine("numpy", "onnxruntime"),
    )
