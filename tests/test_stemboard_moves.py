"""Levels and effects that are moved while audio runs: no click, no hole, and the same at any block size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pedalboard import (
    Delay,
    Gain,
    GSMFullRateCompressor,
    Reverb,
)
from pedalboard_native._internal import AddLatency

from plugin_bridge import Board, StemBoard, Strip
from plugin_bridge.board.parameters import RAMP_SECONDS
from tests.board_instruments import RATE, cut, noise, streamed

# Moves while audio runs --------------------------------------------------------------------------


RAMP = round(RAMP_SECONDS * RATE)
STEADY = np.ones((2, 12000), np.float32)


def moved(moves, sizes, audio=STEADY, board=None):
    """The stream's output, with `moves[frame](board)` made between blocks that are cut there."""
    board = board or StemBoard("bands")
    board(audio[:, :8], RATE)
    frames = [0, *sorted(moves), audio.shape[1]]
    out = []
    for begin, end in itertools.pairwise(frames):
        if begin in moves:
            moves[begin](board)
        out += [board(block, RATE, reset=False) for block in cut(audio[:, begin:end], sizes)]
    return np.concatenate([*out, board.flush()], axis=1)


def levels(**values):
    def move(board):
        for name, value in values.items():
            setattr(board.master, name, value)

    return move


