"""What can be moved while a board runs, and what must be built anew."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.live.plans import form, moved, moves, same_place
from plugin_bridge.live.protocol import BoardPlan

GAIN = {"effect": "Gain", "gain_db": -3.0}
COMPRESSOR = {"effect": "Compressor", "threshold_db": -20.0, "ratio": 4.0}


def plan(*effects: dict[str, Any], **levels: Any) -> BoardPlan:
    """A board with one strip that is not neutral."""
    return BoardPlan("bands", {"low": {**levels, "effects": list(effects)}})


def test_equal_plans_need_nothing() -> None:
    assert moves(plan(GAIN, pan=0.5), plan(GAIN, pan=0.5)) == []


def test_levels_move_to_their_values_or_back_to_neutral() -> None:
    loud = BoardPlan("bands", {"low": {"gain_db": 3.0, "mute": True}}, {"pan": -1.0, "mix": 0.5})
    neutral = BoardPlan("bands")
    assert form(loud) == form(neutral)
    names = [("low", "gain_db"), ("low", "mute"), ("master", "pan"), ("master", "mix")]
    keys = [Key(strip, None, name) for strip, name in names]
    assert dict(moves(neutral, loud) or []) == dict(zip(keys, (3.0, True, -1.0, 0.5), strict=True))
    assert dict(moves(loud, neutral) or []) == dict(zip(keys, (0.0, False, 0.0, 1.0), strict=True))


def test_values_of_effects_move() -> None:
    old, new = plan(GAIN, COMPRESSOR), plan({**GAIN, "gain_db": 2.0}, {**COMPRESSOR, "ratio": 2.0})
    assert form(old) == form(new)
    assert moves(old, new) == [(Key("low", 0, "gain_db"), 2.0), (Key("low", 1, "ratio"), 2.0)]


def test_the_bypass_of_an_effect_moves() -> None:
    old, new = plan(GAIN), plan({**GAIN, "bypass": True})
    assert moves(old, new) == [(Key("low", 0, "bypass"), True)]
    assert moves(new, old) == [(Key("low", 0, "bypass"), False)]


def test_a_value_that_only_the_new_plan_names_moves_and_back_it_is_built() -> None:
    old, new = plan(COMPRESSOR), plan({**COMPRESSOR, "attack_ms": 2.0})
    assert moves(old, new) == [(Key("low", 0, "attack_ms"), 2.0)]
    assert moves(new, old) is None
    assert moves(moved(old, [(Key("low", 0, "attack_ms"), 2.0)]), new) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (plan(), plan(GAIN)),
        (plan(GAIN), plan(COMPRESSOR)),
        (plan(GAIN, COMPRESSOR), plan(COMPRESSOR, GAIN)),
        (plan(GAIN), plan(GAIN, GAIN)),
        (plan(GAIN), BoardPlan("bands", {"high": {"effects": [GAIN]}})),
        (plan(GAIN), BoardPlan("bands", {}, {"effects": [GAIN]})),
        (BoardPlan("bands"), BoardPlan("classic4")),
    ],
)
def test_what_stands_where_and_the_model_must_be_built(one: BoardPlan, other: BoardPlan) -> None:
    assert form(one) != form(other)
    assert moves(one, other) is None


@pytest.mark.parametrize(
    ("effect", "change"),
    [
        ({"effect": "Convolution", "impulse_response_filename": "a"}, {"impulse_response_filename": "b"}),
        ({"effect": "VST3Plugin", "path": "a.vst3", "state": "AA=="}, {"state": "AB=="}),
        ({"effect": "Chain", "effects": [GAIN]}, {"effects": [{**GAIN, "gain_db": 2.0}]}),
        ({"effect": "PitchShift", "semitones": 1.0}, {"semitones": 2.0}),
    ],
)
def test_what_is_loaded_nested_or_changes_the_delay_must_be_built(
    effect: dict[str, Any], change: dict[str, Any]
) -> None:
    assert form(plan(effect)) == form(plan(dict(effect)))
    assert form(plan(effect)) != form(plan({**effect, **change}))


def test_what_was_moved_lies_over_the_plan() -> None:
    old, gain, ratio = plan(GAIN, gain_db=1.0), Key("low", None, "gain_db"), Key("low", 0, "gain_db")
    new = moved(old, [(gain, -2.0), (ratio, 3.0), (Key("high", None, "mute"), True)])
    assert (new.strips, old.moved) == (old.strips, {})
    assert dict(moves(old, new) or []) == {gain: -2.0, ratio: 3.0, Key("high", None, "mute"): True}
    assert dict(moves(new, old) or []) == {gain: 1.0, ratio: -3.0, Key("high", None, "mute"): False}
    assert moved(old, []) is old


def test_a_move_belongs_to_the_effect_it_was_made_for() -> None:
    ratio = Key("low", 1, "ratio")
    assert same_place(plan(GAIN, COMPRESSOR), plan(GAIN, {**COMPRESSOR, "ratio": 9.0}), ratio)
    assert not same_place(plan(GAIN, COMPRESSOR), plan(COMPRESSOR, GAIN), ratio)
    assert not same_place(plan(GAIN, COMPRESSOR), plan(GAIN), ratio)
    assert same_place(plan(GAIN), plan(), Key("low", None, "pan"))
