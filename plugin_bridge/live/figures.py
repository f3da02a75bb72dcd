"""Figures of a running engine for people and programs, read from shared memory."""

from typing import Any

import numpy as np

from plugin_bridge.live.playback import COUNTERS, SLOTS
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS, percentiles

_FLOOR = 1e-9


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
