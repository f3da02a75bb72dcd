"""The table of what can be moved: complete, safe at both ends, and enough to move a board by."""

from __future__ import annotations

import itertools
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pedalboard
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge import StemBoard, Strip
from plugin_bridge.board.effect_parameters import clean_names, effect_knobs, effect_value, move_effect
from plugin_bridge.board.effect_ranges import EFFECT_RANGES
from plugin_bridge.board.effects import effect_classes, effect_to_dict, load_plugin, settable
from plugin_bridge.board.grid import GridEffects
from plugin_bridge.board.parameter_tree import Key, Parameter, board_parameters, board_values, set_value
from plugin_bridge.errors import PresetError, UnknownAddress
from tests.board_instruments import RATE, noise

ZAM = Path("/usr/lib/vst3/ZaMultiCompX2.vst3")
hosted = pytest.mark.skipif(not ZAM.exists(), reason="needs Debian's zam-plugins (ZaMultiCompX2.vst3)")

ROWS = [(effect, name) for effect, rows in EFFECT_RANGES.items() for name in rows if effect != "Convolution"]
GAIN = Parameter(Key("vocals", None, "gain_db"), "number", 0.0, -math.inf, 24.0, "dB")
CUTOFF = Parameter(Key("vocals", 0, "cutoff_hz"), "number", 200.0, 20.0, 20000.0, "Hz", "logarithmic")
MODE = Parameter(Key("vocals", 0, "mode"), "choice", "low", choices=("low", "band", "high"))
MUTE = Parameter(Key("vocals", None, "mute"), "switch", False)


def made(effect: str) -> pedalboard.Plugin:
    return effect_classes()[effect]()


def about(value: object) -> object:
    """Numbers to the digits of float32; anything else exactly."""
    return pytest.approx(value, rel=1e-6, abs=1e-9) if type(value) is float else value


def ends(effect: str, name: str, sample_rate: float | None = None) -> list:
    knob = effect_knobs(made(effect), sample_rate)[name]
    by_kind = {
        "switch": [False, True],
        "choice": list(knob.choices),
        "number": [knob.travel.lowest, knob.travel.highest],
    }
    return by_kind[knob.travel.kind]


def test_every_settable_parameter_of_every_effect_has_a_row() -> None:
    settable_ones = {name: set(settable(kind)) for name, kind in effect_classes().items()}
    assert {name: set(rows) for name, rows in EFFECT_RANGES.items() if name != "Convolution"} == settable_ones
    assert set(EFFECT_RANGES["Convolution"]) == settable(pedalboard.Convolution)


@pytest.mark.parametrize(("effect", "name"), ROWS)
def test_defaults_lie_inside_and_travel_there_and_back(effect: str, name: str) -> None:
    parameters = board_parameters({"vocals": Strip([made(effect)])}, Strip())
    parameter = parameters[Key("vocals", 0, name)]
    assert parameter.effect == effect
    assert parameter.clipped(parameter.default) == parameter.default == effect_value(made(effect), name)
    for value in [parameter.default, *ends(effect, name)]:
        position = parameter.position(value)
        assert 0 <= position <= 1
        back = parameter.at_position(position)
        assert back == about(value)


