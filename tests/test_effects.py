"""Every effect of pedalboard as data: found by discovery, described, remade, refused where it is wrong."""

from __future__ import annotations

import enum
import tomllib

import numpy as np
import pedalboard
import pytest
import soundfile
import tomlkit

from plugin_bridge import Board, StemBoard
from plugin_bridge.board.effects import effect_classes, effect_from_dict, effect_to_dict, same_effects
from plugin_bridge.errors import PresetError
from tests.board_instruments import RATE, cut, noise, streamed

NAMES = list(effect_classes())


def parameters(effect):
    return {key: value for key, value in effect_to_dict(effect).items() if key != "effect"}


def test_discovery_finds_what_pedalboard_has():
    assert len(NAMES) >= 20
    assert {"Reverb", "Compressor", "PitchShift", "MP3Compressor", "LadderFilter", "BrickwallLimiter"} <= set(
        NAMES
    )
    for name in dir(pedalboard):
        kind = getattr(pedalboard, name)
        if name.startswith("_") or name in NAMES:
            continue
        if isinstance(kind, type) and issubclass(kind, pedalboard.Plugin):
            assert name in {
                *("AudioUnitPlugin", "Chain", "Convolution", "ExternalPlugin", "IIRFilter", "Mix"),
                *("Pedalboard", "Plugin", "PluginContainer", "VST3Plugin"),
            }


@pytest.mark.parametrize("name", NAMES)
def test_default_effect_is_remade(name):
    effect = effect_classes()[name]()
    values = effect_to_dict(effect)
    again = effect_from_dict(values)
    assert type(again) is type(effect) and effect_to_dict(again) == values
    assert same_effects([effect], [again]) and effect_to_dict(effect_from_dict({"effect": name})) == values


def moved(name):
    """The effect with each parameter moved by as much as it takes."""
    effect = effect_classes()[name]()
    for key, value in parameters(effect).items():
        for new in candidates(effect, key, value):
            try:
                setattr(effect, key, new)
            except (TypeError, ValueError, RuntimeError):
                continue
            if parameters(effect)[key] != value:
                break
    return effect


