"""OSC over TCP: streams of packets, with bounds on whoever is slow, silent or endless."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable

from plugin_bridge.control.address_space.actions import Forbidden
from plugin_bridge.control.osc.failures import failure
from plugin_bridge.control.osc.framing import Framer, FramingError, framed
from plugin_bridge.control.osc.peers import Peer
from plugin_bridge.control.osc.ports import in_use

MOST_CONNECTIONS = 64
PART_SECONDS = 10.0
"""How long a packet may take to come in."""
SILENT_SECONDS = 600.0
"""How long a connection without a lease may be silent."""

_MOST_WAITING_BYTES = 1 << 20
_TURN_SECONDS = 0.004
_PAUSE_SECONDS = 0.02

Receive = Callable[[bytes, Peer], None]


class TcpPeer(Peer, asyncio.Protocol):
    """One connection."""

    def __init__(self, side: TcpSide) -> None:
        super().__init__()
        self._side = side
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._lost_frames = 0
        self.host = ""
        self.target: Hashable = ("tcp", id(self))
        self.heard_at = self.whole_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, if its sender may connect and there is room."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.host = transport.get_extra_info("peername")[0]
        if not self._side.enter(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None
        self._side.leave(self)

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def deliver(self, packet: bytes) -> None:
        """Send a packet; a connection that takes nothing for too long is ended."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
            self._transport.abort()
            return
        self._transport.write(framed(packet, self._framer.framing))

    def at_port(self, port: int) -> Peer:
        """Raises `Forbidden`: what was asked for over a connection is answered on it."""
        raise Forbidden(f"a subscription over TCP must stay on its connection, got port {port}")

    def data_received(self, data: bytes) -> None:
        """Take bytes, and the packets that they complete."""
        self.heard_at = time.monotonic()
        try:
            self._framer.feed(data)
        except FramingError as error:
            self._give_up(error)
            return
        if not self._paused:
            self._work()

    def is_overdue(self, now: float, has_lease: bool) -> bool:
        """Whether it holds a part of a packet, or nothing at all, for too long."""
        if self._framer.holds_part and not self._paused and now - self.whole_at > PART_SECONDS:
            return True
        return not has_lease and now - self.heard_at > SILENT_SECONDS

    def _work(self) -> None:
        """Carry out complete packets for a few milliseconds; the others after a pause, unread meanwhile."""
        until = time.monotonic() + _TURN_SECONDS
        try:
            for packet in self._framer.packets():
                self._side.receive(packet, self)
                now = self.whole_at = time.monotonic()
                if self._transport is None:
                    return
                # A stream can be made to wait: nothing of it need be dropped.
                if now > until or self.allowance.is_empty:
                    self._pause(_PAUSE_SECONDS if self.allowance.is_empty else 0.0)
                    return
        except FramingError as error:
            self._give_up(error)
            return
        if not self._framer.holds_part:
            self.whole_at = time.monotonic()
        self._side.count_malformed(self._framer.dropped - self._lost_frames)
        self._lost_frames = self._framer.dropped
        self._resume()

    def _pause(self, seconds: float) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._work_on)

    def _work_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self.allowance.is_empty:
                self._pause(_PAUSE_SECONDS)
            else:
                self._work()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _give_up(self, error: FramingError) -> None:
        """End a stream in which nothing can be found any more, and say why."""
        self._side.count_malformed(1)
        self.send(failure("", TypeError(str(error))))
        if self._transport is not None:
            self._transport.close()


class TcpSide:
    """The listening socket and its connections."""

    def __init__(
        self,
        receive: Receive,
        admits: Callable[[str], bool],
        left: Callable[[Peer], None],
        count_malformed: Callable[[int], None],
    ) -> None:
        self.receive, self._admits, self._left = receive, admits, left
        self.count_malformed = count_malformed
        self._connections: set[TcpPeer] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; the port that it got. Raises `DeviceError` for a port in use."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: TcpPeer(self), host, port)
        except OSError as error:
            raise in_use(host, port, "tcp", error) from error
        got: int = self._server.sockets[0].getsockname()[1]
        return got

    def enter(self, peer: TcpPeer) -> bool:
        """Whether a connection may stay."""
        if not self._admits(peer.host) or len(self._connections) >= MOST_CONNECTIONS:
            return False
        self._connections.add(peer)
        return True

    def leave(self, peer: TcpPeer) -> None:
        """A connection is gone."""
        self._connections.discard(peer)
        self._left(peer)

    def sweep(self, has_lease: Callable[[Peer], bool]) -> None:
        """End connections that are stuck or forgotten."""
        now = time.monotonic()
        for peer in list(self._connections):
            if peer.is_overdue(now, has_lease(peer)):
                peer.close()

    async def close(self) -> None:
        """End every connection and give the port back."""
        if self._server is not None:
            self._server.close()
            for peer in list(self._connections):
                peer.close()
            await self._server.wait_closed()