@pytest.mark.parametrize("sample_rate", [RATE, 22050])
@pytest.mark.parametrize("effect", sorted({effect for effect, _ in ROWS}))
def test_every_end_is_taken_and_sounds_finite(effect: str, sample_rate: int) -> None:
    audio = noise(sample_rate // 4)
    names = list(EFFECT_RANGES[effect])
    every = [ends(effect, name, sample_rate) for name in names]
    corners = list(itertools.product(*(each[:: max(1, len(each) - 1)] for each in every)))
    singles = [(name, value) for name, values in zip(names, every, strict=True) for value in values]
    settings = [dict(zip(names, corner, strict=True)) for corner in corners]
    for values in [*settings, *({name: value} for name, value in singles)]:
        plugin = made(effect)
        for name, value in values.items():
            move_effect(plugin, name, value)
            assert effect_value(plugin, name) == about(value)
        out = plugin.process(audio, sample_rate, 256)
        assert np.isfinite(out).all(), values
        assert np.abs(out).max() < 1000, values


@pytest.mark.parametrize(("effect", "name"), ROWS)
def test_what_changes_the_delay_says_so(effect: str, name: str) -> None:
    lags = set()
    for value in ends(effect, name):
        plugin = made(effect)
        move_effect(plugin, name, value)
        lags.add(GridEffects([plugin], RATE, 2, 256).lag)
    travel = EFFECT_RANGES[effect][name]
    # The MP3 encoder is as late at every quality, but later by one more start after each move.
    assert len(lags) > 1 or not travel.changes_delay or effect == "MP3Compressor"
    assert len(lags) == 1 or travel.changes_delay


def test_the_table_has_the_order_of_the_board() -> None:
    strips = {
        "vocals": Strip([pedalboard.Compressor(), pedalboard.Chain([pedalboard.Gain()])]),
        "drums": Strip(),
    }
    keys = list(board_parameters(strips, Strip([pedalboard.Invert()])))
    compressor = ["bypass", "threshold_db", "ratio", "attack_ms", "release_ms"]
    assert keys == [
        *(Key("vocals", None, name) for name in ("gain_db", "pan", "mute", "solo")),
        *(Key("vocals", 0, name) for name in compressor),
        Key("vocals", 1, "bypass"),
        *(Key("drums", None, name) for name in ("gain_db", "pan", "mute", "solo")),
        *(Key("master", None, name) for name in ("gain_db", "pan", "mute", "mix")),
        Key("master", 0, "bypass"),
    ]


def test_the_table_crosses_a_pipe() -> None:
    strips = {"vocals": Strip([each() for each in effect_classes().values()])}
    parameters = board_parameters(strips, Strip())
    assert pickle.loads(pickle.dumps(parameters)) == parameters


def test_cutoffs_end_below_half_the_sample_rate() -> None:
    strips = {"vocals": Strip([pedalboard.HighpassFilter(), pedalboard.Phaser()])}
    for rate, highest in ((48000, 20000.0), (22050, 9922.5)):
        parameters = board_parameters(strips, Strip(), rate)
        assert parameters[Key("vocals", 0, "cutoff_frequency_hz")].highest == highest
        assert parameters[Key("vocals", 1, "centre_frequency_hz")].highest == highest
    low = board_parameters(strips, Strip(), 1000)[Key("vocals", 1, "centre_frequency_hz")]
    assert low.default == low.highest == 450.0


# Without denormals: a hosted plugin built with -ffast-math turns them off for the whole thread.
@given(st.floats(0, 1, allow_subnormal=False))
def test_positions_come_back(position: float) -> None:
    for parameter in (GAIN, CUTOFF):
        value = parameter.at_position(position)
        assert parameter.lowest <= value <= parameter.highest
        assert parameter.position(value) == pytest.approx(position, abs=1e-9)


def test_a_gain_is_off_at_the_bottom() -> None:
    assert GAIN.at_position(0.0) == -math.inf
    assert GAIN.position(-math.inf) == GAIN.position(-90.0) == GAIN.position(-1000) == 0.0
    assert GAIN.at_position(1.0) == 24.0
    assert GAIN.at_position(0.5) == pytest.approx(-33.0)
    assert GAIN.at_position(7.0) == 24.0


def test_knobs_travel_by_their_law() -> None:
    assert CUTOFF.at_position(0.5) == pytest.approx(math.sqrt(20 * 20000))
    assert [MODE.at_position(at) for at in (0.0, 0.2, 0.5, 0.8, 1.0)] == [
        "low",
        "low",
        "band",
        "high",
        "high",
    ]
    assert [MODE.position(choice) for choice in MODE.choices] == [0.0, 0.5, 1.0]
    assert [MUTE.at_position(at) for at in (0.0, 0.49, 0.5, 1.0)] == [False, False, True, True]
    assert (MUTE.position(True), MUTE.position(False)) == (1.0, 0.0)
    for parameter in (GAIN, CUTOFF, MODE, MUTE):
        with pytest.raises(ValueError, match="got NaN"):
            parameter.at_position(math.nan)


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (GAIN, -6, "-6.0 dB"),
        (GAIN, -0.01, "0.0 dB"),
        (GAIN, -math.inf, "-inf dB"),
        (GAIN, 99, "24.0 dB"),
        (CUTOFF, 440.0, "440 Hz"),
        (CUTOFF, 1234.56, "1235 Hz"),
        (Parameter(Key("vocals", None, "pan"), "number", 0.0, -1.0, 1.0), -0.25, "-0.25"),
        (MODE, "band", "band"),
        (MODE, 2, "high"),
        (MUTE, True, "on"),
        (MUTE, 0, "off"),
    ],
)
def test_values_read_as_a_person_writes_them(parameter: Parameter, value: float | str, text: str) -> None:
    assert parameter.text(value) == text


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        (GAIN, "loud", TypeError),
        (GAIN, True, TypeError),
        (GAIN, None, TypeError),
        (GAIN, math.nan, ValueError),
        (MUTE, "on", TypeError),
        (MUTE, None, TypeError),
        (MUTE, math.nan, ValueError),
        (MODE, "nothing", ValueError),
        (MODE, math.inf, ValueError),
        (MODE, None, ValueError),
    ],
)
def test_what_cannot_be_meant_is_refused(parameter: Parameter, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{parameter.key.name} must be"):
        parameter.clipped(value)


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_names_come_out_clean_and_unique(names: list[str]) -> None:
    clean = clean_names(names, taken=["bypass"])
    assert list(clean.values()) == names
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in clean)
    assert "bypass" not in clean


