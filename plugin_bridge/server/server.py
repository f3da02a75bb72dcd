"""The processing server: one live engine, and the commands by which people and programs steer it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.board.parameters import switch
from plugin_bridge.board.preset import Preset
from plugin_bridge.control.clock import FrameClock
from plugin_bridge.control.commands import Event, Fault, Level, Moved, Rebuilt, Switched
from plugin_bridge.errors import UnknownAddress
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.drivers.tally import Tally
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.notice import Notice
from plugin_bridge.separation import catalogue
from plugin_bridge.server.boards import Names, plan_of
from plugin_bridge.server.loading import Loading
from plugin_bridge.server.recording import Recording
from plugin_bridge.server.renders import Renders

_TICK_SECONDS = 0.02
_GATHER_SECONDS = 0.002
"""How long moves are gathered before they go to the worker as one."""

_MOST_SENTENCES = 1000


@dataclass(frozen=True)
class ServerRequest:
    """What a server is to be: its engine, where it may render, and where it records its moves.

    `safety_ms`, `reserve_ms` and `largest_block` are the engine's (`EngineRequest`).
    """

    audio: AudioRequest
    model: str | None = None
    preset: str | None = None
    safety_ms: float = 0.0
    reserve_ms: float = 0.0
    largest_block: int = 0
    render_root: Path | None = None
    record: Path | None = None


class Server:
    """An engine and its commands (`control.commands.Commands`).

    Each command raises one clear error and changes nothing, or is carried out. `begin` starts the audio.
    Raises `DeviceError`, `ModelError` or `PresetError` where the engine cannot start.
    """

    def __init__(self, request: ServerRequest) -> None:
        preset = Preset.read(request.preset) if request.preset else None
        plan = plan_of(preset, request.model)
        audio = request.audio
        wanted = EngineRequest(audio, plan, request.safety_ms, request.reserve_ms, request.largest_block)
        self.engine = Engine(wanted, held=True)
        self.sentences: deque[str] = deque(maxlen=_MOST_SENTENCES)
        """What happened, for people; for the caller to empty."""
        self._ears: list[Callable[[Event], None]] = []
        self._device = audio.device or audio.server or audio.driver
        self._clock = FrameClock(self.engine.sample_rate, steady=audio.driver != "file")
        self._names = Names()
        self._late = Tally("{count} blocks came too late and were played as the delayed mix", "late_blocks")
        self._rebuilds = 0
        self._flushing: asyncio.TimerHandle | None = None
        name = preset.name if preset else ""
        self._loading = Loading(self.engine, request.model, name, self._tell, self._tell_moved)
        self._renders = Renders(request.render_root, self._tell)
        self._record = request.record
        self._recording: Recording | None = None

    def begin(self) -> None:
        """Start the audio, and the recording, which leaves nothing behind where a server never got so far.

        Raises `PresetError` for a recording that cannot begin.
        """
        if self._record:
            self._recording = Recording(self._record, self.engine)
        self.engine.begin()

    async def run(self, each_second: Callable[[], None], stopping: asyncio.Event) -> None:
        """Look after the engine until it has finished or `stopping` is set."""
        due = time.monotonic()
        try:
            while not (self.engine.finished or stopping.is_set()):
                self.tick()
                if time.monotonic() >= due:
                    due += 1.0
                    each_second()
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            await self._renders.close()

    def tick(self) -> None:
        """Look after the engine once."""
        self._note_time()
        self.engine.tick()
        if self.engine.troupe.rebuilds != self._rebuilds:
            self._rebuilds = self.engine.troupe.rebuilds
            self._tell(Rebuilt())
        self._tell_moved()
        self._loading.tell_dirty()
        self.tell_faults()
        if self._recording is not None and (ended := self._recording.catch_up()):
            self._fault(Notice(ended, "recording_ended"))

    def tell_faults(self) -> None:
        """Tell what went wrong since."""
        late = int(self.engine.counters["late_blocks"])
        for event in self._late.report(late):
            self._tell(Fault("late_blocks", event))
        events = self.engine.events
        while events:
            self._fault(events.popleft())

    def _fault(self, sentence: str) -> None:
        self.sentences.append(sentence)
        if code := getattr(sentence, "code", ""):
            self._tell(Fault(code, str(sentence)))

    def close(self) -> None:
        """End every process of the engine."""
        if self._flushing is not None:
            self._flushing.cancel()
        if self._recording is not None:
            self._recording.catch_up()
            self._recording.close()
        self.engine.stop()

    # --- events --------------------------------------------------------------------------------------------

    def watch(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Be told every event from now on; call what is returned to hear no more."""
        self._ears.append(hear)

        def deafen() -> None:
            if hear in self._ears:
                self._ears.remove(hear)

        return deafen

    def _tell(self, event: Event) -> None:
        for hear in tuple(self._ears):
            hear(event)

    def _tell_moved(self) -> None:
        moved = self.engine.troupe.retargeted
        while moved:
            self._tell(Moved(*moved.popleft()))

    # --- moves ---------------------------------------------------------------------------------------------

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return self.engine.sources

    @property
    def parameters(self) -> Mapping[Key, Parameter]:
        """What can be moved, in the order of the board."""
        return self.engine.parameters

    @property
    def values(self) -> Mapping[Key, Value]:
        """The target of every parameter."""
        return self.engine.values

    def move(self, moves: Sequence[tuple[Key, Value]], seconds: float | None = None) -> None:
        """Move parameters at one instant: at once, or to the frame that comes in at a `time.time()`."""
        changes = [(key, self._clipped(key, value)) for key, value in moves]
        if seconds is not None:
            self._note_time()
            self.engine.move(changes, self._clock.frame_of(seconds))
            return
        self.engine.move(changes)
        self._tell_moved()
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._flush)

    def _clipped(self, key: Key, value: Value) -> Value:
        parameter = self.parameters.get(key)
        if parameter is None:
            raise UnknownAddress(f"a parameter must be one of the board's, got {key.said()}")
        if parameter.changes_delay:
            raise ValueError(
                f"{key.said()} must stay as it is while audio runs, since it decides how late the effect is; "
                "change it in a preset"
            )
        return parameter.clipped(value)

    def _flush(self) -> None:
        self._flushing = None
        self.engine.flush()
        self._loading.tell_dirty()

    def _note_time(self) -> None:
        if (tag := self.engine.time_tag) is not None:
            self._clock.note(*tag)

    # --- switches ------------------------------------------------------------------------------------------

    @property
    def bypass(self) -> bool:
        """Whether the delayed mix plays instead of the board."""
        return self.engine.bypass

    def set_bypass(self, on: bool) -> None:
        """Play the delayed mix, or the board again, at the same latency."""
        before = self.engine.bypass
        self.engine.set_bypass(switch("bypass", on))
        if on != before:
            self._tell(Switched("bypass", on))

    @property
    def ping_mode(self) -> bool:
        """Whether the input passes for a host's latency ping."""
        return self.engine.ping_mode

    def set_ping_mode(self, on: bool) -> None:
        """Let the delayed mix pass for a latency ping; apart from the bypass, which it leaves as it is."""
        before = self.engine.ping_mode
        self.engine.set_ping_mode(switch("ping_mode", on))
        if on != before:
            self._tell(Switched("ping_mode", on))

    # --- models and presets --------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """The model that plays."""
        return self.engine.troupe.plan.model

    def models(self) -> list[str]:
        """Models that can play live, sorted."""
        return self._names.models()

    async def load_model(self, name: str) -> None:
        """Go over to another model with the strips as they are; done when it plays.

        Raises `ModelError` for an unknown one, or one that cannot play here.
        """
        await self._loading.load_model(name)

    @property
    def preset(self) -> tuple[str, bool]:
        """The current preset's name ("" for none), and whether it was moved away from since."""
        return self._loading.name, self._loading.dirty

    def presets(self) -> list[str]:
        """Presets that can be loaded, sorted."""
        return self._names.presets()

    async def load_preset(self, name: str) -> None:
        """Go over to another preset; done when it plays.

        Raises `PresetError` for an unknown or broken one, or one that does not fit; the old one stays.
        """
        await self._loading.load_preset(name)

    async def save_preset(self, name: str) -> None:
        """Save what plays under a name of `[a-z0-9_-]+` among the user's presets.

        One of the user's may have the name of one of ours, and is then the one that is loaded. Raises
        `ValueError` for another name, `PresetError` where the board cannot be described or written.
        """
        await self._loading.save_preset(name)
        self._names.forget()

    async def settle(self) -> None:
        """Wait until every load, save and swap begun before is done or refused."""
        await self._loading.settle()

    # --- figures -------------------------------------------------------------------------------------------

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.engine.sample_rate

    def latency(self) -> Mapping[str, int]:
        """Every term of the latency in frames, and their `total`."""
        return self.engine.latency.frames()

    def status(self) -> dict[str, Any]:
        """Counters and figures, and every term of the latency."""
        return {
            **self.engine.status(),
            "model": self.model,
            "preset": self._loading.name,
            "block": self.engine.block,
            "device": self._device,
            "latency_terms": self.engine.latency.terms(self.engine.sample_rate),
        }

    def levels(self) -> Mapping[str, Level]:
        """Levels of `in`, `master` and every stem."""
        return {name: Level(*level) for name, level in self.engine.levels_dbfs().items()}

    # --- renders -------------------------------------------------------------------------------------------

    async def start_render(self, path: str, preset: str) -> str:
        """Start to render a file below the render root; its job's name.

        Raises `ValueError` for other paths, `PresetError` for an unknown preset.
        """
        found, output = await asyncio.to_thread(self._renders.place, path)
        if preset and not catalogue.NAME.fullmatch(preset):
            raise ValueError(f"a preset's name must have only a-z, 0-9, '-' and '_', got '{preset}'")
        its = await asyncio.to_thread(Preset.read, preset) if preset else None
        return self._renders.start(found, output, preset, "" if its and its.model else self.model)

    def cancel_render(self, job: str) -> None:
        """End a job. Raises `UnknownAddress` for one that does not run."""
        self._renders.cancel(job)
