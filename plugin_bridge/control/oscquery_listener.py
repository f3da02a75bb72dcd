"""One WebSocket client: what it listens to, and what waits to be sent to it.

Values go out at most 20 times a second and address, levels 10 times; of a value that moved in between only
the last is sent. So what waits for a slow client is bounded by what it listens to; answers to its own
requests are bounded in bytes, and a client that takes neither is dropped.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING

from plugin_bridge.control.address_space import METERS, AddressSpace, Leaf
from plugin_bridge.control.address_space.actions import Forbidden
from plugin_bridge.control.commands import Event, Fault, RenderProgress
from plugin_bridge.control.osc.codec import encode
from plugin_bridge.control.osc.failures import failure
from plugin_bridge.control.osc.peers import Peer
from plugin_bridge.control.oscquery_tree import tags_of
from plugin_bridge.errors import UnknownAddress

if TYPE_CHECKING:
    from aiohttp import web

SECONDS_BETWEEN_VALUES = 0.05
SECONDS_BETWEEN_LEVELS = 0.1
MOST_WAITING_BYTES = 1 << 20
SLOWEST_SECONDS = 5.0
"""How long a client may take nothing before it is dropped."""


class Listener(Peer):
    """A WebSocket client; as a peer of OSC's, it is answered in binary frames."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, host: str) -> None:
        super().__init__()
        self.host = host
        self.target = id(self)
        self._socket = socket
        self._transport = transport
        self._heard: dict[str, Leaf] = {}  # by the address that it asked for, which may be an alias
        self._asked: dict[str, list[str]] = {}  # what it asked for, by the leaf's own path
        self._moved: dict[str, None] = {}
        self._told: dict[str, bytes] = {}  # what it was sent last
        self._answers: deque[bytes | str] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._values_at = self._levels_at = 0.0

    def deliver(self, packet: bytes) -> None:
        """Let a packet wait to be sent; a client that lets too much wait is dropped."""
        self._queue(packet)

    def say(self, text: str) -> None:
        """Let a text wait likewise."""
        self._queue(text)

    def _queue(self, frame: bytes | str) -> None:
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.drop()
            return
        self._answers.append(frame)
        self._wake.set()

    def at_port(self, port: int) -> Peer:
        """Raises `Forbidden`: a WebSocket is answered where it is."""
        raise Forbidden(f"a reply port must be left out over WebSocket, got {port}")

    def drop(self) -> None:
        """End the connection at once, without a word."""
        self._transport.abort()

    def obey(self, text: str, space: AddressSpace) -> None:
        """Carry out `{"COMMAND": "LISTEN" or "IGNORE", "DATA": an exact path}`; other texts are answered."""
        try:
            command, path = _read(text)
            if command == "IGNORE":
                self._ignore(path)
            else:
                self._listen(path, space)
        except (UnknownAddress, TypeError, ValueError) as error:
            self.send(failure("", error))

    def _listen(self, path: str, space: AddressSpace) -> None:
        leaf = space.find(path)
        if not leaf.readable and leaf.path not in NOTICES:
            raise TypeError(f"an address must have a value to be listened to, got {path}")
        if path not in self._heard:
            self._asked.setdefault(leaf.path, []).append(path)
        self._heard[path] = leaf
        if leaf.readable:
            self._told.pop(path, None)
            self._moved[path] = None
            self._wake.set()

    def _ignore(self, path: str) -> None:
        leaf = self._heard.pop(path, None)
        if leaf is not None:
            self._asked[leaf.path].remove(path)
        self._moved.pop(path, None)
        self._told.pop(path, None)

    def touch(self, leaves: list[Leaf]) -> None:
        """The values of these have moved."""
        for leaf in leaves:
            for asked in self._asked.get(leaf.path, ()):
                self._moved[asked] = None
                self._wake.set()

    def tell(self, address: str, packet: bytes) -> None:
        """A notice, for whoever listens to its address."""
        if address in self._heard:
            self.send(packet)

    def rebuilt(self, space: AddressSpace) -> None:
        """The addresses were made anew: those that went are no longer listened to, all others are sent."""
        asked, self._heard = list(self._heard), {}
        for kept in (self._asked, self._told, self._moved):
            kept.clear()
        for path in asked:
            try:
                self._listen(path, space)
            except (UnknownAddress, TypeError):
                continue  # PATH_REMOVED tells the client

    async def write(self) -> None:
        """Send what waits, for as long as the client takes it."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._wait(clock())
            while self._answers:
                packet = self._answers.popleft()
                await self._transmit(packet)
                self._waiting_bytes -= len(packet)
            now = clock()
            if now >= self._levels_at:
                self._levels_at = now + SECONDS_BETWEEN_LEVELS
                await self._send_levels()
            if self._moved and now >= self._values_at:
                self._values_at = now + SECONDS_BETWEEN_VALUES
                await self._send_values()

    async def _wait(self, now: float) -> None:
        """Until there is something to send, or to look at."""
        times = [self._values_at] if self._moved else []
        if any(leaf.topic == METERS for leaf in self._heard.values()):
            times.append(self._levels_at)
        try:
            async with asyncio.timeout(max(0.0, min(times) - now) if times else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _send_values(self) -> None:
        moved, self._moved = list(self._moved), {}
        for asked in moved:
            await self._send_value(asked)

    async def _send_levels(self) -> None:
        for asked in [asked for asked, leaf in self._heard.items() if leaf.topic == METERS]:
            await self._send_value(asked)

    async def _send_value(self, asked: str) -> None:
        """Send a value that is another than before: a client that sends it back would go round for ever."""
        leaf = self._heard.get(asked)
        if leaf is not None:
            packet = encode(asked, tags_of(leaf), leaf.arguments())
            if self._told.get(asked) != packet:
                self._told[asked] = packet
                await self._transmit(packet)

    async def _transmit(self, packet: bytes | str) -> None:
        try:
            async with asyncio.timeout(SLOWEST_SECONDS):
                if isinstance(packet, str):
                    await self._socket.send_str(packet)
                else:
                    await self._socket.send_bytes(packet)
        except TimeoutError:
            self.drop()
            raise ConnectionResetError from None


NOTICES = frozenset({"/error", "/render/progress"})
"""What can be listened to and has no value: it is told as it happens."""


def notice_of(event: Event) -> tuple[str, bytes] | None:
    """The address and packet of an event that is told as it happens."""
    if isinstance(event, Fault):
        return "/error", encode("/error", "ss", (event.code, event.message))
    if isinstance(event, RenderProgress):
        told = (event.job, event.share, event.stage, event.message)
        return "/render/progress", encode("/render/progress", "sfss", told)
    return None


def path_notice(command: str, path: str) -> str:
    """A text that tells of a change of the tree."""
    return json.dumps({"COMMAND": command, "DATA": path})


def _read(text: str) -> tuple[str, str]:
    """Command and path of a text. Raises `ValueError` or `TypeError` for anything else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a text must be a JSON object, got {text[:60]!r}") from error
    if not isinstance(said, dict) or said.get("COMMAND") not in ("LISTEN", "IGNORE"):
        raise ValueError(f"a COMMAND must be LISTEN or IGNORE, got {text[:60]!r}")
    if not isinstance(said.get("DATA"), str):
        raise TypeError(f"the DATA of a command must be a path, got {text[:60]!r}")
    return said["COMMAND"], said["DATA"]
