"""A mixing desk without an engine: `Commands` over plain values, to test what sits in front of it."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.control.commands import (
    Event,
    Level,
    Moved,
    PresetNamed,
    Rebuilt,
    RenderProgress,
    Switched,
)
from plugin_bridge.errors import ModelError, PresetError, UnknownAddress

SOURCES = ("vocals", "drums", "bass", "other")
FLOOR = Level(-120.0, -120.0, -120.0, -120.0)


def strip_parameters(strip: str) -> list[Parameter]:
    """The level, pan and switches that every strip has; the master has a mix instead of a solo."""
    levels = [
        Parameter(Key(strip, None, "gain_db"), "number", 0.0, -math.inf, 24.0, "dB"),
        Parameter(Key(strip, None, "pan"), "number", 0.0, -1.0, 1.0),
        Parameter(Key(strip, None, "mute"), "switch", False),
    ]
    if strip == "master":
        return [*levels, Parameter(Key(strip, None, "mix"), "number", 1.0)]
    return [*levels, Parameter(Key(strip, None, "solo"), "switch", False)]


def compressor(strip: str, slot: int) -> list[Parameter]:
    """A compressor's parameters, with the usual ranges."""

    def one(name: str, default: float, ends: tuple[float, float], unit: str, law: Any) -> Parameter:
        return Parameter(Key(strip, slot, name), "number", default, *ends, unit, law=law, effect="Compressor")

    return [
        one("threshold_db", -20.0, (-60.0, 0.0), "dB", "linear"),
        one("ratio", 2.0, (1.0, 20.0), "", "logarithmic"),
        one("attack_ms", 1.0, (0.1, 200.0), "ms", "logarithmic"),
        one("release_ms", 100.0, (1.0, 2000.0), "ms", "logarithmic"),
        Parameter(Key(strip, slot, "bypass"), "switch", False, effect="Compressor"),
    ]


def ladder_filter(strip: str, slot: int) -> list[Parameter]:
    """A ladder filter's parameters: a choice among them."""
    modes = ("LPF12", "HPF12", "BPF12", "LPF24", "HPF24", "BPF24")
    return [
        Parameter(
            Key(strip, slot, "cutoff_hz"), "number", 200.0, 20.0, 20000.0, "Hz", "logarithmic", (),
            "LadderFilter",
        ),
        Parameter(Key(strip, slot, "mode"), "choice", "LPF12", choices=modes, effect="LadderFilter"),
        Parameter(Key(strip, slot, "bypass"), "switch", False, effect="LadderFilter"),
    ]  # fmt: skip


def parameters_of(sources: Sequence[str], with_effects: bool = True) -> dict[Key, Parameter]:
    """A board's parameters in order; the first source has a compressor and a ladder filter."""
    every: list[Parameter] = []
    for strip in (*sources, "master"):
        every += strip_parameters(strip)
        if strip == sources[0] and with_effects:
            every += [*compressor(strip, 0), *ladder_filter(strip, 1)]
    return {parameter.key: parameter for parameter in every}


