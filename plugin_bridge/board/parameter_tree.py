"""Everything of a board that can be moved while it plays, as one table.

Whoever moves a board from outside (OSC, MIDI, an automation file) finds what there is to move here, with
ranges, units and defaults, and needs to know nothing of strips and effects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from plugin_bridge.board.effect_parameters import Knob, effect_knobs, effect_title, effect_value, move_effect
from plugin_bridge.board.effect_ranges import Kind as Kind
from plugin_bridge.board.effect_ranges import Law as Law
from plugin_bridge.board.parameters import GAIN_DB, MIX, PAN, Range, switch
from plugin_bridge.errors import UnknownAddress

if TYPE_CHECKING:
    from plugin_bridge.board.strip import Strip

Value = float | bool | str
"""What a parameter may hold: a number in its unit, a switch, or the name of a choice."""

MASTER = "master"
"""The master's name among the strips."""

BYPASS = "bypass"
"""The switch that every effect has beside its parameters."""

OFF_DB = -90.0
"""Where the travel of a gain that ends at minus infinity begins: at and below this it is off."""


class Key(NamedTuple):
    """Which parameter: of a strip (a source or "master"), of the effect in a slot or of none, by name.

    Slots count from 0. The strip's own parameters have no slot: `gain_db`, `pan`, `mute`, `solo`, and `mix`
    of the master. Each effect has a switch `bypass` beside its parameters.
    """

    strip: str
    slot: int | None
    name: str

    def said(self) -> str:
        """The key as a sentence names it, slots counted from 1."""
        slot = "" if self.slot is None else f"effect {self.slot + 1} of "
        return f"'{self.name}' of {slot}'{self.strip}'"


MIX_KEY = Key(MASTER, None, MIX.name)
"""How much of the output is the board's; the rest is its input."""


