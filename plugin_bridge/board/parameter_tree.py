"""Everything of a board that can be moved while it plays, as one table.

Whoever moves a board from outside (OSC, MIDI, an automation file) finds what there is to move here, with
ranges, units and defaults, and needs to know nothing of strips and effects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Value = float | bool | str
"""What a parameter may hold: a number in its unit, a switch, or the name of a choice."""

Kind = Literal["number", "switch", "choice"]
Law = Literal["linear", "logarithmic"]


class Key(NamedTuple):
    """Which parameter: of a strip (a source or "master"), of the effect in a slot or of none, by name.

    Slots count from 0. The strip's own parameters have no slot: `gain_db`, `pan`, `mute`, `solo`, and `mix`
    of the master. Each effect has a switch `bypass` beside its parameters.
    """

    strip: str
    slot: int | None
    name: str


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

    def clipped(self, value: object) -> Value:
        """The value, brought into the range.

        Raises `TypeError` for a value of another kind, `ValueError` for NaN or an unknown choice.
        """
        if self.kind == "switch":
            if isinstance(value, str) or value is None:
                raise TypeError(f"{self.key.name} must be on or off, got {value!r}")
            return bool(value)
        if self.kind == "choice":
            return self._choice(value)
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            raise TypeError(f"{self.key.name} must be a number, got {value!r}")
        if math.isnan(value):
            raise ValueError(f"{self.key.name} must be a number, got NaN")
        return float(min(max(value, self.lowest), self.highest))

    def _choice(self, value: object) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return self.choices[min(max(round(value), 0), len(self.choices) - 1)]
        raise ValueError(f"{self.key.name} must be one of {', '.join(self.choices)}, got {value!r}")
