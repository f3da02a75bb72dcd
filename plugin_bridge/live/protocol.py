"""What the control process and its workers say to each other, over pipes."""

from dataclasses import dataclass, field
from typing import Any

from plugin_bridge.live.latency import Need
from plugin_bridge.live.shared import ArraySpec


@dataclass(frozen=True)
class BoardPlan:
    """The board a worker builds: a model and a preset's settings as plain data."""

    model: str
    strips: dict[str, dict[str, Any]] = field(default_factory=dict)
    master: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A worker's answer when its board is built and warm: what it needs, and the time of a hop in seconds."""

    sources: tuple[str, ...]
    need: Need
    warm_seconds: float
    worst_seconds: float


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
class Move:
    """Move a strip's level or switch; `strip` is a source or "master"."""

    strip: str
    parameter: str
    value: float | bool


@dataclass(frozen=True)
class MoveEffect:
    """Move a parameter of an effect in a strip, in native units."""

    strip: str
    effect: int
    parameter: str
    value: Any


@dataclass(frozen=True)
class Moves:
    """Carry out moves at one moment."""

    moves: tuple[Move | MoveEffect, ...]


@dataclass(frozen=True)
class Fail:
    """For tests: raise, or stop answering."""

    how: str


@dataclass(frozen=True)
class Quit:
    """End the process."""
