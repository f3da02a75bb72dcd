"""The audio callback with a worker driven by hand: late, lost, swapped, and never out of place."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from plugin_bridge.live.crew import SPAWN
from plugin_bridge.live.latency import FADE_FRAMES
from plugin_bridge.live.playback import COUNTERS, DRY, SLOTS, Playback, playback_specs
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS

ROWS = 2  # main and one stem
LATENCY = 700
LARGEST = 512
WET = (1.0, -1.0)
"""What the worker of each slot adds to main; so that main less the mix says what is being played."""


class Desk:
    """A playback, its memory, and both workers' results, written when a test says so."""

    def __init__(self) -> None:
        self.segment = Segment(playback_specs(ROWS, 20_000))
        self.wakes = [SPAWN.Semaphore(0) for _ in range(SLOTS)]
        self.playback = Playback(self.segment, ROWS, LATENCY, LARGEST, self.wakes)
        self.results = [Ring(self.segment, f"out{slot}") for slot in range(SLOTS)]
        self.results[0].start_at(0)
        self.want(0)
        self.fed: list[np.ndarray] = []
        self.heard: list[np.ndarray] = []
        self.position = 0

    def close(self) -> None:
        self.playback.close()
        del self.results
        self.segment.close()

    def want(self, source: int) -> None:
        self.segment["wanted"][0] = source

    def count(self, name: str) -> int:
        return int(self.segment["counters"][COUNTERS.index(name)])

    def mix(self, position: int, frames: int) -> np.ndarray:
        """The input at a position, silence before the first frame; eighths, so that sums are exact."""
        at = np.arange(position, position + frames)
        left = np.where(at >= 0, (at % 251 + 1) / 8, 0)
        return np.stack([left, -left]).astype(np.float32)

    def work(self, slot: int, end: int) -> None:
        """Write results up to a position, or no more if they are there."""
        ring = self.results[slot]
        frames = end - ring.end
        if frames > 0:
            main = self.mix(ring.end, frames) + np.float32(WET[slot])
            ring.write(np.concatenate([main, np.full_like(main, WET[slot])]))

    def call(self, frames: int) -> np.ndarray:
        """One callback; what was played, `(2 * ROWS, frames)`."""
        out = self.playback.process(self.mix(self.position, frames)).copy()
        self.position += frames
        self.heard.append(out)
        return out

    def needed(self, frames: int) -> int:
        """Up to where results must reach for the next callback to be wet."""
        return self.position - LATENCY + frames + FADE_FRAMES

    def weight(self) -> np.ndarray:
        """What main was more than the delayed mix, frame by frame; 0 where it was the delayed mix itself."""
        heard = np.concatenate(self.heard, axis=1)
        mix = self.mix(-LATENCY, heard.shape[1])
        right, left = heard[1] - mix[1], heard[0] - mix[0]
        np.testing.assert_allclose(left, right, atol=1e-5)
        return left


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_what_a_worker_gives_in_time_is_played_in_place(desk: Desk) -> None:
    for frames in (256, 64, 512, 100, 16, 441) * 3:
        desk.work(0, desk.needed(frames))
        desk.call(frames)
    heard = np.concatenate(desk.heard, axis=1)
    sounds = heard[:, LATENCY:]
    np.testing.assert_array_equal(sounds[:2], desk.mix(0, sounds.shape[1]) + 1)
    np.testing.assert_array_equal(sounds[2:], 1)
    assert not heard[:, : LATENCY - LARGEST].any()
    assert desk.count("late_blocks") == desk.count("fallback_frames") == 0
    assert desk.count("frames") == heard.shape[1]


