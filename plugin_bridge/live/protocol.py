"""What the control process and its workers say to each other, over pipes."""

from dataclasses import dataclass, field
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.live.latency import Need
from plugin_bridge.live.shared import ArraySpec

Change = tuple[Key, Value]
"""A parameter and where it is to go."""


@dataclass(frozen=True)
class BoardPlan:
    """The board a worker builds: a model and a preset's settings as plain data, and what was moved since.

    `moved` holds for parameters that the settings cannot name too, those of hosted plugins.
    """

    model: str
    strips: dict[str, dict[str, Any]] = field(default_factory=dict)
    master: dict[str, Any] = field(default_factory=dict)
    moved: dict[Key, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A worker's answer when its board is built and warm: what it needs, and the time of a hop in seconds.

    `parameters` are what can be moved, in the board's order, and `values` where they are.
    """

    sources: tuple[str, ...]
    need: Need
    warm_seconds: float
    worst_seconds: float
    parameters: tuple[Parameter, ...] = ()
    values: dict[Key, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A worker's answer when it cannot build the board: one sentence."""

    reason: str


@dataclass(frozen=True)
class Unable:
    """What a worker says when it cannot do as told and goes on as before: one sentence."""

    reason: str


@dataclass(frozen=True)
class Build:
    """Build a board for a rate, in Hz."""

    plan: BoardPlan
    sample_rate: int


@dataclass(frozen=True)
class Join:
    """Join the shared memory as the worker of a slot."""

    segment: str
    specs: tuple[ArraySpec, ...]
    slot: int
    rows: int


@dataclass(frozen=True)
class Start:
    """Start to work on the input, from the oldest frames worth having."""

    history: int


@dataclass(frozen=True)
class Rest:
    """Stop working and keep the board."""


@dataclass(frozen=True)
class Moves:
    """Move parameters at one instant: at an absolute frame of the input, or at once."""

    serial: int
    changes: tuple[Change, ...]
    frame: int | None = None


@dataclass(frozen=True)
class Applied:
    """A working worker's answer to `Moves`: from which absolute frame of the input each counts.

    `last` says that no other answer to the same moves will come.
    """

    serial: int
    changes: tuple[tuple[int, Key, Value], ...]
    last: bool = True


@dataclass(frozen=True)
class Describe:
    """Describe the board as it is."""


@dataclass(frozen=True)
class Described:
    """A worker's description of its board, as a preset holds it; or one sentence why there is none."""

    strips: dict[str, dict[str, Any]] = field(default_factory=dict)
    master: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class Fail:
    """For tests: raise, or stop answering."""

    how: str


@dataclass(frozen=True)
class Quit:
    """End the process."""
