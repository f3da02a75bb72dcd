"""OSC over UDP: many datagrams for each turn of the loop, and answers to where they came from."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from plugin_bridge.control.address_space.actions import Forbidden
from plugin_bridge.control.osc.codec import LARGEST_PACKET
from plugin_bridge.control.osc.peers import Peer
from plugin_bridge.control.osc.ports import in_use

RECEIVE_BUFFER_BYTES = 4 << 20
MOST_PEERS = 1024
"""How many senders are remembered; the ones silent for longest are forgotten first."""

_MOST_WAITING_BYTES = 1 << 20
_TURN_SECONDS = 0.004
_TURN_DATAGRAMS = 64
_log = logging.getLogger("plugin_bridge.control.osc")

Address = tuple[Any, ...]
Receive = Callable[[bytes, Peer], None]


class UdpPeer(Peer):
    """A sender of datagrams."""

    def __init__(self, transport: Any, address: Address) -> None:
        super().__init__()
        self._transport, self._address = transport, address
        self.host: str = address[0]
        self.target: Hashable = ("udp", *address[:2])

    def deliver(self, packet: bytes) -> None:
        """Send a datagram, unless so many wait already that it would come too late."""
        if not self._transport.is_closing() and self._transport.get_write_buffer_size() < _MOST_WAITING_BYTES:
            self._transport.sendto(packet, self._address)

    def at_port(self, port: int) -> Peer:
        """The same machine at another port. Raises `ValueError` for none, `Forbidden` for our own."""
        if not 1 <= port <= 65535:
            raise ValueError(f"a port must be 1 to 65535, got {port}")
        address = (self._address[0], port, *self._address[2:])
        own = self._transport.get_extra_info("sockname")
        if port == own[1]:
            raise Forbidden(f"a subscriber must listen on another port than ours, got {port}")
        return UdpPeer(self._transport, address)


class UdpSide(asyncio.DatagramProtocol):
    """The datagram socket: takes packets of those who may send them."""

    def __init__(self, receive: Receive, admits: Callable[[str], bool]) -> None:
        self._receive, self._admits = receive, admits
        self._peers: OrderedDict[Address, UdpPeer] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self._socket: socket.socket | None = None

    async def open(self, family: int, address: Address) -> int:
        """Bind; the port that it got. Raises `DeviceError` for a port in use."""
        listening = socket.socket(family, socket.SOCK_DGRAM)
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            listening.bind(address)
        except OSError as error:
            listening.close()
            raise in_use(address[0], address[1], "udp", error) from error
        loop = asyncio.get_running_loop()
        self._socket = listening
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=listening)
        port: int = listening.getsockname()[1]
        return port

    def close(self) -> None:
        """Give the port back."""
        self._socket = None
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Take this datagram and those behind it, but leave the loop to others after a few milliseconds."""
        self._take(data, addr)
        if sys.platform == "win32":
            return  # its loop has its own reads under way
        until = time.monotonic() + _TURN_SECONDS
        for _ in range(_TURN_DATAGRAMS):
            if self._socket is None or time.monotonic() > until:
                return
            try:
                data, addr = self._socket.recvfrom(LARGEST_PACKET)
            except OSError:  # nothing more is there, or somebody we wrote to is gone
                return
            self._take(data, addr)

    def _take(self, data: bytes, address: Address) -> None:
        if self._transport is not None and self._admits(address[0]):
            self._receive(data, self._peer(address))

    def _peer(self, address: Address) -> UdpPeer:
        peer = self._peers.get(address)
        if peer is None:
            assert self._transport is not None
            peer = self._peers[address] = UdpPeer(self._transport, address)
            if len(self._peers) > MOST_PEERS:
                self._peers.popitem(last=False)
        else:
            self._peers.move_to_end(address)
        return peer

    def error_received(self, exc: Exception) -> None:
        """A datagram could not be sent: its receiver is gone, and its lease will end."""
        _log.debug("an OSC datagram was not delivered: %r", exc)
