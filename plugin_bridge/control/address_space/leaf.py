"""One address: what it takes and gives, and how its numbers travel between a hand and the board."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from plugin_bridge.board.parameter_tree import Key, Law, Parameter, Value

Argument = bool | int | float | str
Arguments = tuple[Argument, ...]

QUIETEST_DB, LOUDEST_DB = -90.0, 24.0
"""The range of a gain outside; at or below the lower end is silence."""
FADER_TOP_DB = 10.0

_FLOAT32 = struct.Struct(">f")


def fader_of(gain_db: float) -> float:
    """The place of a gain on a fader: four straight lines, 0.75 at 0 dB, 1 at +10 dB and above.

    >>> fader_of(0.0), fader_of(-30.0), fader_of(-60.0), fader_of(-90.0)
    (0.75, 0.25, 0.0625, 0.0)
    """
    if gain_db >= -10.0:
        return (min(gain_db, FADER_TOP_DB) + 30.0) / 40.0
    if gain_db >= -30.0:
        return (gain_db + 50.0) / 80.0
    if gain_db >= -60.0:
        return (gain_db + 70.0) / 160.0
    return (max(gain_db, QUIETEST_DB) + 90.0) / 480.0


def gain_of(fader: float) -> float:
    """The gain in dB at a place of a fader, 0 to 1; minus infinity at 0.

    >>> gain_of(0.75), gain_of(0.25), gain_of(0.0)
    (0.0, -30.0, -inf)
    """
    if fader >= 0.5:
        return 40.0 * min(fader, 1.0) - 30.0
    if fader >= 0.25:
        return 80.0 * fader - 50.0
    if fader >= 0.0625:
        return 160.0 * fader - 70.0
    return 480.0 * fader - 90.0 if fader > 0.0 else -math.inf


def gain_text(gain_db: float) -> str:
    """A gain as people read it.

    >>> gain_text(-6.0), gain_text(-90.0)
    ('-6.0 dB', '-inf dB')
    """
    return f"{gain_db:.1f} dB" if gain_db > QUIETEST_DB else "-inf dB"


def number(argument: Argument) -> float:
    """A finite number, as short as float32 allows. Raises `TypeError` or `ValueError` for anything else."""
    if isinstance(argument, bool) or not isinstance(argument, int | float):
        raise TypeError(f"a value must be a number, got {_shown(argument)}")
    if not math.isfinite(argument):
        raise ValueError(f"a value must be a finite number, got {argument}")
    return _shortest(float(argument))


def _shortest(value: float) -> float:
    """-6.1 for the -6.0999999046 that a float32 makes of it, so that saved presets stay readable."""
    short = float(f"{value:.7g}")
    if short == value or abs(value) > 1e30:
        return value
    same = _FLOAT32.pack(short) == _FLOAT32.pack(value)
    return short if same and _FLOAT32.unpack(_FLOAT32.pack(value))[0] == value else value


def switch_of(argument: Argument) -> bool:
    """On or off from what apps send: i, f, T, F; from one half on it is on. Raises as `number`."""
    return argument if isinstance(argument, bool) else number(argument) >= 0.5


def _shown(argument: object) -> str:
    text = repr(argument)
    return text if len(text) <= 60 else f"{text[:57]}..."


class View(NamedTuple):
    """A parameter as an address shows it: its value as an argument, and an argument as its value."""

    show: Callable[[Value], Argument]
    take: Callable[[Argument], Value]


def _taken_gain(argument: Argument) -> float:
    gain_db = number(argument)
    return gain_db if gain_db > QUIETEST_DB else -math.inf


def _taken_share(argument: Argument) -> float:
    return min(max(number(argument), 0.0), 1.0)


GAIN = View(lambda gain_db: min(max(float(gain_db), QUIETEST_DB), LOUDEST_DB), _taken_gain)
FADER = View(lambda gain_db: fader_of(float(gain_db)), lambda argument: gain_of(_taken_share(argument)))
TEXT = View(lambda gain_db: gain_text(float(gain_db)), _taken_gain)
PAN = View(lambda pan: (float(pan) + 1.0) / 2.0, lambda argument: 2.0 * _taken_share(argument) - 1.0)
SWITCH = View(int, switch_of)
NUMBER = View(float, number)


def choice_view(choices: tuple[str, ...]) -> View:
    """A choice by its name or its 1-based number."""

    def take(argument: Argument) -> str:
        if isinstance(argument, str):
            return argument
        return choices[min(max(round(number(argument)), 1), len(choices)) - 1]

    return View(str, take)


class Travel(NamedTuple):
    """How a knob of 0 to 1 goes through a range or through choices."""

    lowest: float
    highest: float
    law: Law = "linear"
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameter: Parameter) -> Travel:
        """A parameter's travel; ends at infinity are brought to where a hand can reach them."""
        if parameter.choices:
            return cls(0.0, 1.0, "linear", parameter.choices)
        lowest = max(parameter.lowest, QUIETEST_DB if parameter.unit == "dB" else -1e9)
        return cls(lowest, min(parameter.highest, 1e9), parameter.law)

    def position(self, argument: Argument) -> float:
        """Where a value lies, 0 to 1."""
        if self.choices:
            return self.choices.index(str(argument)) / max(1, len(self.choices) - 1)
        low, high = self.lowest, self.highest
        value = min(max(float(argument), low), high)
        if high <= low:
            return 0.0
        if self.law == "logarithmic" and low > 0.0:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def at(self, position: float) -> float | str:
        """The value at a place of 0 to 1."""
        place = min(max(position, 0.0), 1.0)
        if self.choices:
            return self.choices[round(place * (len(self.choices) - 1))]
        low, high = self.lowest, self.highest
        if place in (0.0, 1.0):
            return high if place else low
        if self.law == "logarithmic" and low > 0.0:
            return low * math.exp(place * math.log(high / low))
        return low + (high - low) * place


