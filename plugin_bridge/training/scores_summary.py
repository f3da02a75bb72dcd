"""From the scores of songs to one number: medians, means, deviations, and means weighted by length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

SongScores = Mapping[str, Mapping[str, float | None]]
"""Of one song: by source, by the name of the score, dB or None where it is not defined."""

ALL = "all"
"""What the mean over the sources is filed under."""


class Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One score of one source over the songs: dB, and how many songs count and how many were left out.

    `weighted` is the mean in which each song counts by its length.
    """

    median: float | None
    mean: float | None
    deviation: float | None
    weighted: float | None
    songs: int
    left_out: int


def summarised(songs: Sequence[SongScores], seconds: Sequence[float]) -> dict[str, dict[str, Statistics]]:
    """Statistics by source and score. Under `ALL` stand the means over sources of median, mean and
    weighted mean, and the deviation over all songs and sources.
    """
    sources = list(songs[0]) if songs else []
    names = list(songs[0][sources[0]]) if sources else []
    columns = {
        source: {name: _column([song[source][name] for song in songs]) for name in names}
        for source in sources
    }
    weights = np.asarray(seconds, np.float64)
    made = {
        source: {name: _statistics(values, weights) for name, values in column.items()}
        for source, column in columns.items()
    }
    made[ALL] = {
        name: _over_sources(
            [made[source][name] for source in sources],
            np.concatenate([columns[source][name] for source in sources]),
        )
        for name in names
    }
    return made


def number(value: float) -> float | None:
    """A value as JSON has it: None in place of NaN.

    >>> number(1.23456789), number(float("nan"))
    (1.234568, None)
    """
    return None if math.isnan(value) else round(float(value), 6)


def _column(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _statistics(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Statistics:
    kept = np.isfinite(values)
    some = values[kept]
    if not len(some):
        return Statistics(None, None, None, None, 0, len(values))
    return Statistics(
        median=number(float(np.median(some))),
        mean=number(float(np.mean(some))),
        deviation=number(float(np.std(some))),
        weighted=number(float(np.average(some, weights=weights[kept]))),
        songs=len(some),
        left_out=len(values) - len(some),
    )


def _over_sources(parts: Sequence[Statistics], values: NDArray[np.float64]) -> Statistics:
    some = values[np.isfinite(values)]
    return Statistics(
        median=_mean([part.median for part in parts]),
        mean=_mean([part.mean for part in parts]),
        deviation=number(float(np.std(some))) if len(some) else None,
        weighted=_mean([part.weighted for part in parts]),
        songs=max((part.songs for part in parts), default=0),
        left_out=sum(part.left_out for part in parts),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return number(sum(known) / len(known)) if known else None
