"""The processing server: one live engine, and the commands by which people and programs steer it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.parameters import GAIN_DB, PAN, switch
from plugin_bridge.board.preset import Preset
from plugin_bridge.errors import UnknownAddress
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.protocol import BoardPlan
from plugin_bridge.separation import catalogue

_TICK_SECONDS = 0.02


def plan_of(preset: Preset | None, model: str | None) -> BoardPlan:
    """The board of a preset on a model; the preset's own model, else the default one, where none is named.

    Raises `ModelError` for an unknown model.
    """
    name = model or (preset.model if preset else None) or catalogue.DEFAULT_MODEL
    catalogue.model_folder(name)
    if preset is None:
        return BoardPlan(name)
    strips = {source: msgspec.structs.asdict(settings) for source, settings in preset.strips.items()}
    return BoardPlan(name, strips, msgspec.structs.asdict(preset.master))


class Server:
    """An engine and its commands. Each command raises one clear error and changes nothing, or is carried out.

    Raises `DeviceError`, `ModelError` or `PresetError` where the engine cannot start.
    """

    def __init__(
        self,
        audio: AudioRequest,
        model: str | None = None,
        preset: str | None = None,
        *,
        safety_ms: float = 0.0,
        reserve_ms: float = 0.0,
        largest_block: int = 0,
    ) -> None:
        self._model = model
        plan = plan_of(Preset.load(preset) if preset else None, model)
        self.engine = Engine(EngineRequest(audio, plan, safety_ms, reserve_ms, largest_block))

    async def run(self, each_second: Callable[[], None], stopping: asyncio.Event) -> None:
        """Look after the engine until it has finished or `stopping` is set."""
        due = time.monotonic()
        while not (self.engine.finished or stopping.is_set()):
            self.engine.tick()
            if time.monotonic() >= due:
                due += 1.0
                each_second()
            await asyncio.sleep(_TICK_SECONDS)

    def close(self) -> None:
        """End every process of the engine."""
        self.engine.stop()

    def set_gain(self, strip: str, gain_db: float) -> None:
        """Set a level in dB. Raises `UnknownAddress` for an unknown strip, `ValueError` out of range."""
        self._move(strip, "gain_db", GAIN_DB.check(gain_db))

    def set_pan(self, strip: str, pan: float) -> None:
        """Set a strip's pan, -1 to 1. Raises as `set_gain`."""
        self._move(strip, "pan", PAN.check(pan))

    def set_mute(self, strip: str, mute: bool) -> None:
        """Silence a strip or let it sound. Raises as `set_gain`."""
        self._move(strip, "mute", switch("mute", mute))

    def set_solo(self, strip: str, solo: bool) -> None:
        """Let only this and other soloed strips sound, or no longer. Raises as `set_gain`."""
        self._move(strip, "solo", switch("solo", solo))

    def set_bypass(self, bypass: bool) -> None:
        """Play the delayed mix at the same latency instead of the board; what a host's latency ping needs."""
        self.engine.set_bypass(switch("bypass", bypass))

    def load_preset(self, name: str) -> None:
        """Go over to another preset. Raises `PresetError` for an unknown or broken one; the old one stays."""
        preset = Preset.load(name)
        self.engine.change(plan_of(preset, self._model or self.engine.plan.model))

    def load_model(self, name: str) -> None:
        """Go over to another model with the strips as they are. Raises `ModelError` for an unknown one."""
        catalogue.model_folder(name)
        self._model = name
        self.engine.change(replace(self.engine.plan, model=name))

    def status(self) -> dict[str, Any]:
        """Counters and figures, and every term of the latency."""
        terms = self.engine.latency.terms(self.engine.sample_rate)
        return {**self.engine.status(), "model": self.engine.plan.model, "latency_terms": terms}

    def _move(self, strip: str, parameter: str, value: float | bool) -> None:
        known = (*self.engine.sources, "master")
        if strip not in known:
            raise UnknownAddress(f"a strip must be one of {', '.join(known)}, got '{strip}'")
        self.engine.move([(Key(strip, None, parameter), value)])