def every_effect() -> StemBoard:
    return StemBoard("bands", {"mid": [each() for each in effect_classes().values()]}, [pedalboard.Gain()])


def test_every_parameter_of_a_board_can_be_read_and_moved() -> None:
    board = every_effect()
    parameters = board_parameters(board.strips, board.master)
    before = board_values(board)
    assert before == {key: parameter.default for key, parameter in parameters.items()}
    for key, parameter in parameters.items():
        target = parameter.at_position(0.0 if parameter.position(before[key]) > 0.5 else 1.0)
        set_value(board, key, target)
        now = board_values(board)
        assert now.pop(key) == about(target)
        assert now == {other: value for other, value in before.items() if other != key}
        set_value(board, key, before[key])
    assert board_values(board) == before


@pytest.mark.parametrize(
    "key",
    [
        Key("nobody", None, "gain_db"),
        Key("mid", None, "volume"),
        Key("mid", None, "effects"),
        Key("mid", None, "mix"),
        Key("master", None, "solo"),
        Key("mid", 99, "bypass"),
        Key("mid", -1, "bypass"),
        Key("mid", 0, "nothing"),
        Key("mid", 0, "process"),
    ],
)
def test_what_a_board_lacks_is_an_unknown_address(key: Key) -> None:
    with pytest.raises(UnknownAddress, match=re.escape(f"got {key.said()}")):
        set_value(every_effect(), key, 0.0)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (Key("mid", None, "gain_db"), "loud", TypeError),
        (Key("mid", None, "gain_db"), 99.0, ValueError),
        (Key("mid", None, "mute"), 1.0, TypeError),
        (Key("mid", 0, "bit_depth"), 99.0, PresetError),
        (Key("mid", 0, "bypass"), 1.0, TypeError),
        (Key("master", None, "mix"), 2.0, ValueError),
    ],
)
def test_a_refused_value_changes_nothing(key: Key, value: object, error: type[Exception]) -> None:
    board = every_effect()
    before = board_values(board)
    with pytest.raises(error, match=key.name):
        set_value(board, key, value)
    assert board_values(board) == before


@hosted
def test_a_hosted_plugin_states_its_own_parameters() -> None:
    plugin = load_plugin(ZAM)
    parameters = board_parameters({"mid": Strip([plugin])}, Strip())
    assert pickle.loads(pickle.dumps(parameters)) == parameters
    of_plugin = {key.name: parameter for key, parameter in parameters.items() if key.slot == 0}
    threshold = of_plugin["threshold_1_db"]
    assert (threshold.lowest, threshold.highest, threshold.unit) == (-60.0, 0.0, "dB")
    assert threshold.effect == "ZaMultiCompX2"
    assert of_plugin["listen_1"].kind == "switch"
    assert of_plugin["current_program"].choices == ("Zero", "Presence")
    assert "output_left_db" not in of_plugin, "a meter cannot be moved"
    for name, parameter in of_plugin.items():
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert parameter.clipped(parameter.default) == parameter.default


@hosted
def test_a_hosted_plugin_is_moved_in_its_own_units() -> None:
    board = StemBoard("bands", {"mid": [load_plugin(ZAM)]})
    for name, value in (("threshold_1_db", -30.0), ("listen_1", True), ("ratio1", 1.0), ("ratio1", 20.0)):
        key = Key("mid", 0, name)
        set_value(board, key, value)
        # Hosted plugins know a thousand steps of a range.
        assert board_values(board)[key] == (pytest.approx(value, abs=0.06) if value is not True else True)
    assert pickle.loads(pickle.dumps(board_values(board))) == board_values(board)
    assert effect_to_dict(board["mid"].effects[0])["raw_values"]["listen_1"] == 1.0
    for key in (Key("mid", 0, "output_left_db"), Key("mid", 0, "nothing")):
        with pytest.raises(UnknownAddress):
            set_value(board, key, 0.0)
    with pytest.raises(PresetError, match="threshold_1_db"):
        set_value(board, Key("mid", 0, "threshold_1_db"), 5.0)
