"""What a worker tells the others through shared memory."""

import math

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live.shared import ArraySpec, array

STATISTICS = ("hops", "own_misses", "machine_late", "skipped", "worst_ns", "position", "working")
"""What a worker counts, in the order of its shared array."""

TIME_BINS = 512
"""Bins of the histogram of hop times: a factor of 2 every 32 bins from one microsecond on."""


def worker_specs(slot: int) -> tuple[ArraySpec, ...]:
    """What the segment needs for a worker's statistics."""
    return (
        array(f"statistics{slot}", (len(STATISTICS),), np.int64),
        array(f"times{slot}", (TIME_BINS,), np.int64),
    )


def time_bin(seconds: float) -> int:
    """The bin of a hop time."""
    return int(min(TIME_BINS - 1, max(0.0, 32 * math.log2(max(seconds, 1e-6) / 1e-6))))


def bin_seconds(index: int) -> float:
    """The upper end of a bin."""
    return float(1e-6 * 2 ** ((index + 1) / 32))


def percentiles(times: NDArray[np.int64], *shares: float) -> list[float]:
    """The hop times, in seconds, below which the given shares of all hops lie; 0 where there were none."""
    sums = np.cumsum(times)
    if not sums[-1]:
        return [0.0 for _ in shares]
    return [bin_seconds(int(np.searchsorted(sums, share * sums[-1]))) for share in shares]