@pytest.mark.parametrize("block", [16, 63, 64, 256])
def test_a_late_block_is_joined_to_the_delayed_mix_in_a_straight_line(desk: Desk, block: int) -> None:
    wet_until = -(-2000 // block) * block
    while desk.position < wet_until:
        desk.work(0, desk.needed(block))
        desk.call(block)
    while desk.position < wet_until + 2000:
        desk.call(block)
    returned = desk.position
    while desk.position < returned + 2000:
        desk.work(0, desk.needed(block))
        desk.call(block)
    expected = np.ones(desk.position)
    down = 1 - np.arange(1, FADE_FRAMES + 1) / FADE_FRAMES
    expected[wet_until:returned] = 0
    expected[wet_until : wet_until + FADE_FRAMES] = down
    expected[returned : returned + FADE_FRAMES] = down[::-1] + 1 / FADE_FRAMES
    weight = desk.weight()
    np.testing.assert_allclose(weight[LATENCY:], expected[LATENCY:], atol=1e-5)
    stem = np.concatenate(desk.heard, axis=1)[2]
    np.testing.assert_allclose(stem[LATENCY:], expected[LATENCY:], atol=1e-5)
    assert desk.count("fallback_frames") == returned - wet_until
    assert desk.count("late_blocks") == (returned - wet_until) // block


def test_late_results_are_never_played(desk: Desk) -> None:
    block = 128
    for _ in range(20):
        desk.work(0, desk.needed(block))
        desk.call(block)
    for _ in range(20):
        desk.call(block)
        desk.work(0, desk.position - LATENCY)  # right after they were due
    dry = desk.weight()[-19 * block :]
    np.testing.assert_array_equal(dry, 0)
    assert desk.count("late_blocks") == 20


def test_a_result_that_reaches_no_further_than_the_block_does_not_suffice(desk: Desk) -> None:
    """The frames for a join must be there, or a worker that dies now could not be left without a click."""
    block = 128
    for _ in range(20):
        desk.work(0, desk.needed(block) - 1)
        desk.call(block)
    assert not desk.weight()[LATENCY:].any()


@pytest.mark.parametrize("smallest", [1, 64])
def test_whatever_comes_late_no_step_is_larger_than_the_join_allows(
    desk: Desk, smallest: int, seed: int
) -> None:
    """Blocks of any size, lateness of any length, also inside a join; two workers where a block holds one."""
    draw = random.Random(seed)
    desk.results[1].start_at(0)
    for _ in range(4000):
        frames = draw.choice([smallest, draw.randrange(smallest, 80), draw.randrange(80, LARGEST)])
        if smallest == 64 and draw.random() < 0.05:
            desk.want(draw.choice([0, 1, DRY]))
        for slot in range(SLOTS):
            if draw.random() < 0.8:
                desk.work(slot, desk.needed(frames))
        desk.call(frames)
    weight = desk.weight()
    largest_step = 1 if smallest == 1 else max(WET) - min(WET)
    assert np.abs(np.diff(weight[LATENCY:])).max() <= largest_step / FADE_FRAMES + 1e-4
    assert desk.count("joins") > 500


def test_a_join_turned_round_in_the_middle_does_not_jump(desk: Desk) -> None:
    while desk.position < 2000:
        desk.work(0, desk.needed(16))
        desk.call(16)
    desk.call(16)  # late: on the way to dry
    desk.call(16)
    desk.work(0, desk.needed(16))
    desk.call(16)  # and back, from half-way
    weight = desk.weight()[-48:]
    np.testing.assert_allclose(
        weight, 1 - np.concatenate([np.arange(1, 33), np.arange(31, 15, -1)]) / 64, atol=1e-5
    )


def test_another_worker_is_joined_in_a_straight_line(desk: Desk) -> None:
    for slot in (0, 1, 0):
        desk.want(slot)
        if slot:
            desk.results[1].start_at(desk.position - LATENCY)
        begin = desk.position
        for _ in range(10):
            for each in range(SLOTS):
                desk.work(each, desk.needed(256))
            desk.call(256)
        if begin:
            change = desk.weight()[begin : begin + FADE_FRAMES + 1]
            line = WET[1 - slot] + (WET[slot] - WET[1 - slot]) * np.arange(1, 65) / 64
            np.testing.assert_allclose(change[:64], line, atol=1e-5)
            assert change[64] == WET[slot]
    assert desk.count("late_blocks") == 0


def test_bypass_plays_the_delayed_mix_and_counts_nothing_late(desk: Desk) -> None:
    for _ in range(10):
        desk.work(0, desk.needed(256))
        desk.call(256)
    desk.want(DRY)
    begin = desk.position
    for _ in range(10):
        desk.call(256)
    assert not desk.weight()[begin + FADE_FRAMES :].any()
    assert desk.count("late_blocks") == desk.count("fallback_frames") == 0
    assert desk.count("playing") == DRY


@pytest.mark.parametrize("frames", [LARGEST + 1, 4096, 8192])
def test_a_block_that_was_not_planned_for_is_the_delayed_mix_in_time(desk: Desk, frames: int) -> None:
    for size in (256, 256, 256, 256, frames, 256, frames, 256, 256):
        desk.work(0, desk.position + size)  # there in time, whatever the size
        desk.call(size)
    weight = desk.weight()
    assert np.abs(np.diff(weight[LATENCY:])).max() <= 1 / FADE_FRAMES + 1e-5
    begin = 4 * 256
    assert not weight[begin + FADE_FRAMES : begin + frames].any()
    assert weight[-1] == 1
    assert desk.count("refused_block") == frames
    assert desk.count("fallback_frames") == 2 * frames


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_number_is_silence_and_counted(desk: Desk, bad: float) -> None:
    desk.want(DRY)
    block = desk.mix(0, 256)
    block[0, 100:103] = bad
    played = [desk.playback.process(block).copy()]
    assert np.isnan(block[0, 100]) or block[0, 100] == np.float32(bad)  # the host's memory stays as it was
    for _ in range(5):
        played.append(desk.playback.process(np.zeros((2, 256), np.float32)).copy())
    heard = np.concatenate(played, axis=1)
    expected = desk.mix(0, 256)
    expected[0, 100:103] = 0
    np.testing.assert_array_equal(heard[:2, LATENCY : LATENCY + 256], expected)
    assert desk.count("silenced_blocks") == 1


def test_only_a_worker_that_works_is_woken(desk: Desk) -> None:
    desk.segment["statistics1"][STATISTICS.index("working")] = 1
    for _ in range(3):
        desk.call(256)
    assert [wake.acquire(block=False) for wake in desk.wakes] == [False, True]
    assert desk.wakes[1].acquire(block=False)


def test_a_freewheeling_host_waits_until_the_block_would_be_wet(desk: Desk) -> None:
    desk.call(256)
    desk.work(0, 0)
    while desk.position < 2000:
        assert not desk.playback.ready(256) or desk.needed(256) <= 0
        desk.work(0, desk.needed(256))
        assert desk.playback.ready(256)
        desk.call(256)
    assert desk.playback.ready(LARGEST + 1)  # never wet, so nothing to wait for
    desk.want(DRY)
    assert desk.playback.ready(256)


def test_a_result_ring_begun_anew_while_it_plays_is_left_for_the_mix(desk: Desk) -> None:
    """A new process in the place of a lost one: its first results are far from what is due."""
    for _ in range(10):
        desk.work(0, desk.needed(256))
        desk.call(256)
    desk.results[0].start_at(desk.position + 5000)
    for _ in range(4):
        desk.call(256)
    assert not desk.weight()[-3 * 256 :].any()
    assert desk.count("late_blocks") == 4
