"""Levels measured in the callback, and the time tag that it leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from plugin_bridge.live.meters import Meters, levels_dbfs
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.time_tag import TimeTag

RATE, BLOCK = 48000, 256


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment((*Meters.specs(2), TimeTag.spec()))
    yield made
    made.close()


def sine(level: float, rows: int, blocks: int) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * 1000 * np.arange(blocks * BLOCK) / RATE)
    return np.tile(wave.astype(np.float32), (rows, 1))


def play(meters: Meters, came: np.ndarray, out: np.ndarray) -> None:
    for at in range(0, came.shape[1], BLOCK):
        meters.take(came[:, at : at + BLOCK], out[:, at : at + BLOCK])


def test_a_steady_sine_has_its_peak_and_three_decibels_less_of_power(segment: Segment) -> None:
    meters = Meters(segment, RATE)
    out = sine(0.1, 4, 600)
    out[1] *= 0.5
    out[2:] = 0
    play(meters, sine(0.5, 2, 600), out)
    came, main, stem = levels_dbfs(segment)
    assert came == pytest.approx((-6.02, -6.02, -9.03, -9.03), abs=0.1)
    assert main == pytest.approx((-20.0, -26.02, -23.01, -29.03), abs=0.1)
    assert stem == (-120.0,) * 4
    np.testing.assert_allclose(segment["meters"], [[0.1, 0.05], [0, 0]], rtol=0.01)


def test_a_negative_peak_counts(segment: Segment) -> None:
    meters = Meters(segment, RATE)
    block = np.zeros((2, BLOCK), np.float32)
    block[1, 7] = -1.0
    meters.take(block, np.zeros((4, BLOCK), np.float32))
    assert levels_dbfs(segment)[0][:2] == pytest.approx((-120.0, 0.0))


def test_peaks_fall_by_twenty_decibels_a_second_whatever_the_block(segment: Segment) -> None:
    meters = Meters(segment, RATE)
    silence = np.zeros((2, 2 * RATE), np.float32), np.zeros((4, 2 * RATE), np.float32)
    for frames in (64, 480, 1000):
        meters.take(np.ones((2, frames), np.float32), np.ones((4, frames), np.float32))
        for at in range(0, RATE // frames * frames, frames):
            meters.take(*(rows[:, at : at + frames] for rows in silence))
        assert levels_dbfs(segment)[0][0] == pytest.approx(-20.0, abs=0.5)


def test_no_frame_is_told_with_another_ones_time(segment: Segment) -> None:
    tag = TimeTag(segment)
    assert tag.read() is None
    done = threading.Event()

    def note() -> None:
        count = 0
        while not done.is_set():
            count += 1
            tag.note(count, 1000 * count)

    writer = threading.Thread(target=note)
    writer.start()
    try:
        reader = TimeTag(segment)
        seen = [reader.read() for _ in range(20_000)]
    finally:
        done.set()
        writer.join()
    read = [each for each in seen if each is not None]
    assert len(read) > 1000
    assert all(at == 1000 * frames for frames, at in read)
    assert read == sorted(read)
