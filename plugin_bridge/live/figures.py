"""Figures of a running engine for people and programs, read from shared memory."""

from collections import deque
from typing import Any

import numpy as np

from plugin_bridge.live.playback import COUNTERS, SLOTS
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS, percentiles

_FLOOR = 1e-9
_RATE_SECONDS = 10.0


class RateMeter:
    """The rate at which frames really arrive, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, seconds: float, frames: int) -> None:
        """So many frames had arrived at a time, in seconds of any clock that goes steadily."""
        if not self._seen or frames > self._seen[-1][1]:
            self._seen.append((seconds, frames))
        while self._seen and seconds - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()

    @property
    def hz(self) -> float:
        """Frames a second; 0 until two times are known, or where nothing arrives any more."""
        if len(self._seen) < 2:
            return 0.0
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first)


def counters(segment: Segment) -> dict[str, int]:
    """What the audio process has counted."""
    return {name: int(segment["counters"][at]) for at, name in enumerate(COUNTERS)}


def worker_figures(segment: Segment, hop_seconds: float) -> dict[str, Any]:
    """What both workers have counted together, times per hop in milliseconds, load as a share of a hop."""
    words = np.sum([segment[f"statistics{slot}"] for slot in range(SLOTS)], axis=0)
    times = np.sum([segment[f"times{slot}"] for slot in range(SLOTS)], axis=0)
    p50, p99, p999 = percentiles(times, 0.5, 0.99, 0.999)
    worst = max(int(segment[f"statistics{slot}"][STATISTICS.index("worst_ns")]) for slot in range(SLOTS))
    counted = {
        name: int(words[STATISTICS.index(name)]) for name in ("hops", "own_misses", "machine_late", "skipped")
    }
    return {
        **counted,
        "hop_ms": 1000 * hop_seconds,
        "worker_p50_ms": 1000 * p50,
        "worker_p99_ms": 1000 * p99,
        "worker_p999_ms": 1000 * p999,
        "worker_worst_ms": worst / 1e6,
        "load": p50 / hop_seconds if hop_seconds else 0.0,
    }


def meters_dbfs(segment: Segment, rows: tuple[str, ...]) -> dict[str, list[float]]:
    """Peak levels of each row, left and right, falling slowly."""
    levels = 20 * np.log10(np.maximum(segment["meters"], _FLOOR))
    return dict(zip(rows, levels.round(1).tolist(), strict=True))
