"""What happens in an audio callback: input in, delayed mix or worker's result out, nothing else.

No callback waits, locks, opens, logs or computes a model. Everything it needs lies in arrays that were
made before the engine started. Positions are absolute frames since the start, so that what a worker
computed for frame p is played `latency` frames after frame p came in, or never.
"""

from collections.abc import Sequence
from multiprocessing.synchronize import Semaphore
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live.latency import FADE_FRAMES
from plugin_bridge.live.meters import Meters
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import ArraySpec, Segment, array
from plugin_bridge.live.time_tag import TimeTag
from plugin_bridge.live.worker_words import STATISTICS, worker_specs
from plugin_bridge.separation.gate import finite

SLOTS = 2
"""Workers: one that plays and one that stands by."""

COUNTERS = (
    "frames",
    "callbacks",
    "late_blocks",
    "fallback_frames",
    "silenced_blocks",
    "joins",
    "playing",
    "refused_block",
)
"""What the audio process counts, in the order of the shared array."""

_WORKING = STATISTICS.index("working")
_FALLBACK, _PLAYING = COUNTERS.index("fallback_frames"), COUNTERS.index("playing")

DRY = -1
"""The number of the source that is the delayed mix itself."""


def playback_specs(rows: int, capacity: int) -> tuple[ArraySpec, ...]:
    """What the segment needs for the playback of `rows` stereo results (main first, then the stems)."""
    rings = [spec for slot in range(SLOTS) for spec in Ring.specs(f"out{slot}", 2 * rows, capacity)]
    statistics = [spec for slot in range(SLOTS) for spec in worker_specs(slot)]
    words = (
        array("counters", (len(COUNTERS),), np.int64),
        array("wanted", (8,), np.int64),
        *Meters.specs(rows),
        TimeTag.spec(),
    )
    return (*Ring.specs("in", 2, capacity), *rings, *words, *statistics)


class Playback:
    """The audio side of an engine, called once for each host block.

    `wanted[0]` says which worker's results to play, `DRY` for none; the control process writes it.
    """

    def __init__(
        self,
        segment: Segment,
        rows: int,
        latency: int,
        largest_block: int,
        wakes: Sequence[Semaphore],
        sample_rate: int = 48000,
    ) -> None:
        self._input = Ring(segment, "in")
        self._results = [Ring(segment, f"out{slot}") for slot in range(SLOTS)]
        self._counters: NDArray[np.int64] = segment["counters"]
        self._wanted: NDArray[np.int64] = segment["wanted"]
        self._meters, self._time_tag = Meters(segment, sample_rate), TimeTag(segment)
        self._statistics = [segment[f"statistics{slot}"] for slot in range(SLOTS)]
        self._wakes = wakes
        self._latency, self._largest = latency, largest_block
        self._out = np.zeros((2 * rows, largest_block), np.float32)
        self._old = np.zeros((2 * rows, FADE_FRAMES), np.float32)
        self._rise = (np.arange(1, FADE_FRAMES + 1, dtype=np.float32) / FADE_FRAMES)[None]
        self._playing = self._from = DRY
        self._faded = FADE_FRAMES
        self._counters[_PLAYING] = DRY

    def process(self, block: NDArray[np.float32], at_ns: int = 0) -> NDArray[np.float32]:
        """Take the input of a callback and give what is to be played, valid until the next call.

        `at_ns` is the time of `monotonic_ns` at which the block was complete, 0 for now. A block
        larger than the latency was planned for is played as the delayed mix, in time, and counted.
        Shape: `(2, frames)` to `(2 * rows, frames)`: main left and right, then each stem's.
        """
        at_ns = at_ns or monotonic_ns()
        frames = block.shape[1]
        clean, _ = finite(block)
        if clean is not block:
            self._count("silenced_blocks")
        wanted = int(self._wanted[0]) if frames <= self._largest else DRY
        if frames > self._largest:
            self._refuse(frames)
        self._input.write(clean)
        self._time_tag.note(self._input.end, at_ns)
        for statistics, wake in zip(self._statistics, self._wakes, strict=True):
            if statistics[_WORKING]:
                wake.release()
        out = self._out[:, :frames]
        self._fill(wanted, self._input.end - frames - self._latency, out)
        self._count("callbacks")
        self._counters[0] = self._input.end
        self._meters.take(clean, out)
        return out

    def _refuse(self, frames: int) -> None:
        self._counters[COUNTERS.index("refused_block")] = frames
        self._counters[_FALLBACK] += frames
        if frames > self._out.shape[1]:
            self._out = np.zeros((len(self._out), frames), np.float32)

    def close(self) -> None:
        """Let go of the shared memory."""
        self.__dict__.clear()

    def ready(self, frames: int) -> bool:
        """Whether the next block of so many frames is as good as it gets; a freewheeling host waits."""
        wanted = int(self._wanted[0]) if frames <= self._largest else DRY
        position = self._input.end - self._latency
        return wanted == DRY or self._results[wanted].holds(position, frames + FADE_FRAMES)

    def _fill(self, wanted: int, position: int, out: NDArray[np.float32]) -> None:
        source = wanted
        if wanted != DRY and not self._wet(wanted, position, out):
            source = DRY
            if position >= 0:
                self._count("late_blocks")
                self._counters[_FALLBACK] += out.shape[1]
        if source != self._playing:
            source = self._join(source, position, out)
        if source == DRY:
            self._dry(position, out)
        if self._faded < FADE_FRAMES:
            self._fade(position, out)

    def _wet(self, source: int, position: int, out: NDArray[np.float32]) -> bool:
        """Fill from a worker's results, if they reach far enough for a join at the end of the block."""
        results = self._results[source]
        return results.holds(position, out.shape[1] + FADE_FRAMES) and results.read(position, out)

    def _dry(self, position: int, out: NDArray[np.float32]) -> None:
        """Fill with the delayed mix on main and silence on the stems."""
        out[2:] = 0
        if not self._input.read(position, out[:2]):
            self._partly(position, out[:2])

    def _join(self, source: int, position: int, out: NDArray[np.float32]) -> int:
        """Begin to fade to a source, and say which one `out` must hold."""
        if self._faded < FADE_FRAMES:
            if source == self._from:
                self._faded = FADE_FRAMES - self._faded  # turn round where we are
            elif self._playing == DRY or self._results[self._playing].read(position, out):
                return self._playing  # a third source waits until the fade under way has ended
            else:
                self._faded = 0
        else:
            self._faded = 0
        self._from, self._playing = self._playing, source
        self._counters[_PLAYING] = source
        self._count("joins")
        return source

    def _partly(self, position: int, out: NDArray[np.float32]) -> None:
        # The time before the engine's first frame is silence.
        before = min(out.shape[1], max(0, -position))
        out[:, :before] = 0
        if before < out.shape[1] and not self._input.read(position + before, out[:, before:]):
            out[:, before:] = 0

    def _fade(self, position: int, out: NDArray[np.float32]) -> None:
        """Fade in from what was played before; both are the same song, so in a straight line."""
        frames = min(FADE_FRAMES - self._faded, out.shape[1])
        old = self._old[:, :frames]
        if self._from == DRY or not self._results[self._from].read(position, old):
            self._dry(position, old)
        rise = self._rise[:, self._faded : self._faded + frames]
        out[:, :frames] = old + (out[:, :frames] - old) * rise
        self._faded += frames

    def _count(self, name: str) -> None:
        self._counters[COUNTERS.index(name)] += 1
