"""What is known of Ardour's strips, which of them belong to which stem, and how both write a value."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plugin_bridge.board.parameter_tree import Value

SILENT_DB = -193.0
"""Ardour takes this and less as minus infinity, and reports minus infinity as this or as -200."""

HIGHEST_DB = 20.0 * math.log10(2.0)
"""The top of Ardour's faders."""

_IN_FLIGHT_SECONDS = 1.0
_MOST_IN_FLIGHT = 64


@dataclass(frozen=True)
class Control:
    """One control that stems and strips both have: its parameter here, its address there.

    `tolerance` is what Ardour's 32-bit floats lose on the way, in the unit of its messages.
    """

    parameter: str
    address: str
    tolerance: float
    to_ardour: Callable[[Value], float | int]
    to_stem: Callable[[float], Value]

    def agree(self, one: float, other: float) -> bool:
        """Whether two of Ardour's values mean the same."""
        return abs(one - other) <= self.tolerance


def _gain_to_ardour(gain_db: Value) -> float:
    return min(max(float(gain_db), SILENT_DB), HIGHEST_DB)


def _gain_to_stem(gain_db: float) -> Value:
    return -math.inf if gain_db <= SILENT_DB else round(gain_db, 4)


def _pan_to_ardour(pan: Value) -> float:
    return (1.0 - float(pan)) / 2.0  # Ardour's OSC counts from the right


def _pan_to_stem(position: float) -> Value:
    return round(1.0 - 2.0 * min(max(position, 0.0), 1.0), 4)


def _switch_to_ardour(on: Value) -> int:
    return int(bool(on))


def _switch_to_stem(on: float) -> Value:
    return on >= 0.5


CONTROLS = (
    Control("gain_db", "/strip/gain", 1e-3, _gain_to_ardour, _gain_to_stem),
    Control("pan", "/strip/pan_stereo_position", 1e-4, _pan_to_ardour, _pan_to_stem),
    Control("mute", "/strip/mute", 0.0, _switch_to_ardour, _switch_to_stem),
    Control("solo", "/strip/solo", 0.0, _switch_to_ardour, _switch_to_stem),
)
BY_PARAMETER = {control.parameter: control for control in CONTROLS}
BY_ADDRESS = {control.address: control for control in CONTROLS}


@dataclass
class Strip:
    """A strip as last heard of: its name, and Ardour's values by parameter; none for what it lacks."""

    name: str
    values: dict[str, float] = field(default_factory=dict)
    _sent: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def send(self, control: Control, value: float) -> None:
        """Note a value on its way to Ardour."""
        self.values[control.parameter] = value
        sent = self._sent.setdefault(control.parameter, deque(maxlen=_MOST_IN_FLIGHT))
        sent.append((value, time.monotonic()))

    def hear(self, control: Control, value: float) -> bool:
        """Take a value that Ardour reports, and tell whether it moved there.

        The echo of a value on its way is no move, even where a newer one has been sent since. Another value
        is, and then whatever Ardour reports next is where it stands.
        """
        value = max(value, SILENT_DB) if control.parameter == "gain_db" else value
        sent = self._sent.get(control.parameter, deque())
        oldest = time.monotonic() - _IN_FLIGHT_SECONDS
        for place, (each, when) in enumerate(sent):
            if when >= oldest and control.agree(each, value):
                for _ in range(place + 1):
                    sent.popleft()
                return False
        sent.clear()
        moved = not control.agree(self.values.get(control.parameter, math.inf), value)
        self.values[control.parameter] = value
        return moved


def tie(names: Mapping[int, str], sources: Sequence[str]) -> dict[str, int]:
    """Which strip belongs to which stem, by the strips' numbers and names.

    A strip belongs to the stem of its name, in capitals or not. Only where no strip has any stem's name do
    the first strips belong to the stems in order: in a session that names some of them, a strip of another
    name is surely something else.

    >>> tie({1: "Song", 2: "Vocals", 3: "Bass"}, ("vocals", "drums", "bass"))
    {'vocals': 2, 'bass': 3}
    >>> tie({1: "Audio 1", 2: "Audio 2"}, ("vocals", "drums", "bass"))
    {'vocals': 1, 'drums': 2}
    """
    order = sorted(names)
    exact = {names[number]: number for number in reversed(order)}
    folded = {names[number].strip().casefold(): number for number in reversed(order)}
    found = {source: exact.get(source, folded.get(source.casefold(), 0)) for source in sources}
    named = {source: number for source, number in found.items() if number}
    return named or dict(zip(sources, order, strict=False))
