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
    """SDR of each stem in dB over a minute, and the processor's seconds."""

    scores_db: dict[str, float]
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
    measured, begun = [], time.process_time()
    errors = np.zeros(len(truth))
    for number, stems in enumerate(streamed(separator, plan), start=1):
        if number <= SONGS or number > len(plan) - SONGS:
            errors += np.square(stems - truth, dtype=np.float64).sum(axis=(1, 2))
        if number in (SONGS, len(plan)):
            powers = SONGS * np.square(truth, dtype=np.float64).sum(axis=(1, 2))
            scores = 10 * np.log10(powers / errors)
            taken = time.process_time() - begun
            measured.append(Minute(dict(zip(separator.sources, scores.tolist(), strict=True)), taken))
        if number in (SONGS, len(plan) - SONGS):
            errors, begun = np.zeros(len(truth)), time.process_time()
    first, last = measured
    return first, last


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
    for label, minute in (("1", first), (str(MINUTES), last)):
        scores = [f"{score:.2f}" for score in minute.scores_db.values()]
        rows.append((label, *scores, f"{minute.processor_seconds / 60:.3f}"))
    changes = [f"{last.scores_db[stem] - first.scores_db[stem]:+.3f}" for stem in first.scores_db]
    ratio = last.processor_seconds / first.processor_seconds - 1
    rows.append(("change", *changes, f"{ratio:+.1%}"))
    return Table(
        title=f"The same minute of music at both ends of one stream of `{model}`",
        columns=("minute", *(f"{stem}, dB" for stem in first.scores_db), "real-time factor"),
        rows=tuple(rows),
        note=f"SDR of a little song that the tests make, {SONGS} times a minute; other songs in between, "
        "20 dB fainter, as loud and 18 dB louder. Real-time factor: processor time over the minute's length. "
        + machine("numpy", "onnxruntime"),
    )
