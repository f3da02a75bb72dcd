"""Frames that are made and not yet given: a hop does not come in the blocks that were asked for."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from plugin_bridge.separation.separator import Audio, Stems


class Backlog:
    """A queue of frames in several rows, each `(channels, frames)`.

    Rows stay the arrays that they came as until somebody asks for them, so that an unwanted one costs
    nothing. They must not change after they are put.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._parts: deque[Sequence[Audio]] = deque()
        self._skip = 0
        self.frames = 0

    def put(self, rows: Sequence[Audio], skip: int = 0) -> None:
        """Add frames at the end, all but the first `skip`, which only the first part may have."""
        frames = rows[0].shape[1] - skip
        if frames:
            self._parts.append(rows)
            self._skip += skip
            self.frames += frames

    def take(self, frames: int, row: int) -> Audio:
        """The next frames of one row, `(channels, frames)`; those of the other rows are gone with them."""
        pieces = [part[row][:, span] for part, span in self._passed(frames)]
        if not pieces:
            return np.zeros((self._channels, 0), np.float32)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def take_all(self, frames: int, rows: int) -> Stems:
        """The next frames of all rows, `(rows, channels, frames)`."""
        out = np.empty((rows, self._channels, max(0, frames)), np.float32)
        at = 0
        for part, span in self._passed(frames):
            end = at + span.stop - span.start
            for row, audio in zip(out, part, strict=True):
                row[:, at:end] = audio[:, span]
            at = end
        return out

    def _passed(self, frames: int) -> list[tuple[Sequence[Audio], slice]]:
        """Parts that hold the next frames, and where in them."""
        passed = []
        self.frames -= max(0, frames)
        while frames > 0:
            part, start = self._parts[0], self._skip
            length = part[0].shape[1]
            end = self._skip = min(length, start + frames)
            passed.append((part, slice(start, end)))
            frames -= end - start
            if end == length:
                self._parts.popleft()
                self._skip = 0
        return passed
