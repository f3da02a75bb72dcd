"""One latency: what it is made of, that it suffices, and that an impulse takes exactly so long."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.live.crew import SPAWN
from plugin_bridge.live.latency import FADE_FRAMES, Latency, Need
from plugin_bridge.live.playback import COUNTERS, SLOTS, Playback, playback_specs
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.work import Place, Work

RATES = (44100, 48000, 96000)
BLOCKS = (64, 128, 256, 441, 512, 1024)


@cache
def board(model: str) -> StemBoard:
    return StemBoard(model)


def need_of(session: Session) -> Need:
    return Need(session.hop, session.stream_latency, session.strips_latency)


class Chain:
    """The whole path in one process: playback, rings, a worker's work. `lag` callbacks pass before it works.

    A worker that has the time the latency promises must never be late; `on_call` may change the board.
    """

    def __init__(self, session: Session, latency: Latency, lag: int = 0) -> None:
        self.latency, self.lag, rows = latency, lag, len(session._hosted.sources) + 1
        self.segment = Segment(playback_specs(rows, 200_000))
        self.segment["wanted"][0] = 0
        self.place = Place(self.segment, 0)
        self.work = Work(session, self.place, 0)
        wakes = [SPAWN.Semaphore(0) for _ in range(SLOTS)]
        self.playback = Playback(self.segment, rows, latency.total, latency.block, wakes)
        self._ends = [0]

    def run(
        self, audio: np.ndarray, blocks: list[int], on_call: Callable[[int], None] = lambda _: None
    ) -> np.ndarray:
        """Feed audio in blocks of these sizes, in turn, and give what was played."""
        out, at = [], 0
        while at < audio.shape[1]:
            frames = min(blocks[len(out) % len(blocks)], audio.shape[1] - at)
            on_call(at)
            out.append(self.playback.process(audio[:, at : at + frames]).copy())
            at += frames
            self._ends.append(at)
            self._work_up_to(self._ends[max(0, len(self._ends) - 1 - self.lag)])
        return np.concatenate(out, axis=1)

    def _work_up_to(self, end: int) -> None:
        while self.work._position + self.work._session.hop <= end and self.work.hop():
            pass

    def count(self, name: str) -> int:
        return int(self.segment["counters"][COUNTERS.index(name)])

    def close(self) -> None:
        self.playback.close()
        del self.work, self.place
        self.segment.close()


def impulse(frames: int, at: int) -> np.ndarray:
    audio = np.zeros((2, frames), np.float32)
    audio[:, at] = 0.5
    return audio


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("model", ["bands", "classic4", "live4", "live4_low_latency"])
def test_an_impulse_takes_the_reported_latency_at_every_block(model: str, rate: int) -> None:
    session = board(model).live_session(rate)
    for block in BLOCKS:
        safety = round(0.01 * rate)
        latency = Latency.planned(need_of(session), block, safety)
        chain = Chain(session, latency, lag=safety // block)
        try:
            at = latency.total  # far enough in for every result before it to be wet
            out = chain.run(impulse(3 * latency.total + 8 * block, at), [block])
            assert int(np.argmax(np.abs(out[0]))) == at + latency.total
            np.testing.assert_allclose(out[:2, at + latency.total], 0.5, atol=1e-5)
            np.testing.assert_allclose(out[2:].reshape(-1, 2, out.shape[1]).sum(axis=0), out[:2], atol=1e-5)
            assert chain.count("late_blocks") == 0, f"the latency does not suffice at blocks of {block}"
        finally:
            chain.close()


def test_one_frame_less_and_some_block_is_late() -> None:
    """The terms are no more than what is needed when the worker uses up all its time."""
    session = board("bands").live_session(44100)
    block = 441  # has no factor in common with the hop, so that every wait occurs
    for missing, late in ((0, False), (1, True)):
        latency = Latency.planned(need_of(session), block, safety=-missing)
        chain = Chain(session, latency)
        try:
            chain.run(np.ones((2, 400 * block), np.float32), [block])
            assert bool(chain.count("late_blocks")) is late
        finally:
            chain.close()


def test_blocks_of_every_size_up_to_the_planned_one_share_the_latency(seed: int) -> None:
    session = board("bands").live_session(44100)
    latency = Latency.planned(need_of(session), 1024, 0)
    sizes = [16, 1024, 441, 17, 64, 1000, 333, 512, 256, 128]
    audio = np.random.default_rng(seed).uniform(-0.5, 0.5, (2, 40_000)).astype(np.float32)
    chain = Chain(session, latency)
    try:
        out = chain.run(audio, sizes)
        np.testing.assert_allclose(out[:2, latency.total :], audio[:, : -latency.total], atol=1e-6)
        assert chain.count("late_blocks") == 0
    finally:
        chain.close()


@pytest.mark.parametrize("what", ["move", "mute", "bypass", "fallback", "two small, one too large"])
def test_nothing_that_happens_moves_the_impulses(what: str) -> None:
    """An impulse every 1000 frames; main must have one at each place, whatever happens in between."""
    model = StemBoard("bands")
    session = model.live_session(44100)
    latency = Latency.planned(need_of(session), 256, 500)
    chain = Chain(session, latency)
    audio = np.zeros((2, 60_000), np.float32)
    audio[:, ::1000] = 0.5

    def happen(at: int) -> None:
        on = at // 5000 % 2 == 1
        if what == "move":
            model["high"].gain_db = -6.0 if on else 3.0
        elif what == "mute":
            model["low"].mute = on
        elif what == "bypass":
            chain.segment["wanted"][0] = -1 if on else 0
        elif what == "fallback":
            chain.lag = 40 if on else 0

    sizes = [256, 256, 700] if what.startswith("two") else [256]
    try:
        out = chain.run(audio, sizes, happen)
        due = out[0, latency.total : latency.total + 50_000]
        peaks = np.abs(due).reshape(-1, 1000).argmax(axis=1)
        np.testing.assert_array_equal(peaks, 0)
        assert (chain.count("fallback_frames") > 0) is (what in ("fallback", "two small, one too large"))
    finally:
        chain.close()


def test_the_terms_add_up_and_are_told_in_frames_and_milliseconds() -> None:
    latency = Latency.planned(Need(hop=256, stream=512, strips=30), block=128, safety=100, reserve=50)
    assert latency.total == 128 + 255 + 512 + 30 + 100 + FADE_FRAMES + 50
    told = latency.terms(44100)
    assert told["total"] == f"{latency.total} frames, {1000 * latency.total / 44100:.1f} ms"
    assert sum(int(text.split()[0]) for name, text in told.items() if name != "total") == latency.total


def test_what_does_not_fit_the_reserve_is_known_to_the_frame() -> None:
    latency = Latency.planned(Need(256, 512, 0), block=128, safety=100, reserve=50)
    assert latency.lacks(Need(256, 562, 0), 128) == 0
    assert latency.lacks(Need(256, 563, 0), 128) == 1
    assert latency.lacks(Need(256, 512, 60), 128) == 10
    assert latency.lacks(Need(512, 512, 0), 128) == 206
    assert latency.lacks(Need(256, 512, 0), 256) == 78
