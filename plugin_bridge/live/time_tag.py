"""When which frame came in: what an audio callback notes, and the control process reads."""

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live.shared import ArraySpec, Segment, array, fence

_TRIES = 8


class TimeTag:
    """The newest frame of the input and its time, in shared memory.

    The first word is odd while the others are being written, so that nobody takes the frame of one callback
    for that of another.
    """

    def __init__(self, segment: Segment) -> None:
        self._words: NDArray[np.int64] = segment["time_tag"]

    @staticmethod
    def spec() -> ArraySpec:
        """What a segment needs for it."""
        return array("time_tag", (3,), np.int64)

    def note(self, frames: int, at_ns: int) -> None:
        """So many frames had come in at a time of `time.monotonic_ns`."""
        words = self._words
        words[0] += 1
        fence()
        words[1], words[2] = frames, at_ns
        fence()
        words[0] += 1

    def read(self) -> tuple[int, int] | None:
        """The frames and the time of the last callback; None before the first, or where it is overtaken."""
        words = self._words
        for _ in range(_TRIES):
            before = int(words[0])
            fence()
            frames, at_ns = int(words[1]), int(words[2])
            fence()
            if before and not before & 1 and before == int(words[0]):
                return frames, at_ns
        return None
