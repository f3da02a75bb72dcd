"""The time of day as frames of the input: what a time tag means to a running engine.

A callback says how many frames had come in when it was called. It is called on time or late, by anything from
microseconds to many milliseconds, and never early; so the line that runs below all of its times, and not
through their middle, is the device's clock. The slope is trusted only as far as some seconds can tell it.
What is told to others is a line of its own that bends towards the measured one so slowly that two tags keep
their distance to the sample.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import pairwise
from typing import NamedTuple

_BIN_SECONDS = 0.25
_WINDOW_SECONDS = 30.0
_SLOPE_FROM_SECONDS, _SLOPE_WHOLE_SECONDS = 5.0, 15.0
"""The age of a measurement from which its slope counts, and from which it counts entirely."""
_MOST_DRIFT = 500e-6
_YOUNG_SECONDS = 2.0
_STEP_SECONDS = 0.002
"""An error beyond this is not a drift but a jump: of the clock, or of frames that were lost."""
_BREAK_SECONDS = 0.25
_LATE_BINS = 4
_BEND_SECONDS = 5.0
_MOST_BEND = 20e-6
_TURN_SECONDS = 0.001
_TURN_SHARE = 0.01


class _Seen(NamedTuple):
    """The least late tag of a while: its frames, and how late it is against the nominal rate, in seconds."""

    frames: int
    late: float


class FrameClock:
    """Maps times to the absolute frames of the input that come in then, from the time tags of callbacks.

    `steady` is False for an input that comes as fast as it is taken, a file's: there is no clock to follow,
    and a tag counts from the newest frame on at the nominal rate, so that only the distances of tags that
    arrive together mean something.
    """

    def __init__(self, sample_rate: int, steady: bool = True) -> None:
        self._rate, self._steady = sample_rate, steady
        self._turn_ns: int | None = None
        self._last: tuple[int, int] | None = None
        self._bins: deque[_Seen] = deque()
        self._restart()

    def _restart(self) -> None:
        self._bins.clear()
        self._open: _Seen | None = None
        self._open_end = 0
        self._line: tuple[int, float, float] | None = None  # a time in ns, its frame, frames per second
        self._measured: tuple[float, float] | None = None  # lateness at frame 0 and its drift per frame
        self._begun_ns = 0

    def note(self, frames: int, at_ns: int) -> None:
        """So many frames had come in at a time of `time.monotonic_ns`."""
        if self._last is not None and frames <= self._last[0]:
            return
        self._last = frames, at_ns
        if not self._steady or self._line is None:
            self._line = at_ns, float(frames), float(self._rate)
            self._begun_ns = self._origin_ns = at_ns
            self._origin = frames
        if not self._steady:
            return
        seen = _Seen(frames - self._origin, self._lateness(frames, at_ns))
        if abs(seen.late - self._expected(seen.frames)) > _BREAK_SECONDS:
            self._restart()
            self._last = None
            self.note(frames, at_ns)
            return
        if self._open is None or frames >= self._open_end:
            self._close(at_ns)
            self._open, self._open_end = seen, frames + round(_BIN_SECONDS * self._rate)
        elif seen.late - self._expected(seen.frames) < self._open.late - self._expected(self._open.frames):
            self._open = seen

    def _lateness(self, frames: int, at_ns: int) -> float:
        return (at_ns - self._origin_ns) / 1e9 - (frames - self._origin) / self._rate

    def _expected(self, frames: int) -> float:
        if self._measured is None:
            return 0.0
        late, drift = self._measured
        return late + drift * frames

    def _close(self, now_ns: int) -> None:
        """Take in what was least late of the last while, and bend the line towards it."""
        if self._open is None:
            return
        self._bins.append(self._open)
        while self._bins[-1].frames - self._bins[0].frames > _WINDOW_SECONDS * self._rate:
            self._bins.popleft()
        recent = list(self._bins)[-_LATE_BINS:]
        if len(self._bins) > _LATE_BINS and all(
            seen.late - self._expected(seen.frames) > _STEP_SECONDS for seen in recent
        ):
            # Not late callbacks but lost frames: what was before says nothing any more.
            self._bins = deque(recent)
        self._measured = self._fitted()
        self._bend(now_ns)

    def _fitted(self) -> tuple[float, float]:
        """The line below all latenesses: its value at frame 0, and its slope in seconds a frame."""
        seconds = (self._bins[-1].frames - self._bins[0].frames) / self._rate
        share = (seconds - _SLOPE_FROM_SECONDS) / (_SLOPE_WHOLE_SECONDS - _SLOPE_FROM_SECONDS)
        drift = _slope_below(list(self._bins)) if share > 0 else 0.0
        drift = min(max(drift * min(share, 1.0), -_MOST_DRIFT / self._rate), _MOST_DRIFT / self._rate)
        return min(seen.late - drift * seen.frames for seen in self._bins), drift

    def _bend(self, now_ns: int) -> None:
        assert self._line is not None
        assert self._measured is not None
        late, drift = self._measured
        # late + drift * n = t - n / rate, solved for the frame n at the time t
        hertz = 1.0 / (1.0 / self._rate + drift)
        measured = self._origin + ((now_ns - self._origin_ns) / 1e9 - late) * hertz
        told = self._frame(now_ns)
        error = measured - told
        young = now_ns - self._begun_ns < _YOUNG_SECONDS * 1e9
        if young or abs(error) > _STEP_SECONDS * self._rate:
            told, error = measured, 0.0
        bend = min(max(error / _BEND_SECONDS, -_MOST_BEND * self._rate), _MOST_BEND * self._rate)
        self._line = now_ns, told, hertz + bend

    def _frame(self, at_ns: int) -> float:
        assert self._line is not None
        begin_ns, frame, hertz = self._line
        return frame + (at_ns - begin_ns) / 1e9 * hertz

    def frame_at(self, at_ns: int) -> int:
        """The frame that comes in at a time of `time.monotonic_ns`; 0 before anything is known."""
        return round(self._frame(at_ns)) if self._line is not None else 0

    def frame_of(self, seconds: float) -> int:
        """The frame that comes in at a time of `time.time`."""
        return self.frame_at(round(seconds * 1e9) - self._turn())

    def _turn(self) -> int:
        """By how much the time of day is ahead of the monotonic clock, in nanoseconds.

        It is followed slowly, since both are never read at quite the same instant; a clock that was set
        is followed at once.
        """
        before = time.monotonic_ns()
        day = time.time_ns()
        turn = day - (before + time.monotonic_ns()) // 2
        if self._turn_ns is None or abs(turn - self._turn_ns) > _TURN_SECONDS * 1e9:
            self._turn_ns = turn
        else:
            self._turn_ns += round((turn - self._turn_ns) * _TURN_SHARE)
        return self._turn_ns


def _slope_below(points: list[_Seen]) -> float:
    """The slope of the lower convex hull over the middle of the points.

    The hull's edge there belongs to the line below all points that is nearest to them on average (Zhang,
    Liu, Xia: Clock synchronization algorithms for network measurements, INFOCOM 2002).
    """
    hull: list[_Seen] = []
    for point in points:
        while len(hull) >= 2 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = sum(point.frames for point in points) / len(points)
    for left, right in pairwise(hull):
        if right.frames >= middle:
            return (right.late - left.late) / (right.frames - left.frames)
    return 0.0


def _turns_right(a: _Seen, b: _Seen, c: _Seen) -> bool:
    return (b.late - a.late) * (c.frames - a.frames) >= (c.late - a.late) * (b.frames - a.frames)
