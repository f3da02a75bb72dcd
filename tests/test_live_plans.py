"""What can be moved while a board runs, and what must be built anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugin_bridge.live.plans import form, moved, moves
from plugin_bridge.live.protocol import BoardPlan, Move, MoveEffect

GAIN = {"effect": "Gain", "gain_db": -3.0}
COMPRESSOR = {"effect": "Compressor", "threshold_db": -20.0, "ratio": 4.0}


def plan(*effects: dict[str, Any], **levels: Any) -> BoardPlan:
    """A board with one strip that is not neutral."""
    return BoardPlan("bands", {"low": {**levels, "effects": list(effects)}})


def test_equal_plans_need_nothing() -> None:
    assert moves(plan(GAIN, pan=0.5), plan(GAIN, pan=0.5)) == []


def test_levels_move_to_their_values_or_back_to_neutral() -> None:
    loud = BoardPlan("bands", {"low": {"gain_db": 3.0, "mute": True}}, {"pan": -1.0})
    neutral = BoardPlan("bands")
    assert form(loud) == form(neutral)
    there = [Move("low", "gain_db", 3.0), Move("low", "mute", True), Move("master", "pan", -1.0)]
    back = [Move("low", "gain_db", 0.0), Move("low", "mute", False), Move("master", "pan", 0.0)]
    assert sorted(moves(neutral, loud), key=repr) == sorted(there, key=repr)
    assert sorted(moves(loud, neutral), key=repr) == sorted(back, key=repr)


def test_values_of_effects_move() -> None:
    old, new = plan(GAIN, COMPRESSOR), plan({**GAIN, "gain_db": 2.0}, {**COMPRESSOR, "ratio": 2.0})
    assert form(old) == form(new)
    assert moves(old, new) == [MoveEffect("low", 0, "gain_db", 2.0), MoveEffect("low", 1, "ratio", 2.0)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (plan(), plan(GAIN)),
        (plan(GAIN), plan(COMPRESSOR)),
        (plan(GAIN, COMPRESSOR), plan(COMPRESSOR, GAIN)),
        (plan(GAIN), plan(GAIN, GAIN)),
        (plan(COMPRESSOR), plan({**COMPRESSOR, "attack_ms": 1.0})),
        (plan(GAIN), BoardPlan("bands", {"high": {"effects": [GAIN]}})),
        (plan(GAIN), BoardPlan("bands", {}, {"effects": [GAIN]})),
        (BoardPlan("bands"), BoardPlan("classic4")),
    ],
)
def test_what_stands_where_and_the_model_must_be_built(one: BoardPlan, other: BoardPlan) -> None:
    assert form(one) != form(other)


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


def test_a_move_changes_one_strip_and_keeps_the_rest() -> None:
    old = plan(GAIN, gain_db=1.0)
    assert moved(old, "low", {"pan": 0.5}) == plan(GAIN, gain_db=1.0, pan=0.5)
    assert moved(old, "high", {"mute": True}).strips == {**old.strips, "high": {"mute": True}}
    assert moved(old, "master", {"gain_db": -1.0}) == replace(old, master={"gain_db": -1.0})
    assert old == plan(GAIN, gain_db=1.0)
