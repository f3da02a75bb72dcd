"""Levels of what comes in and goes out, measured in the audio callback and read by the control process."""

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live.shared import ArraySpec, Segment, array

_FALL_DB_PER_SECOND = 20.0
_MEAN_SECONDS = 0.3
_FLOOR_DB = -120.0
_OLD_DECAY = np.float32(0.9)


class Meters:
    """Peaks that fall by 20 dB a second, and the mean power over some 0.3 s, of each channel.

    `levels` holds the input's row first, then main's and the stems': peak and power, left and right.
    """

    def __init__(self, segment: Segment, sample_rate: int) -> None:
        self._peaks: NDArray[np.float32] = segment["meters"]
        self._levels: NDArray[np.float32] = segment["levels"]
        self._rate = sample_rate
        self._frames = 0
        rows = len(self._levels)
        self._high = np.zeros(2 * rows, np.float32)
        self._power = np.zeros(2 * rows, np.float32)
        self._mean = np.zeros(2 * rows, np.float32)
        self._peak = np.zeros(2 * rows, np.float32)

    @staticmethod
    def specs(rows: int) -> tuple[ArraySpec, ArraySpec]:
        """What a segment needs for `rows` stereo results, main first."""
        return array("meters", (rows, 2)), array("levels", (rows + 1, 2, 2))

    def take(self, block: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Measure a callback's input and output. Shape: `(2, frames)` and `(2 * rows, frames)`."""
        frames = block.shape[1]
        if frames != self._frames:
            self._set(frames)
        sizes = self._sizes
        np.abs(block, out=sizes[:2])
        np.abs(out, out=sizes[2:])
        sizes.max(axis=1, out=self._high)
        np.einsum("ij,ij->i", sizes, sizes, out=self._power)
        np.maximum(self._peaks * _OLD_DECAY, self._high[2:].reshape(-1, 2), out=self._peaks)
        self._peak *= self._fall
        np.maximum(self._peak, self._high, out=self._peak)
        self._power *= self._share_of_frame
        self._mean *= self._keep
        self._mean += self._power
        self._levels[:, 0] = self._peak.reshape(-1, 2)
        self._levels[:, 1] = self._mean.reshape(-1, 2)

    def _set(self, frames: int) -> None:
        self._frames = frames
        self._sizes = np.zeros((len(self._high), frames), np.float32)
        seconds = frames / self._rate
        self._fall = np.float32(10 ** (-_FALL_DB_PER_SECOND * seconds / 20))
        self._keep = np.float32(np.exp(-seconds / _MEAN_SECONDS))
        self._share_of_frame = np.float32((1 - self._keep) / frames)


def levels_dbfs(segment: Segment) -> list[tuple[float, float, float, float]]:
    """Peak left and right and mean power left and right of the input, main and the stems, in dBFS."""
    levels = segment["levels"].astype(np.float64)
    levels[:, 1] = np.sqrt(levels[:, 1])
    decibels = 20 * np.log10(np.maximum(levels, 10 ** (_FLOOR_DB / 20)))
    return [(row[0], row[1], row[2], row[3]) for row in decibels.reshape(-1, 4).tolist()]