def candidates(effect, key, value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        kind = type(getattr(effect, key))
        return [getattr(kind, member) for member in kind.__members__]
    return [value * 0.7 + 0.01, value + 1, value - 1, int(value) + 1, int(value) - 1, 16, 0.1]


@pytest.mark.parametrize("name", NAMES)
def test_moved_effect_is_remade_to_the_last_bit(name):
    effect = moved(name)
    values = effect_to_dict(effect)
    if parameters(effect):
        assert values != effect_to_dict(effect_classes()[name]())
    again = effect_from_dict(values)
    assert effect_to_dict(again) == values
    for key in parameters(effect):
        assert getattr(again, key) == getattr(effect, key)


@pytest.mark.parametrize("name", NAMES)
def test_effect_survives_toml(name):
    values = effect_to_dict(moved(name))
    assert not any(isinstance(value, enum.Enum) or value is None for value in values.values())
    assert tomllib.loads(tomlkit.dumps(values)) == values


@pytest.mark.parametrize("name", NAMES)
def test_effect_streams_as_in_one_call_and_is_aligned(name):
    audio = noise(RATE // 2)
    board = StemBoard("bands", {"mid": [effect_classes()[name]()]}, [moved(name)])
    whole = board(audio, RATE)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(streamed(board, cut(audio, [1, 2, 3, 700])), whole)
    remade = StemBoard.from_dict(board.to_dict())
    np.testing.assert_array_equal(remade(audio, RATE), whole)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_refuses_what_is_no_value(name):
    for key in parameters(effect_classes()[name]()):
        for wrong in (None, [1], {}, "nonsense", 1j, 10**400, float("nan"), float("inf")):
            with pytest.raises(PresetError) as caught:
                effect_from_dict({"effect": name, key: wrong})
            assert "\n" not in str(caught.value)
            assert name in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_parameter_names_the_near_one(name):
    keys = list(parameters(effect_classes()[name]()))
    wrong = f"{keys[0]}x" if keys else "anything"
    remedy = f"did you mean '{keys[0]}'" if keys else "it takes"
    with pytest.raises(
        PresetError, match=f"^{name} must get only values that it takes, got '{wrong}'; {remedy}"
    ):
        effect_from_dict({"effect": name, wrong: 1})


CONTAINERS = ["Chain", "Mix", "Pedalboard"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_container_is_remade_with_what_is_inside(container):
    kind, audio = getattr(pedalboard, container), noise(4000)
    effect = kind([pedalboard.Reverb(0.3), kind([pedalboard.Gain(-3), pedalboard.Delay(0.01)]), kind([])])
    values = effect_to_dict(effect)
    again = effect_from_dict(tomllib.loads(tomlkit.dumps(values)))
    assert type(again) is kind and effect_to_dict(again) == values
    np.testing.assert_array_equal(Board([again])(audio, RATE), Board([effect])(audio, RATE))


def test_convolution_is_remade_from_its_file(tmp_path):
    path, audio = tmp_path / "room.wav", noise(4000)
    soundfile.write(path, noise(500).T, RATE, subtype="FLOAT")
    effect = pedalboard.Convolution(str(path), mix=0.3)
    values = effect_to_dict(effect)
    assert values == {"effect": "Convolution", "impulse_response_filename": str(path), "mix": 0.3}
    np.testing.assert_array_equal(
        Board([effect_from_dict(values)])(audio, RATE), Board([effect])(audio, RATE)
    )
    (tmp_path / "noise.wav").write_bytes(b"no sound")
    for wrong in ("missing.wav", "noise.wav", "."):
        with pytest.raises(PresetError) as caught:
            effect_from_dict({**values, "impulse_response_filename": str(tmp_path / wrong)})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "must have a key 'effect'"),
        ({"effect": 3}, "got 3; known effects: "),
        ({"effect": "Reverbb"}, "did you mean 'Reverb'?"),
        ({"effect": "Plugin"}, "must be one of pedalboard's"),
        ({"effect": "Convolution"}, "Convolution must get values that it takes"),
        (
            {"effect": "Convolution", "impulse_response_filename": 3},
            "Convolution must get values that it takes",
        ),
        ({"effect": "LadderFilter", "mode": "LPF13"}, "mode must be one of LPF12"),
        ({"effect": "Reverb", "room_size": 7.0}, "Room Size"),
        ({"effect": "LadderFilter", "mode": 1}, "mode must be one of LPF12"),
        ({"effect": "Gain", "gain_db": True}, "gain_db must be a number"),
        ({"effect": "BrickwallLimiter", "true_peak": 1}, "true_peak must be True or False"),
        ({"effect": "Convolution", "mix": "much"}, "mix must be a number"),
        ({"effect": "Chain", "effects": 3}, "must hold a list named 'effects'"),
        ({"effect": "Chain", "effects": [3]}, "must hold a list named 'effects'"),
        ({"effect": "Chain", "gain_db": 3}, "must hold a list named 'effects'"),
        ({"effect": "Mix", "effects": [{"effect": "Reverbb"}]}, "did you mean 'Reverb'?"),
        ({"effect": "VST3Plugin"}, "a hosted plugin must have a path"),
        ({"effect": "VST3Plugin", "path": "nowhere.vst3"}, "install it or mend the path"),
        (3, "must be described by a table"),
        (None, "must be described by a table"),
    ],
    ids=str,
)
def test_wrong_effect_is_one_clear_sentence(values, words):
    with pytest.raises(PresetError) as caught:
        effect_from_dict(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_effect_that_is_not_pedalboards_own_is_not_described():
    class Louder(pedalboard.Gain):
        pass

    with pytest.raises(TypeError, match="got Louder"):
        effect_to_dict(Louder())
    with pytest.raises(TypeError, match="write it to a file first"):
        effect_to_dict(pedalboard.Convolution(np.ones(4, np.float32), sample_rate=RATE))


def test_gain_of_minus_infinity_is_a_value():
    values = effect_to_dict(pedalboard.Gain(float("-inf")))
    assert effect_to_dict(effect_from_dict(tomllib.loads(tomlkit.dumps(values)))) == values
