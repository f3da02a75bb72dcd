"""A ring of audio addressed by absolute frame positions.

One process writes, any number read. A reader asks for frames by their position since the engine's
start and is told whether they are there: not yet written, or already written over, is no. A late or
dead reader holds nothing up, and a late result can never be played out of place.
"""

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live.shared import ArraySpec, Segment, array, fence


class Ring:
    """The last `capacity` frames of `rows` signals, `(rows, capacity)`, in a shared segment."""

    def __init__(self, segment: Segment, name: str) -> None:
        self._audio: NDArray[np.float32] = segment[f"{name}.audio"]
        # [0]: the position up to which the ring is written. [1]: up to which a write may be under way.
        # [2]: the position of the oldest frame there ever was. [3]: how often it was begun anew.
        self._index: NDArray[np.int64] = segment[f"{name}.index"]
        self.capacity = self._audio.shape[1]

    @staticmethod
    def specs(name: str, rows: int, capacity: int) -> tuple[ArraySpec, ArraySpec]:
        """What a segment needs for a ring; `capacity` is rounded up to a power of two."""
        room = 1 << (capacity - 1).bit_length()
        return array(f"{name}.audio", (rows, room)), array(f"{name}.index", (8,), np.int64)

    @property
    def end(self) -> int:
        """The position behind the newest frame."""
        return int(self._index[0])

    def start_at(self, position: int) -> None:
        """Begin anew at a position; what was written before is gone. Before position 0 there is silence."""
        self._index[3] += 1  # who is reading now has read in vain
        self._index[2] = position
        fence()
        if position == 0:
            self._audio.fill(0)
        self._index[1] = position
        self._index[0] = position
        self._index[2] = -self.capacity if position == 0 else position

    def write(self, audio: NDArray[np.float32]) -> None:
        """Add frames at the end. Shape: `(rows, frames)`, at most `capacity` frames."""
        begin, frames = int(self._index[0]), audio.shape[1]
        self._index[1] = begin + frames
        fence()
        at = begin & (self.capacity - 1)
        first = min(frames, self.capacity - at)
        self._audio[:, at : at + first] = audio[:, :first]
        if first < frames:
            self._audio[:, : frames - first] = audio[:, first:]
        fence()
        self._index[0] = begin + frames

    def holds(self, position: int, frames: int) -> bool:
        """Whether all frames from a position on are there."""
        oldest = max(int(self._index[2]), int(self._index[1]) - self.capacity)
        return oldest <= position and position + frames <= int(self._index[0])

    def read(self, position: int, into: NDArray[np.float32]) -> bool:
        """Copy frames from a position on; False, and no promise about `into`, if they are not all there.

        Shape: `(rows, frames)`.
        """
        frames, begun = into.shape[1], self._index[3]
        if not self.holds(position, frames):
            return False
        fence()
        at = position & (self.capacity - 1)
        first = min(frames, self.capacity - at)
        into[:, :first] = self._audio[:, at : at + first]
        if first < frames:
            into[:, first:] = self._audio[:, : frames - first]
        # The writer may have come round while we copied, or begun anew.
        fence()
        return bool(begun == self._index[3]) and self.holds(position, frames)
