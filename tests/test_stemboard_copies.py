"""Stem boards are copied, pickled, compared, described and printed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from pedalboard import (
    Chain,
    Compressor,
    Convolution,
    Gain,
    Invert,
    Limiter,
    Mix,
    Pedalboard,
    Reverb,
)

from plugin_bridge import Board, Isolate, Preset, Remove, StemBoard, Strip
from plugin_bridge.errors import PresetError
from plugin_bridge.separation.classical.bands import Bands
from tests.board_instruments import RATE, Half, hard_board, noise


def full_board():
    return StemBoard(
        "bands",
        {
            "low": Strip([Reverb(room_size=0.3), Compressor(-17.3, 2.5)], gain_db=-4.2, pan=0.25),
            "mid": Strip([Chain([Gain(3), Mix([Gain(-6), Invert()])])], mute=True),
            "high": Strip(solo=True, gain_db=float("-inf")),
        },
        Strip([Limiter(-1.5)], gain_db=1.5),
    )


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda board: pickle.loads(pickle.dumps(board)),
    "dict": lambda board: type(board).from_dict(board.to_dict()),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(
    "make",
    [
        full_board,
        hard_board,
        lambda: StemBoard(Bands(hop=64, crossovers_hz=(300, 3000))),
        lambda: Board([Gain(2), full_board(), Pedalboard([Reverb()])]),
        lambda: Board([]),
    ],
    ids=["full", "hard", "other separator", "board", "empty board"],
)
def test_copy_is_equal_sounds_alike_and_is_independent(make, how):
    original, audio = make(), noise(5000)
    other = COPIES[how](original)
    assert other == original and type(other) is type(original)
    assert other.to_dict() == original.to_dict()
    part = original(audio[:, :2000], RATE, reset=False)
    np.testing.assert_array_equal(other(audio, RATE), make()(audio, RATE))
    rest = original(audio[:, 2000:], RATE, reset=False)
    whole = np.concatenate((part, rest, original.flush()), axis=1)
    np.testing.assert_array_equal(whole, original(audio, RATE))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", [Isolate, Remove])
def test_copied_node_sounds_alike(how, kind):
    node, audio = kind("low", separator="bands"), noise(3000)
    other = copy.deepcopy(node) if how == "deepcopy" else COPIES[how](node)
    assert other == node
    np.testing.assert_array_equal(other(audio, RATE), node(audio, RATE))


def test_copy_does_not_share_strips():
    board = full_board()
    other = copy.deepcopy(board)
    other["low"].gain_db = -1
    other["low"].effects[0].room_size = 0.9
    assert board["low"].gain_db == -4.2
    assert board["low"].effects[0].room_size == pytest.approx(0.3)
    assert other != board


@pytest.mark.parametrize(
    "change",
    [
        lambda board: setattr(board["low"], "gain_db", 0),
        lambda board: setattr(board["low"], "pan", 0),
        lambda board: setattr(board["mid"], "mute", False),
        lambda board: setattr(board["high"], "solo", False),
        lambda board: board["low"].effects.pop(),
        lambda board: setattr(board["low"].effects[0], "damping", 0.1),
        lambda board: setattr(board.master, "gain_db", 0),
    ],
)
def test_every_setting_counts_for_equality(change):
    one, other = full_board(), full_board()
    assert one == other and not one.is_neutral
    change(other)
    assert one != other
    assert full_board() != StemBoard("bands") != Board([StemBoard("bands")])


def test_effect_that_cannot_be_described_still_compares():
    board = StemBoard("bands", {"low": [Convolution(np.ones(4, np.float32), sample_rate=RATE)]})
    assert board == board and board != StemBoard("bands")
    listed = Board([board, plain := StemBoard("bands", {"low": [Gain()]})])
    listed.remove(plain)
    assert list(listed) == [board]
    for save in (board.to_dict, lambda: pickle.dumps(board), lambda: Preset.of(board, "x")):
        with pytest.raises(TypeError, match="must be made from a file to be saved"):
            save()


def test_separator_that_is_not_in_the_catalogue_cannot_be_described():
    with pytest.raises(TypeError, match="got Half; name a model instead"):
        StemBoard(Half()).to_dict()


@pytest.mark.parametrize(
    "values",
    [
        {"modle": "bands"},
        {"model": "bands", "strips": {"low": {"gian_db": 3}}},
        {"model": "bands", "strips": {"low": 3}},
        {"model": "bands", "master": {"effects": 3}},
        {"model": "bands", "master": {"effects": [3]}},
        {"model": "bands", "master": {"effects": [{"effect": "Reverbb"}]}},
        {"separator": {"architecture": "bands", "configuration": {}}},
        {"separator": 3},
        3,
    ],
    ids=str,
)
def test_wrong_data_is_one_clear_sentence(values):
    for wrong in (
        lambda: StemBoard.from_dict(values),
        lambda: Board.from_dict({"plugins": [{"stem_board": values}]}),
    ):
        with pytest.raises(PresetError) as caught:
            wrong()
        assert "\n" not in str(caught.value)


def test_repr_names_what_is_set():
    assert repr(StemBoard("bands")).startswith("<plugin_bridge.StemBoard 'bands' at 0x")
    assert repr(StemBoard(Bands())).startswith("<plugin_bridge.StemBoard Bands at 0x")
    assert repr(Isolate("low", separator="bands")).startswith(
        "<plugin_bridge.Isolate 'bands' mid=Strip([], mute=1)"
    )
    text = repr(full_board())
    assert "low=Strip([Reverb, Compressor], gain_db=-4.2, pan=0.25)" in text
    assert "master=Strip([Limiter], gain_db=1.5)" in text