@dataclass(frozen=True)
class Parameter:
    """One number, switch or choice: its range, unit and default.

    `lowest` of a gain in dB may be minus infinity. `law` says how a knob travels between the ends.
    """

    key: Key
    kind: Kind
    default: Value
    lowest: float = 0.0
    highest: float = 1.0
    unit: str = ""
    law: Law = "linear"
    choices: tuple[str, ...] = ()
    effect: str = ""
    """The effect's name, where it belongs to one."""
    changes_delay: bool = False
    """Whether a move changes how late the effect is, so that it cannot be made while a stream runs."""

    def clipped(self, value: object) -> Value:
        """The value, brought into the range.

        Raises `TypeError` for a value of another kind, `ValueError` for NaN or an unknown choice.
        """
        if self.kind == "switch":
            return self._switch(value)
        if self.kind == "choice":
            return self._choice(value)
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            raise TypeError(f"{self.key.name} must be a number, got {value!r}")
        if math.isnan(value):
            raise ValueError(f"{self.key.name} must be a number, got NaN")
        return float(min(max(value, self.lowest), self.highest))

    def position(self, value: Value) -> float:
        """Where a knob stands at a value, 0 to 1. Raises as `clipped`."""
        value = self.clipped(value)
        if isinstance(value, str):
            return self.choices.index(value) / max(1, len(self.choices) - 1)
        if isinstance(value, bool):
            return float(value)
        start, end = self._travelled(self._start), self._travelled(self.highest)
        at = self._travelled(max(value, self._start))
        return (at - start) / (end - start) if end > start else 0.0

    def at_position(self, position: float) -> Value:
        """The value at which a knob stands at a position, which is clipped to 0 to 1.

        A gain that can be off is off at 0. Raises `ValueError` for NaN.
        """
        if math.isnan(position):
            raise ValueError(f"the position of {self.key.name} must be a number, got NaN")
        position = min(max(float(position), 0.0), 1.0)
        if self.kind == "switch":
            return position >= 0.5
        if self.kind == "choice":
            return self.choices[round(position * (len(self.choices) - 1))]
        if position in (0.0, 1.0):
            return self.highest if position else self.lowest
        start, end = self._travelled(self._start), self._travelled(self.highest)
        at = start + position * (end - start)
        return min(max(math.exp(at), self.lowest), self.highest) if self._is_logarithmic else at

    def text(self, value: Value) -> str:
        """A value as a person reads it: "-6.0 dB", "on", "440 Hz". Raises as `clipped`."""
        value = self.clipped(value)
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "on" if value else "off"
        if self.unit == "dB":
            return f"{round(value, 1) + 0.0:.1f} dB"  # no -0.0
        return f"{float(f'{value:.4g}') + 0.0:g} {self.unit}".rstrip()

    @property
    def _start(self) -> float:
        return OFF_DB if self.lowest == -math.inf else self.lowest

    @property
    def _is_logarithmic(self) -> bool:
        return self.law == "logarithmic" and self.lowest > 0

    def _travelled(self, value: float) -> float:
        return math.log(value) if self._is_logarithmic else value

    def _switch(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if not isinstance(value, int | float):
            raise TypeError(f"{self.key.name} must be on or off, got {value!r}")
        if math.isnan(value):
            raise ValueError(f"{self.key.name} must be on or off, got NaN")
        return bool(value)

    def _choice(self, value: object) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return self.choices[min(max(round(value), 0), len(self.choices) - 1)]
        raise ValueError(f"{self.key.name} must be one of {', '.join(self.choices)}, got {value!r}")


class Movable(Protocol):
    """What a board must have to be moved: a `StemBoard` has it."""

    mix: float
    """How much of the output is the board's, 0 to 1; the rest is its input."""

    @property
    def strips(self) -> Mapping[str, Strip]:
        """The strips by stem."""

    @property
    def master(self) -> Strip:
        """What their sum goes through."""


def board_parameters(
    strips: Mapping[str, Strip], master: Strip, sample_rate: float | None = None
) -> dict[Key, Parameter]:
    """All that can be moved, in the order of the board.

    With a `sample_rate` in Hz, cutoff frequencies end where filters are stable at it.
    """
    every = [each for name, strip in strips.items() for each in _of_strip(name, strip, sample_rate)]
    every += _of_strip(MASTER, master, sample_rate)
    return {parameter.key: parameter for parameter in every}


def _of_strip(name: str, strip: Strip, sample_rate: float | None) -> list[Parameter]:
    last = _level(MASTER, MIX) if name == MASTER else _switch(name, None, "solo")
    found = [_level(name, GAIN_DB), _level(name, PAN), _switch(name, None, "mute"), last]
    for slot, effect in enumerate(strip.effects):
        title = effect_title(effect)
        found.append(_switch(name, slot, BYPASS, title))
        for key, knob in effect_knobs(effect, sample_rate).items():
            found.append(_of_knob(Key(name, slot, key), knob, title))
    return found


def _level(strip: str, its: Range) -> Parameter:
    return Parameter(Key(strip, None, its.name), "number", its.default, its.lowest, its.highest, its.unit)


def _switch(strip: str, slot: int | None, name: str, effect: str = "") -> Parameter:
    return Parameter(Key(strip, slot, name), "switch", False, effect=effect)


def _of_knob(key: Key, knob: Knob, effect: str) -> Parameter:
    travel = knob.travel
    return Parameter(
        key,
        travel.kind,
        knob.default,
        travel.lowest,
        travel.highest,
        travel.unit,
        travel.law,
        knob.choices,
        effect,
        travel.changes_delay,
    )


def board_values(board: Movable) -> dict[Key, Value]:
    """The present value of all that can be moved, in the order of the board."""
    return {key: _value(board, key) for key in board_parameters(board.strips, board.master)}


def _value(board: Movable, key: Key) -> Value:
    if key == MIX_KEY:
        return board.mix
    strip = board.master if key.strip == MASTER else board.strips[key.strip]
    if key.slot is None:
        level: Value = getattr(strip, key.name)
        return level
    if key.name == BYPASS:
        return strip.is_bypassed(key.slot)
    return effect_value(strip.effects[key.slot], key.name)


def set_value(board: Movable, key: Key, value: Value) -> None:
    """Move one parameter of a board, in native units.

    Raises `UnknownAddress` for a parameter that the board lacks, and `PresetError`, `ValueError` or
    `TypeError` for a value that it refuses.
    """
    strip = board.master if key.strip == MASTER else board.strips.get(key.strip)
    if key == MIX_KEY:
        board.mix = value  # type: ignore[assignment]  # a board checks what it is given
    elif strip is None or not _has(strip, key):
        raise UnknownAddress(f"a parameter must be one of the board's, got {key.said()}")
    elif key.slot is None:
        setattr(strip, key.name, value)
    elif key.name == BYPASS:
        strip.set_bypass(key.slot, switch(BYPASS, value))
    else:
        move_effect(strip.effects[key.slot], key.name, value)


def changes_delay(board: Movable, key: Key) -> bool:
    """Whether a move of a parameter would change how late its effect is, as a PitchShift's pitch does."""
    strip = board.master if key.strip == MASTER else board.strips.get(key.strip)
    if strip is None or key.slot is None or not 0 <= key.slot < len(strip.effects):
        return False
    knob = effect_knobs(strip.effects[key.slot]).get(key.name)
    return knob is not None and knob.travel.changes_delay


def _has(strip: Strip, key: Key) -> bool:
    if key.slot is None:
        return key.name in ("gain_db", "pan", "mute") or (key.name == "solo" and key.strip != MASTER)
    if not 0 <= key.slot < len(strip.effects):
        return False
    return key.name == BYPASS or key.name in effect_knobs(strip.effects[key.slot])