def norm_view(travel: Travel) -> View:
    """A parameter as its place of 0 to 1."""
    return View(travel.position, lambda argument: travel.at(_taken_share(argument)))


def _nothing() -> Arguments:
    return ()


@dataclass(frozen=True, eq=False)
class Leaf:
    """An address of the table.

    `types` are OSC tags of what it takes or gives, `names` say what each argument is. `key` names the
    parameter that it moves, `command` what else it does. `topic` says in which subscription its changes are
    sent. `answer` is the address of its answer where that is another; answers of `row` arguments each are
    sent as one message per row, then an empty one at `path/end`.
    """

    path: str
    types: str
    description: str
    unit: str = ""
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    default: Argument | None = None
    readable: bool = False
    writable: bool = False
    key: Key | None = None
    command: str | None = None
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    topic: str = ""
    answer: str = ""
    row: int = 0
    view: View | None = None
    travel: Travel | None = None
    parameter: Parameter | None = None
    read: Callable[[], Arguments] = field(default=_nothing, repr=False)

    @property
    def is_trigger(self) -> bool:
        """Whether it acts when pressed: without an argument or with one that is on, not on release."""
        return self.writable and not self.readable and self.command in TRIGGERS

    @property
    def is_settable(self) -> bool:
        """Whether it moves parameters or a switch of the engine, and so can be set at an instant."""
        return self.writable and (self.key is not None or self.command in SETTABLE)

    def arguments(self) -> Arguments:
        """What it holds now."""
        return self.read()

    def position(self) -> float:
        """Where its value is in its travel, 0 to 1. Raises `TypeError` where it holds no such value."""
        if self.travel is None:
            raise TypeError(f"an address must hold a number, a switch or a choice, got {self.path}")
        return self.travel.position(self.arguments()[0])

    def at_position(self, position: float) -> Argument:
        """The argument that sets it to a place of its travel. Raises as `position`."""
        if self.travel is None:
            raise TypeError(f"an address must take a number, a switch or a choice, got {self.path}")
        place = self.travel.at(position)
        return int(float(place) >= 0.5) if self.types == "i" else place

    def canonical(self, argument: Argument) -> tuple[Value, Argument]:
        """The value that an argument sets, and the argument as this address shows it.

        Raises `TypeError` for another type, `ValueError` for NaN, infinity or an unknown choice.
        """
        assert self.view is not None
        assert self.parameter is not None
        value = self.parameter.clipped(self.view.take(argument))
        return value, self.view.show(value)


TOGGLE, CLEAR_SOLO = "toggle", "clear_solo"
ENGINE_SWITCHES = frozenset({"bypass", "ping_mode"})
TRIGGERS = frozenset({TOGGLE, CLEAR_SOLO, "next_preset", "previous_preset", "refresh"})
SETTABLE = ENGINE_SWITCHES | {TOGGLE, CLEAR_SOLO}
