"""What changes from one board to another: what can be moved while it runs, and what must be built anew."""

from dataclasses import replace
from typing import Any

from plugin_bridge.live import protocol


def form(plan: protocol.BoardPlan) -> tuple[Any, ...]:
    """What cannot be moved while running: the model, and which effects stand where."""

    def effects(strip: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(_effect_form(effect) for effect in strip.get("effects", []))

    strips = tuple(
        (source, effects(strip)) for source, strip in sorted(plan.strips.items()) if strip.get("effects")
    )
    return plan.model, strips, effects(plan.master)


def _effect_form(effect: dict[str, Any]) -> tuple[Any, ...]:
    fixed = set(effect) if effect["effect"] in _LAGGING else _FIXED & set(effect)
    return effect["effect"], tuple(sorted(effect)), tuple(repr(effect[key]) for key in sorted(fixed))


_FIXED = {"effects", "path", "plugin_name", "version", "state", "raw_values", "impulse_response_filename"}
"""Values of an effect that are set when it is made: what containers hold, what is loaded from files."""

_LAGGING = {"PitchShift", "Resample", "MP3Compressor", "GSMFullRateCompressor"}
"""Effects whose delay depends on their values, so that a move would be a change of latency."""

_LEVELS: dict[str, Any] = {"gain_db": 0.0, "pan": 0.0, "mute": False, "solo": False}


def moves(old: protocol.BoardPlan, new: protocol.BoardPlan) -> list[protocol.Move | protocol.MoveEffect]:
    """What leads from one plan to another of the same form."""
    messages: list[protocol.Move | protocol.MoveEffect] = []
    for name in {*old.strips, *new.strips, "master"}:
        before = old.master if name == "master" else old.strips.get(name, {})
        after = new.master if name == "master" else new.strips.get(name, {})
        for parameter, default in _LEVELS.items():
            value = after.get(parameter, default)
            if value != before.get(parameter, default):
                messages.append(protocol.Move(name, parameter, value))
        pairs = zip(before.get("effects", []), after.get("effects", []), strict=True)
        for at, (one, other) in enumerate(pairs):
            messages += [
                protocol.MoveEffect(name, at, key, other[key]) for key in other if other[key] != one[key]
            ]
    return messages


def moved(plan: protocol.BoardPlan, strip: str, values: dict[str, Any]) -> protocol.BoardPlan:
    """The plan with some of a strip's levels changed; "master" names the master."""
    if strip == "master":
        return replace(plan, master={**plan.master, **values})
    return replace(plan, strips={**plan.strips, strip: {**plan.strips.get(strip, {}), **values}})
