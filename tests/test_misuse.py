"""What a hurried user types: each a clear sentence, or simply what was meant."""

import numpy as np
import pytest
from pedalboard import Gain

from plugin_bridge import Board, Isolate, Preset, StemBoard, Strip, load_separator
from plugin_bridge.board.preset import StripSettings
from plugin_bridge.errors import PresetError


@pytest.fixture
def board() -> StemBoard:
    return StemBoard("bands")


def test_a_misspelt_setting_is_refused(board: StemBoard) -> None:
    with pytest.raises(AttributeError, match="gian_db"):
        Strip().gian_db = 3
    with pytest.raises(
        AttributeError, match="StemBoard has no setting 'gain_db'; levels are set on its strips"
    ):
        board.gain_db = 3
    with pytest.raises(AttributeError, match="Board has no setting 'bypass'"):
        Board().bypass = True


def test_a_board_knows_its_stems(board: StemBoard) -> None:
    assert list(board) == ["low", "mid", "high"]
    assert len(board) == 3
    assert "low" in board
    assert "vocals" not in board


def test_a_stem_gets_another_strip(board: StemBoard) -> None:
    mix = np.random.default_rng(0).standard_normal((2, 3000)).astype(np.float32) * 0.1
    low = board.stems(mix, 44100)["low"]
    board["low"] = [Gain(6)]
    assert np.allclose(board.stems(mix, 44100)["low"], low * 10 ** (6 / 20), atol=1e-6)
    board["low"] = Strip(mute=True)
    assert not board.stems(mix, 44100)["low"].any()
    with pytest.raises(ValueError, match="got 'vocals'"):
        board["vocals"] = []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Isolate(["low"], separator="bands"), ValueError, r"a stem must be one that 'bands' gives"),
        (lambda: StemBoard("bands", [Gain()]), TypeError, "strips must map stems to effects"),
        (lambda: StemBoard("bands", "low"), TypeError, "strips must map stems to effects"),
        (lambda: StemBoard("bands", {"low": Gain()}), TypeError, "effects must be a list"),
        (lambda: Board(Gain()), TypeError, "the plugins of a board must be a list"),
        (lambda: load_separator(None), TypeError, "a model must be named by a string, got None"),
        (lambda: StemBoard.from_preset(None), TypeError, "preset must be a Preset or a name, got None"),
        (lambda: StemBoard(3), TypeError, "separator must be a model's name or a Separator, got 3"),
    ],
)
def test_misuse_is_one_clear_sentence(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("buffer_size", [1.5, None, "512"])
def test_a_buffer_size_is_a_whole_number(board: StemBoard, buffer_size) -> None:
    with pytest.raises(TypeError, match="buffer_size must be a whole number of frames"):
        board(np.zeros((2, 100), np.float32), 44100, buffer_size)


def test_a_preset_that_could_not_be_loaded_is_not_saved(tmp_path) -> None:
    for name, preset in (
        ("mine.txt", Preset(name="mine")),
        ("mine.toml", Preset(name=3)),
        ("mine.toml", Preset(name="mine", strips={"vocals": 5})),
        ("mine.toml", Preset(name="mine", master=StripSettings(gain_db="loud"))),
    ):
        with pytest.raises(PresetError):
            preset.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_empty_file_is_no_preset(tmp_path) -> None:
    (tmp_path / "empty.toml").touch()
    with pytest.raises(PresetError, match="a preset must hold settings, got an empty file"):
        Preset.load(tmp_path / "empty.toml")