class Desk:
    """`Commands` over plain values; `log` holds every call of `move` with its time.

    Its models are "classic4" (four stems) and "halves" (two), its presets "flat" (no effects), "loud" and
    "broken" (refused). A load takes `swap_seconds`.
    """

    def __init__(self, swap_seconds: float = 0.0) -> None:
        self.swap_seconds = swap_seconds
        self.log: list[tuple[tuple[tuple[Key, Value], ...], float | None]] = []
        self.saved: list[str] = []
        self.jobs: dict[str, tuple[str, str]] = {}
        self.heard_levels: dict[str, Level] = {}
        self.bypass = self.ping_mode = False
        self.model = "classic4"
        self.preset = ("", False)
        self.sample_rate = 48000
        self._ears: list[Callable[[Event], None]] = []
        self._under_way: set[asyncio.Task[Any]] = set()
        self._build(SOURCES, True)

    def _build(self, sources: Sequence[str], with_effects: bool) -> None:
        self.sources = tuple(sources)
        self.parameters: Mapping[Key, Parameter] = parameters_of(sources, with_effects)
        self.values: dict[Key, Value] = {key: each.default for key, each in self.parameters.items()}

    def tell(self, event: Event) -> None:
        """Let every watcher hear an event."""
        for hear in list(self._ears):
            hear(event)

    def watch(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Be told every event from now on."""
        self._ears.append(hear)
        return lambda: self._ears.remove(hear)

    def move(self, moves: Sequence[tuple[Key, Value]], seconds: float | None = None) -> None:
        """Take all values at once, or none of them."""
        clipped = []
        for key, value in moves:
            if key not in self.parameters:
                raise UnknownAddress(f"a parameter must be one of the board's, got {key}")
            clipped.append((key, self.parameters[key].clipped(value)))
        self.log.append((tuple(clipped), seconds))
        for key, value in clipped:
            self.values[key] = value
            self.tell(Moved(key, value))
        if self.preset[0] and not self.preset[1]:
            self.preset = (self.preset[0], True)
            self.tell(PresetNamed(*self.preset))

    def set_bypass(self, on: bool) -> None:
        """Remember the switch."""
        self.bypass = on
        self.tell(Switched("bypass", on))

    def set_ping_mode(self, on: bool) -> None:
        """Remember the switch."""
        self.ping_mode = on
        self.tell(Switched("ping_mode", on))

    def models(self) -> list[str]:
        """Two models."""
        return ["classic4", "halves"]

    async def load_model(self, name: str) -> None:
        """Have the stems of another model."""
        async with self._swap():
            if name not in self.models():
                raise ModelError(f"a model must be one of {', '.join(self.models())}, got '{name}'")
            self.model = name
            self._build(SOURCES if name == "classic4" else ("left", "right"), True)
            self.tell(Rebuilt())

    def presets(self) -> list[str]:
        """The presets there are."""
        return sorted({"flat", "loud", "broken", *self.saved})

    async def load_preset(self, name: str) -> None:
        """Have the parameters of another preset."""
        async with self._swap():
            if name not in self.presets():
                raise PresetError(f"a preset must be one of {', '.join(self.presets())}, got '{name}'")
            if name == "broken":
                raise PresetError("a preset must be TOML, got broken.toml: line 3; mend the file")
            self._build(self.sources, name != "flat")
            self.preset = (name, False)
            self.tell(Rebuilt())
            self.tell(PresetNamed(*self.preset))

    async def save_preset(self, name: str) -> None:
        """Remember the name."""
        async with self._swap():
            if not re.fullmatch(r"[a-z0-9_-]+", name):
                raise ValueError(f"a preset's name must match [a-z0-9_-]+, got '{name}'")
            self.saved.append(name)
            self.preset = (name, False)
            self.tell(PresetNamed(*self.preset))

    @asynccontextmanager
    async def _swap(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            if self.swap_seconds:
                await asyncio.sleep(self.swap_seconds)
            yield
        finally:
            self._under_way.discard(task)

    async def settle(self) -> None:
        """Wait for the loads begun before."""
        before = self._under_way - {asyncio.current_task()}
        while before & self._under_way:
            await asyncio.wait(before, timeout=0.005)

    def latency(self) -> Mapping[str, int]:
        """Made-up terms with their total."""
        return {"io": 256, "model": 1024, "safety": 256, "total": 1536}

    def status(self) -> dict[str, Any]:
        """Made-up figures, with the keys that the server has."""
        return {"state": "running", "misses": 0, "load": 0.25, "model": self.model}

    def levels(self) -> Mapping[str, Level]:
        """The levels set by `heard_levels`, else silence."""
        return {name: self.heard_levels.get(name, FLOOR) for name in ("in", "master", *self.sources)}

    async def start_render(self, path: str, preset: str) -> str:
        """Note the job. Raises `ValueError` for a path that leaves the root."""
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"a render input must lie below the render root, got '{path}'")
        job = f"job{len(self.jobs) + 1}"
        self.jobs[job] = (path, preset)
        return job

    def cancel_render(self, job: str) -> None:
        """Forget the job."""
        if job not in self.jobs:
            raise UnknownAddress(f"a job must run, got '{job}'")
        del self.jobs[job]
        self.tell(RenderProgress(job, 0.0, "cancelled"))
