"""What a worker does with its time: whose fault a late hop is, silence, and input that ran away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.live.figures import worker_figures
from plugin_bridge.live.playback import playback_specs
from plugin_bridge.live.protocol import Applied, Moves, Unable
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.work import Place, Work
from plugin_bridge.live.worker_words import STATISTICS, bin_seconds, percentiles, time_bin
from plugin_bridge.separation.gate import GatedStream
from plugin_bridge.separation.separator import Audio, Stems, Stream

HOP = 256


@dataclass
class Slow:
    """A separator that counts its hops, and sleeps or computes in each."""

    sleep_seconds: float = 0.0
    compute_seconds: float = 0.0
    sources: tuple[str, ...] = ("voice", "rest")
    sample_rate: int = 4096
    channels: int = 2
    hops: list[float] = field(default_factory=list)

    def stream(self) -> Stream:
        return GatedStream(SlowStream(self))

    def separate(self, mix: Audio) -> Stems:
        return np.stack([mix, np.zeros_like(mix)])


class SlowStream:
    """Gives the mix to the first source."""

    hop, latency, tail = HOP, 0, HOP

    def __init__(self, separator: Slow) -> None:
        self._separator = separator
        self.sources, self.channels = separator.sources, separator.channels

    def reset(self) -> None:
        pass

    def process(self, block: Audio) -> Stems:
        time.sleep(self._separator.sleep_seconds)
        end = time.thread_time() + self._separator.compute_seconds
        while time.thread_time() < end:
            pass
        self._separator.hops.append(float(np.abs(block).max()))
        return np.stack([block, np.zeros_like(block)])


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment(playback_specs(3, 4096))
    Ring(made, "in").start_at(0)
    yield made
    made.close()


def work_with(separator: Slow, segment: Segment) -> Work:
    session = StemBoard(separator).live_session(separator.sample_rate)
    return Work(session, Place(segment, 0), 0)


def count(segment: Segment, name: str) -> int:
    return int(segment["statistics0"][STATISTICS.index(name)])


def feed(segment: Segment, frames: int, level: float = 0.1) -> None:
    Ring(segment, "in").write(np.full((2, frames), level, np.float32))


def test_a_hop_that_computes_for_longer_than_it_lasts_is_an_own_miss(segment: Segment) -> None:
    work = work_with(Slow(compute_seconds=0.07), segment)  # a hop lasts 1/16 s
    feed(segment, 2 * HOP)
    assert work.hop()
    assert work.hop()
    assert not work.hop()
    assert (count(segment, "own_misses"), count(segment, "hops")) == (2, 2)
    assert count(segment, "machine_late") == 0
    assert count(segment, "worst_ns") > 70_000_000


def test_a_hop_that_was_kept_waiting_is_the_machines_lateness(segment: Segment) -> None:
    work = work_with(Slow(sleep_seconds=0.07), segment)
    feed(segment, HOP)
    assert work.hop()
    assert (count(segment, "own_misses"), count(segment, "machine_late")) == (0, 1)


def test_at_digital_silence_the_model_rests(segment: Segment) -> None:
    separator = Slow()
    work = work_with(separator, segment)
    for level in (0.1, 0.0, 0.0, 0.0, 0.0, 0.1):
        feed(segment, HOP, level)
        assert work.hop()
    assert separator.hops == pytest.approx([0.1, 0.0, 0.1])  # one silent hop is the tail's
    assert count(segment, "hops") == 6


def test_a_worker_that_was_away_too_long_begins_anew_where_input_is(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    inputs, results = Ring(segment, "in"), Ring(segment, "out0")
    for _ in range(20):
        feed(segment, 1000)
    while work.hop() or count(segment, "position") + HOP <= inputs.end:
        pass
    assert count(segment, "skipped") == 1
    assert inputs.end - HOP < results.end <= inputs.end
    assert results.holds(results.end - HOP, HOP)
    assert not results.holds(0, HOP)


def test_what_a_lost_worker_counted_still_counts(segment: Segment) -> None:
    work = work_with(Slow(compute_seconds=0.07), segment)
    feed(segment, HOP)
    work.hop()
    worst = count(segment, "worst_ns")
    work = work_with(Slow(), segment)
    feed(segment, HOP)
    work.hop()
    assert (count(segment, "hops"), count(segment, "own_misses")) == (2, 1)
    assert count(segment, "worst_ns") == worst
    figures = worker_figures(segment, HOP / 4096)
    assert (figures["hops"], figures["own_misses"]) == (2, 1)
    assert figures["worker_worst_ms"] >= 70


def test_a_rested_worker_says_so(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    assert count(segment, "working") == 1
    work.rest()
    assert count(segment, "working") == 0


def test_times_fall_into_bins_of_two_percent() -> None:
    for seconds in (1e-7, 1e-6, 0.0003, 0.001, 0.5, 60.0):
        upper = bin_seconds(time_bin(seconds))
        assert seconds <= upper or time_bin(seconds) == 511
        assert upper <= max(seconds, 1e-6) * 2 ** (1 / 32) * 1.001
    times = np.zeros(512, np.int64)
    assert percentiles(times, 0.5) == [0.0]
    times[time_bin(0.001)], times[time_bin(0.01)] = 98, 2
    p50, p98, p99 = percentiles(times, 0.5, 0.98, 0.99)
    assert p50 == p98 == pytest.approx(0.001, rel=0.03)
    assert p99 == pytest.approx(0.01, rel=0.03)


# --- moves ---------------------------------------------------------------------------------------------

VOICE, REST = Key("voice", None, "gain_db"), Key("rest", None, "gain_db")


def test_a_move_at_once_says_from_which_frame_it_counts(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    feed(segment, 3 * HOP)
    assert work.hop()
    work.move(Moves(7, ((VOICE, -6.0), (REST, -3.0))))
    assert work.answers == [Applied(7, ((HOP, VOICE, -6.0), (HOP, REST, -3.0)))]


def test_a_move_for_a_frame_to_come_is_answered_when_it_was_made(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    feed(segment, 4 * HOP)
    work.move(Moves(1, ((VOICE, -6.0),), 2 * HOP + 10))
    work.move(Moves(2, ((VOICE, -3.0),), HOP + 5))
    assert work.answers == []
    assert work.hop()
    assert work.answers == []
    assert work.hop()
    assert work.answers == [Applied(2, ((HOP + 5, VOICE, -3.0),))]
    assert work.hop()
    assert work.answers[1:] == [Applied(1, ((2 * HOP + 10, VOICE, -6.0),))]


def test_a_move_for_a_frame_that_is_past_is_made_at_once(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    feed(segment, 3 * HOP)
    assert work.hop()
    assert work.hop()
    work.move(Moves(1, ((VOICE, -6.0),), 10))
    assert work.answers == [Applied(1, ((2 * HOP, VOICE, -6.0),))]


def test_a_move_that_is_refused_is_complained_of_and_answered(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    work.move(Moves(3, ((VOICE, 99.0), (Key("drums", None, "pan"), 0.0))))
    *complaints, answer = work.answers
    assert answer == Applied(3, ())
    assert ["24 dB" in str(each) for each in complaints] == [True, False]
    work.answers.clear()
    work.move(Moves(4, ((VOICE, 99.0),), HOP + 1))
    feed(segment, 3 * HOP)
    while work.hop():
        pass
    assert any(isinstance(each, Unable) for each in work.answers)


def test_moves_to_come_survive_input_that_ran_away(segment: Segment) -> None:
    work = work_with(Slow(), segment)
    inputs = Ring(segment, "in")
    work.move(Moves(1, ((VOICE, -6.0),), 21_000))
    for _ in range(20):
        feed(segment, 1000)
    work.hop()
    assert count(segment, "skipped") == 1
    feed(segment, 2000)
    while work.hop() or count(segment, "position") + HOP <= inputs.end:
        pass
    assert work.answers == [Applied(1, ((21_000, VOICE, -6.0),))]
