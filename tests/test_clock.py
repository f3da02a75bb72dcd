"""The time of day as frames: late callbacks, clocks that drift, devices that go and come back."""

from __future__ import annotations

import time

import numpy as np
import pytest

from plugin_bridge.control.clock import FrameClock

RATE = 44100
BLOCK = 256
SECOND = 1_000_000_000
BEGIN = 123 * SECOND


class Device:
    """Callbacks of a clock that drifts, each late by chance, and where the frames really were."""

    def __init__(self, clock: FrameClock, drift: float = 0.0, late_ms: float = 1.0, seed: int = 0) -> None:
        self._clock, self.hertz = clock, RATE * (1 + drift)
        self._random = np.random.default_rng(seed)
        self._late_ms = late_ms
        self.frames, self.lost = 0, 0

    def now_ns(self) -> int:
        return BEGIN + round((self.frames + self.lost) / self.hertz * SECOND)

    def true_frame(self, at_ns: int) -> float:
        return (at_ns - BEGIN) / SECOND * self.hertz - self.lost

    def run(self, seconds: float, every: int = 4) -> None:
        """Play; of so many callbacks one is seen, as by who looks fifty times a second."""
        for count in range(round(seconds * self.hertz / BLOCK)):
            self.frames += BLOCK
            late = self._random.exponential(self._late_ms)
            if self._random.random() < 0.01:
                late += 30 * self._random.random()
            if count % every == 0:
                self._clock.note(self.frames, self.now_ns() + round(late * 1e6))


def errors(clock: FrameClock, device: Device, ahead_seconds: float) -> float:
    at = device.now_ns() + round(ahead_seconds * SECOND)
    return clock.frame_at(at) - device.true_frame(at)


@pytest.mark.parametrize("drift", [0.0, 80e-6, -80e-6])
@pytest.mark.parametrize("seed", [1, 2])
def test_tags_half_a_second_apart_keep_their_distance_to_the_sample(drift: float, seed: int) -> None:
    clock = FrameClock(RATE)
    device = Device(clock, drift, seed=seed)
    device.run(20)
    for _ in range(100):
        now = device.now_ns()
        first = clock.frame_at(now + SECOND // 4)
        device.run(0.2)  # the second tag is looked up later than the first
        second = clock.frame_at(now + SECOND // 4 + SECOND // 2)
        assert abs(second - first - round(RATE / 2 * (1 + drift))) <= 1
        assert abs(clock.frame_at(now + SECOND) - clock.frame_at(now + SECOND // 2) - RATE / 2) <= 3


@pytest.mark.parametrize("drift", [0.0, 80e-6])
def test_frames_are_where_the_device_had_them_however_late_its_callbacks_are(drift: float) -> None:
    clock = FrameClock(RATE)
    device = Device(clock, drift, late_ms=1.0)
    device.run(60)
    for _ in range(50):
        device.run(0.5)
        assert abs(errors(clock, device, 0.5)) < 0.0003 * RATE


def test_what_a_time_means_changes_by_less_than_two_frames_at_a_time() -> None:
    clock = FrameClock(RATE)
    device = Device(clock, 50e-6, late_ms=2.0)
    device.run(5)
    for _ in range(400):
        at = device.now_ns() + SECOND // 2
        before = clock.frame_at(at)
        device.run(0.1)
        assert abs(clock.frame_at(at) - before) < 2


def test_a_device_that_was_away_goes_on_where_it_was() -> None:
    clock = FrameClock(RATE)
    device = Device(clock)
    device.run(10)
    device.lost += 5 * RATE  # five seconds pass without a frame
    device.run(3)
    assert abs(errors(clock, device, 0.5)) < 0.001 * RATE
    device.run(20)
    assert abs(errors(clock, device, 0.5)) < 0.0003 * RATE


def test_blocks_that_were_lost_are_noticed_within_seconds() -> None:
    clock = FrameClock(RATE)
    device = Device(clock)
    device.run(20)
    device.lost += 4 * BLOCK
    device.run(3)
    assert abs(errors(clock, device, 0.2)) < 0.001 * RATE


def test_a_late_callback_alone_moves_nothing() -> None:
    clock = FrameClock(RATE)
    device = Device(clock, late_ms=0.0)
    device.run(10)
    at = device.now_ns() + SECOND
    before = clock.frame_at(at)
    clock.note(device.frames + BLOCK, device.now_ns() + round(BLOCK / RATE * SECOND) + 100_000_000)
    assert clock.frame_at(at) == before


def test_without_a_clock_a_tag_counts_from_the_newest_frame() -> None:
    clock = FrameClock(RATE, steady=False)
    clock.note(1000, BEGIN)
    clock.note(500_000, BEGIN + 1_000_000)  # far faster than real time
    assert clock.frame_at(BEGIN + 1_000_000) == 500_000
    assert clock.frame_at(BEGIN + 501_000_000) == 500_000 + RATE // 2


def test_the_time_of_day_is_the_monotonic_clocks_turned() -> None:
    clock = FrameClock(RATE)
    clock.note(7000, time.monotonic_ns())
    ahead = clock.frame_of(time.time() + 0.5) - 7000
    assert RATE / 2 - 10 <= ahead <= RATE  # some time passes between the two lines
    now = time.time()
    assert clock.frame_of(now + 0.5) - clock.frame_of(now) in range(RATE // 2 - 2, RATE // 2 + 3)


def test_before_the_first_callback_every_time_is_the_first_frame() -> None:
    assert FrameClock(RATE).frame_of(time.time()) == 0
