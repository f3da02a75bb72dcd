"""REPET-SIM while the music plays: what sounds again was heard in the seconds before.

Z. Rafii, B. Pardo, "Online REPET-SIM for real-time speech enhancement", ICASSP 2013: the newest frame is
compared with a buffer of past frames, and the median of the most similar ones is the repeating part.
Frames are compared at a reduced frequency resolution here, so that one small product of a matrix with a
vector finds them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BANDS = 64
_FIRST_BIN = 2


class RepetitionMemory:
    """The past `frames` amplitude spectra; of these the latest `gap` are too near to count as repetition."""

    def __init__(self, bins: int, frames: int, gap: int, similar: int) -> None:
        self._gap, self._similar = gap, similar
        edges = np.round(np.geomspace(_FIRST_BIN, bins, _BANDS)).astype(np.intp)
        self._edges = np.unique(edges)
        self._widths = np.diff(self._edges).astype(np.float32)
        self._past = np.zeros((frames, bins), np.float32)
        self._directions = np.zeros((frames, len(self._widths)), np.float32)
        self._age = 0

    def recall(self, amplitude: NDArray[np.float32]) -> NDArray[np.float32]:
        """What repeats in this frame, at most the frame itself; then remember it.

        A frame is its own repetition until there is enough past to know better.
        Shape: `(bins,)` to the same.
        """
        direction = self._direction(amplitude)
        known = min(self._age, len(self._past))
        repeating = amplitude
        if known - self._gap >= self._similar:
            likeness = self._directions @ direction
            likeness[(self._age - 1 - np.arange(self._gap)) % len(self._past)] = -1
            likeness[known:] = -1
            most = np.argpartition(likeness, -self._similar)[-self._similar :]
            middle = self._similar // 2
            # A copy with the median's axis last: partitioning neighbours in memory is the fastest.
            heard = np.partition(np.ascontiguousarray(self._past[most].T), middle, axis=1)[:, middle]
            repeating = np.minimum(heard, amplitude)
        row = self._age % len(self._past)
        self._past[row], self._directions[row] = amplitude, direction
        self._age += 1
        return repeating

    def _direction(self, amplitude: NDArray[np.float32]) -> NDArray[np.float32]:
        sums = np.add.reduceat(amplitude[: self._edges[-1]], self._edges[:-1])
        # The root keeps one loud band from deciding alone.
        bands: NDArray[np.float32] = np.sqrt(sums / self._widths)
        return bands / np.float32(max(float(np.linalg.norm(bands)), 1e-9))

    def reset(self) -> None:
        """Forget everything."""
        self._past.fill(0)
        self._directions.fill(0)
        self._age = 0
