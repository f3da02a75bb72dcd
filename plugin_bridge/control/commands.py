"""What OSC, OSCQuery, MIDI and other hands may ask of the server, and what they are told.

The server implements `Commands`; nothing in this room knows the engine behind it. All of it runs in one
asyncio loop, so nothing here needs a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from plugin_bridge.board.parameter_tree import Key, Parameter, Value


class Level(NamedTuple):
    """Levels of a stereo row in dBFS, not below -120: the largest sample and the mean power, recently."""

    peak_left: float
    peak_right: float
    rms_left: float
    rms_right: float


@dataclass(frozen=True)
class Moved:
    """A parameter has a new target."""

    key: Key
    value: Value


@dataclass(frozen=True)
class Rebuilt:
    """Another model or preset plays: the parameters may be others."""


@dataclass(frozen=True)
class Switched:
    """A switch of the whole engine has moved: `bypass` or `ping_mode`."""

    name: str
    on: bool


@dataclass(frozen=True)
class PresetNamed:
    """Another preset is current, or it was moved away from (`dirty`) or back."""

    name: str
    dirty: bool


@dataclass(frozen=True)
class Fault:
    """Something went wrong by itself: `code` for machines, one sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class RenderProgress:
    """How far a render job is, 0 to 1; `stage` is "running", "done", "failed" or "cancelled"."""

    job: str
    share: float
    stage: str
    message: str = ""


Event = Moved | Rebuilt | Switched | PresetNamed | Fault | RenderProgress


class Commands(Protocol):
    """The server as control sees it.

    Raises `UnknownAddress` for a key that the tree lacks, `ValueError` or `TypeError` for a value that a
    parameter refuses, `PresetError` and `ModelError` as loading does; nothing is changed then.
    """

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        ...

    @property
    def parameters(self) -> Mapping[Key, Parameter]:
        """What can be moved, in the order of the board."""
        ...

    @property
    def values(self) -> Mapping[Key, Value]:
        """The target of every parameter."""
        ...

    def move(self, moves: Sequence[tuple[Key, Value]], seconds: float | None = None) -> None:
        """Move parameters at one instant: at once, or to the frame that comes in at a time.

        `seconds` is `time.time()`'s. Numbers out of range are clipped.
        """
        ...

    def watch(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Be told every event from now on; call what is returned to hear no more."""
        ...

    @property
    def bypass(self) -> bool:
        """Whether the delayed mix plays instead of the board."""
        ...

    def set_bypass(self, on: bool) -> None:
        """Play the delayed mix, or the board again, at the same latency."""
        ...

    @property
    def ping_mode(self) -> bool:
        """Whether the input passes for a host's latency ping."""
        ...

    def set_ping_mode(self, on: bool) -> None:
        """Let the delayed mix pass for a latency ping; apart from the bypass, which it leaves as it is."""
        ...

    @property
    def model(self) -> str:
        """The model that plays."""
        ...

    def models(self) -> list[str]:
        """Models that can play live, sorted."""
        ...

    async def load_model(self, name: str) -> None:
        """Go over to another model; done when it plays."""
        ...

    @property
    def preset(self) -> tuple[str, bool]:
        """The current preset's name ("" for none), and whether it was moved away from since."""
        ...

    def presets(self) -> list[str]:
        """Presets that can be loaded, sorted."""
        ...

    async def load_preset(self, name: str) -> None:
        """Go over to another preset; done when it plays."""
        ...

    async def save_preset(self, name: str) -> None:
        """Save what plays under a name of `[a-z0-9_-]+` among the user's presets."""
        ...

    async def settle(self) -> None:
        """Wait until every load, save and swap begun before is done or refused."""
        ...

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        ...

    def latency(self) -> Mapping[str, int]:
        """Every term of the latency in frames, and their `total`."""
        ...

    def status(self) -> dict[str, Any]:
        """Counters and figures of the engine."""
        ...

    def levels(self) -> Mapping[str, Level]:
        """Levels of `in`, `master` and every stem."""
        ...

    async def start_render(self, path: str, preset: str) -> str:
        """Start to render a file below the render root; its job's name. `ValueError` for other paths."""
        ...

    def cancel_render(self, job: str) -> None:
        """End a job. Raises `UnknownAddress` for one that does not run."""
        ...
