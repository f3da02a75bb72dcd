"""What changes from one board to another: what can be moved while it runs, and what must be built anew."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.live.protocol import BoardPlan, Change

_FIXED = {"effects", "path", "plugin_name", "version", "state", "raw_values", "impulse_response_filename"}
"""Values of an effect that are set when it is made: what containers hold, what is loaded from files."""

_LAGGING = {"PitchShift", "Resample", "MP3Compressor", "GSMFullRateCompressor"}
"""Effects whose delay depends on their values, so that a move would be a change of latency."""

_LEVELS: dict[str, Value] = {"gain_db": 0.0, "pan": 0.0, "mute": False, "solo": False, "mix": 1.0}
_NAMES = ("effect", "bypass")
"""What no effect has for a parameter of its own."""


def form(plan: BoardPlan) -> tuple[Any, ...]:
    """What cannot be moved while running: the model, and which effects stand where."""
    strips = tuple((name, _effect_forms(strip)) for name, strip in sorted(plan.strips.items()))
    return plan.model, tuple(each for each in strips if each[1]), _effect_forms(plan.master)


def _effect_forms(strip: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(_effect_form(effect) for effect in strip.get("effects", []))


def _effect_form(effect: dict[str, Any]) -> tuple[Any, ...]:
    return effect["effect"], tuple((key, repr(effect[key])) for key in sorted(_fixed(effect)))


def _fixed(effect: dict[str, Any]) -> set[str]:
    return (set(effect) if effect["effect"] in _LAGGING else _FIXED & set(effect)).difference(_NAMES)


def values_of(plan: BoardPlan) -> dict[Key, Value]:
    """The parameters that a plan names, and where it has them."""
    values = {}
    for name, strip in (*plan.strips.items(), ("master", plan.master)):
        values.update({Key(name, None, key): strip[key] for key in _LEVELS if key in strip})
        for slot, effect in enumerate(strip.get("effects", [])):
            names = set(effect) - _fixed(effect) - {"effect"}
            values.update({Key(name, slot, key): effect[key] for key in sorted(names)})
    return values | plan.moved


def moves(old: BoardPlan, new: BoardPlan) -> list[Change] | None:
    """What leads from one plan to another; None if that takes building.

    An effect's value that only the old plan names has nowhere known to go back to.
    """
    if form(old) != form(new):
        return None
    before, after = values_of(old), values_of(new)
    for key in before.keys() - after.keys():
        usual = _usual(key)
        if usual is None:
            return None
        after[key] = usual
    return [(key, value) for key, value in after.items() if value != before.get(key, _usual(key))]


def _usual(key: Key) -> Value | None:
    """Where a parameter is that a plan does not name; None where that depends on the effect."""
    if key.slot is None:
        return _LEVELS[key.name]
    return False if key.name == "bypass" else None


def moved(plan: BoardPlan, changes: Iterable[Change]) -> BoardPlan:
    """The plan with some parameters moved."""
    made = dict(changes)
    return replace(plan, moved={**plan.moved, **made}) if made else plan


def same_place(one: BoardPlan, other: BoardPlan, key: Key) -> bool:
    """Whether a parameter belongs to the same thing in both plans: a level, or an effect of one kind."""
    return key.slot is None or _effect_at(one, key) == _effect_at(other, key)


def _effect_at(plan: BoardPlan, key: Key) -> tuple[Any, ...]:
    strip = plan.master if key.strip == "master" else plan.strips.get(key.strip, {})
    effects = strip.get("effects", [])
    if key.slot is None or key.slot >= len(effects):
        return ()
    return effects[key.slot]["effect"], effects[key.slot].get("path")
