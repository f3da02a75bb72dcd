"""The board under MIDI hands: a device, or several, that move it by a map, and are shown what it does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from plugin_bridge.control.address_space import AddressSpace, Arguments, Leaf
from plugin_bridge.control.commands import Commands, Event, Rebuilt
from plugin_bridge.control.midi_feedback import PERIOD_SECONDS, Feedback
from plugin_bridge.control.midi_hands import Hands
from plugin_bridge.control.midi_input import Decoder, Gesture, first_and_last_places
from plugin_bridge.control.midi_lines import VIRTUAL, Lines
from plugin_bridge.control.midi_map import MidiMap, load_map
from plugin_bridge.control.midi_system import MidiSystem
from plugin_bridge.errors import PluginBridgeError

READ_SECONDS = 0.004
LOOK_SECONDS = 0.5
_MOST_AT_ONCE = 1024
"""Messages read before the other tasks of this loop get their turn."""
_MOST_WAITING = 16
_MOST_NAMED = 4


@dataclass(frozen=True)
class MidiRequest:
    """What MIDI is asked to be.

    `map` is a name or a file; "" is the default one. `ports` are parts of port names, or "virtual"; without
    any, and where the map names none, there is a virtual port.
    `system` is `alsa`, `jack`, `coremidi`, `windows`, or "" for the map's, else for the usual one.
    """

    map: str = ""
    ports: tuple[str, ...] = ()
    system: str = ""
    server: str = ""
    """The JACK server's name; the environment's, else the default one."""
    name: str = "plugin-bridge"


class MidiControl:
    """Moves the board by MIDI and shows the board on MIDI.

    `events` holds sentences for people. Raises `ValueError` for a map that is missing or malformed,
    `DeviceError` where MIDI cannot work on this machine.
    """

    def __init__(self, commands: Commands, space: AddressSpace, request: MidiRequest) -> None:
        self._commands, self._space = commands, space
        self.map: MidiMap = load_map(request.map or "default")
        self._ports = request.ports or self.map.ports
        self.system = MidiSystem(request.system or self.map.system, request.server)
        self.events: deque[str] = deque(maxlen=100)
        self.lines = Lines(self.system, self._ports, request.name)
        self._hands = Hands(space, self._perform, self.events.append)
        self._decoder = Decoder(self.map.control)
        self._feedback = Feedback(space, self.map, self.lines.send)
        self._waiting: deque[tuple[Leaf, Arguments]] = deque()
        self._doing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deafen: Callable[[], None] | None = None
        self._stale, self._flushed_at, self._shown_on = True, 0.0, 0
        self.messages = 0
        """How many messages have come in."""

    @property
    def door(self) -> str:
        """Where it listens, as a sentence."""
        ports = ", ".join(f"'{port}'" for port in self._ports if port != VIRTUAL)
        where = f"on {ports}" if ports else "on a port of our own"
        return f"MIDI of {self.system.name} {where}, by the map '{self.map.name}'"

    async def start(self) -> None:
        """Open the ports and begin; ports that are not there yet are waited for."""
        self._deafen = self._space.watch(self._hear)
        self._tell_missing()
        self.events.extend(self.lines.look())
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._look())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Let go of the board and of every port."""
        if self._deafen is not None:
            self._deafen()
            self._deafen = None
        tasks = [*self._tasks, *([self._doing] if self._doing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._doing = [], None
        self.lines.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.events.append(f"MIDI has stopped: {error!r}")

    def _hear(self, event: Event) -> None:
        self._stale = True
        if isinstance(event, Rebuilt):
            self._hands.let_go()
            self._tell_missing()

    def _tell_missing(self) -> None:
        missing = self._hands.missing(self.map.control)
        if missing:
            more = len(missing) - _MOST_NAMED
            named = ", ".join(missing[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            self._hands.tell_once(
                f"the MIDI map '{self.map.name}' has targets that this board lacks, which wait for one "
                f"that has them: {named}"
            )

    # --- reading and showing -------------------------------------------------------------------------------

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._step(loop.time())
            await asyncio.sleep(READ_SECONDS)

    def _step(self, now: float) -> None:
        gestures: list[Gesture] = []
        for port, message in self.lines.messages(_MOST_AT_ONCE):
            self.messages += 1
            gestures += self._decoder.hear(message, port, now)
        if self._decoder.due <= now:
            gestures += self._decoder.late(now)
        for gesture in first_and_last_places(gestures):
            self._feedback.hear(gesture, now)
            self._hands.act(gesture)
        self._stale = self._stale or bool(gestures)
        if self._stale and now >= self._flushed_at + PERIOD_SECONDS and self.lines.has_output:
            self._show(now)

    def _show(self, now: float) -> None:
        if self.lines.opened != self._shown_on:
            self._shown_on = self.lines.opened
            self._feedback.forget()
        self._flushed_at = now
        self._stale = self._feedback.flush(now, self._commands.sources)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.events.extend(self.lines.look())
            self._stale = self._stale or self.lines.opened != self._shown_on

    # --- presses that are commands, one after another ------------------------------------------------------

    def _perform(self, leaf: Leaf, arguments: Arguments) -> None:
        """Have a command carried out after those before; of loads that wait, only the last one counts."""
        last = self._waiting[-1] if self._waiting else None
        if last is not None and arguments and last[0].path == leaf.path:
            self._waiting.pop()
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((leaf, arguments))
        if self._doing is None or self._doing.done():
            self._doing = asyncio.get_running_loop().create_task(self._do())

    async def _do(self) -> None:
        while self._waiting:
            leaf, arguments = self._waiting.popleft()
            try:
                await self._space.perform(leaf, arguments)
            except (PluginBridgeError, ValueError, TypeError) as error:
                self.events.append(f"MIDI, {leaf.path}: {error}")