MOVES = {
    "fade": {5000: levels(gain_db=-20)},
    "mute": {5000: levels(mute=True)},
    "unmute": {2000: levels(mute=True), 7000: levels(mute=False)},
    "pan": {5000: levels(pan=1)},
    "there and back within a ramp": {5000: levels(gain_db=-40), 5300: levels(gain_db=0)},
    "mute and unmute within a ramp": {5000: levels(mute=True), 5300: levels(mute=False)},
    "many": {3000 + 100 * n: levels(gain_db=-3.0 * n) for n in range(8)},
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_never_step_further_than_the_ramp_allows(name):
    out = moved(MOVES[name], [256])[:, 1500:11000]
    assert np.abs(np.diff(out)).max() <= 1 / RAMP + 1e-5


@pytest.mark.parametrize("name", MOVES)
def test_moves_lie_at_the_same_frames_whatever_the_blocks(name):
    reference = moved(MOVES[name], [256])
    for sizes in ([1000], [12000], [1, 7, 300], [64]):
        np.testing.assert_allclose(moved(MOVES[name], sizes), reference, atol=1e-6)


def test_ramp_takes_its_time_and_ends_exactly():
    out = moved({5000: levels(gain_db=-20)}, [500])
    settled = out[0, 2000:10000]
    before, after = (
        np.flatnonzero(np.abs(settled - 1) > 1e-5)[0],
        np.flatnonzero(np.abs(settled - 0.1) > 1e-5)[-1],
    )
    assert after - before + 1 == pytest.approx(RAMP, abs=2)
    np.testing.assert_allclose(out[:, 8000:10000], 0.1, atol=1e-6)
    # A straight line of amplitude.
    line = settled[before : after + 1]
    np.testing.assert_allclose(np.diff(line), (0.1 - 1) / RAMP, atol=1e-5)


def test_levels_set_before_a_stream_are_there_at_once():
    board = StemBoard("bands")
    board(STEADY, RATE, reset=False)
    board.reset()
    board.master.gain_db = -20
    np.testing.assert_allclose(streamed(board, [STEADY])[:, :10000], 0.1, atol=1e-6)


@pytest.mark.parametrize("how", ["mute", "solo"])
@pytest.mark.parametrize("sizes", [[64], [256], [4000], [1, 999]])
def test_muted_stem_rests_its_effects_and_starts_afresh(how, sizes):
    """An echo of what sounded before the mute must not be heard after it."""
    audio = noise(24000)
    audio[:, 8000:] = 0

    def board():
        strips = {"mid": [Delay(delay_seconds=0.3, feedback=0, mix=1)], "low": Strip(mute=True)}
        return StemBoard("bands", strips)

    def rest(value):
        def move(board):
            if how == "mute":
                board["mid"].mute = board["high"].mute = value
            else:
                board["low"].solo = value

        return move

    assert np.abs(moved({}, sizes, audio, board())[:, 16000:]).max() > 0.01
    assert not moved({9000: rest(True), 12000: rest(False)}, sizes, audio, board())[:, 12000:].any()


@pytest.mark.parametrize("lagging", ["the strip itself", "another strip", "master"])
@pytest.mark.parametrize("sizes", [[441], [5000], [64]])
def test_unmute_behind_effects_that_lag_does_not_click(lagging, sizes):
    place = {"the strip itself": "low", "another strip": "mid"}.get(lagging)
    effect = [AddLatency(1500)]
    board = StemBoard("bands", {place: effect} if place else {}, [] if place else effect)
    board["low"].mute = True
    steady = np.ones((2, 20000), np.float32)

    def unmute(board):
        board["low"].mute = False

    out = moved({10000: unmute}, sizes, steady, board)
    assert np.abs(np.diff(out[:, 4000:18000])).max() <= 1 / RAMP + 1e-4
    np.testing.assert_allclose(out[:, 14000:18000], 1, atol=1e-5)


def test_effect_parameter_moves_while_the_stream_runs():
    gain = Gain(0)
    board = StemBoard("bands", master=[gain])

    def move(_):
        gain.gain_db = -20

    out = moved({5120: move}, [256], board=board)
    np.testing.assert_allclose(out[:, 2000:4000], 1, atol=1e-5)
    np.testing.assert_allclose(out[:, 6000:10000], 0.1, atol=1e-5)


# Edits -------------------------------------------------------------------------------------------


def test_edit_of_the_same_latency_keeps_the_stream():
    board, audio = StemBoard("bands", {"mid": [AddLatency(1500)]}, [AddLatency(100)]), noise(20000)

    def edit(board):
        board["low"].effects.append(Gain(0))
        board["mid"].effects.insert(0, Gain(0))

    # The edited strip that lags loses what is inside its effects; the others lose nothing.
    plain = StemBoard("bands").stems(audio, RATE)
    board["mid"].mute = True
    np.testing.assert_allclose(
        moved({9000: edit}, [500], audio, board), plain["low"] + plain["high"], atol=1e-6
    )


def test_edit_of_another_latency_is_refused_until_reset():
    board, audio = StemBoard("bands", {"mid": [Gain(0)]}), noise(6000)
    board(audio, RATE, reset=False)
    latency = board.reported_latency_samples
    board["mid"].effects.append(AddLatency(100))
    for call in (
        lambda: board(audio, RATE, reset=False),
        board.flush,
        lambda: board(audio, RATE, reset=False),
    ):
        with pytest.raises(
            RuntimeError, match=r"latency must stay 0 frames .* got 100 .*; call reset\(\) or flush\(\)"
        ):
            call()
    assert board.reported_latency_samples == latency
    board.reset()
    assert board.reported_latency_samples == latency + 100
    np.testing.assert_allclose(streamed(board, cut(audio, [500])), audio, atol=1e-6)


def test_refused_edit_can_be_undone():
    board, audio = StemBoard("bands"), noise(9000)
    out = [board(audio[:, :4000], RATE, reset=False)]
    board["mid"].effects.append(AddLatency(100))
    with pytest.raises(RuntimeError):
        board(audio[:, 4000:], RATE, reset=False)
    board["mid"].effects.pop()
    out += [board(audio[:, 4000:], RATE, reset=False), board.flush()]
    np.testing.assert_allclose(np.concatenate(out, axis=1), audio, atol=1e-6)


@pytest.mark.parametrize("how", ["append", "assign", "augment", "slice"])
def test_edit_between_whole_calls_is_heard(how):
    board, audio = StemBoard("bands"), noise(6000)
    board(audio, RATE)
    strip = board["mid"]
    if how == "append":
        strip.effects.append(GSMFullRateCompressor())
    elif how == "assign":
        strip.effects = [GSMFullRateCompressor()]
    elif how == "augment":
        strip.effects += [GSMFullRateCompressor()]
    else:
        strip.effects[:] = [GSMFullRateCompressor()]
    fresh = StemBoard("bands", {"mid": [GSMFullRateCompressor()]})
    np.testing.assert_array_equal(board(audio, RATE), fresh(audio, RATE))
    np.testing.assert_array_equal(board(audio, RATE), streamed(fresh, [audio]))
    strip.effects.clear()
    np.testing.assert_allclose(board(audio, RATE), audio, atol=1e-6)


def test_one_effect_at_two_places_is_refused():
    effect = Reverb()
    for make in (
        lambda: StemBoard("bands", {"low": [effect], "high": [effect]}),
        lambda: StemBoard("bands", {"low": [effect]}, [effect]),
        lambda: StemBoard("bands", {"low": [effect, effect]}),
        lambda: Board([effect, StemBoard("bands", {"low": [effect]})]),
        lambda: Board([effect, StemBoard("bands"), effect]),
        lambda: Board([stem_board := StemBoard("bands"), stem_board]),
    ):
        with pytest.raises(RuntimeError):
            make()(noise(1000), RATE)
