"""We as a control surface of Ardour's: the socket, and what Ardour is asked to report on it."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from plugin_bridge.control.osc.codec import MalformedPacket, decode, encode, tags_of
from plugin_bridge.errors import DeviceError

DEFAULT_PORT = 3819

# Ardour's numbers: which strips (audio tracks and buses), and what it shall report: nothing but answers, as
# `/reply` since `#reply` is no address; or switches, values and a heartbeat every second, too.
_STRIP_TYPES = 1 + 4
_ANSWERS = 16384
_REPORTS = _ANSWERS + 1 + 2 + 8

_RECEIVE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class ArdourRequest:
    """Where Ardour's OSC surface listens."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str) -> ArdourRequest:
        """Read `ardour[:HOST[:PORT]]`. Raises `ValueError` for anything else.

        >>> ArdourRequest.parse("ardour:studio:3820")
        ArdourRequest(host='studio', port=3820)
        """
        found = re.fullmatch(r"ardour(?::([^:]*))?(?::(\d{1,5}))?", text, re.ASCII)
        port = int(found[2] or DEFAULT_PORT) if found else 0
        if not found or not 0 < port < 65536:
            raise ValueError(f"a link must be ardour[:HOST:PORT], got '{text}'")
        return cls(found[1] or cls.host, port)


class Surface:
    """A socket of our own that only Ardour is heard on; `hear` is given the address and arguments."""

    def __init__(self, request: ArdourRequest, hear: Callable[[str, Sequence[Any]], None]) -> None:
        self.where = f"{request.host}:{request.port}"
        self._peer = (request.host, request.port)
        self._hear = hear
        self._heard_at = -math.inf
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Open the socket. Raises `DeviceError` for a host that is unknown or out of reach."""
        loop = asyncio.get_running_loop()
        host, port = self._peer
        try:
            found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
            self._peer = str(found[0][4][0]), port
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Ear(self._hear_packet), local_addr=(_own_address(self._peer), 0)
            )
        except (OSError, UnicodeError) as error:
            raise DeviceError(f"the host of Ardour must be in reach, got {self.where}: {error}") from error
        own: socket.socket = self._transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)

    def close(self) -> None:
        """Send and hear nothing more. May be called twice."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def silent_seconds(self) -> float:
        """How long nothing has been heard."""
        return asyncio.get_running_loop().time() - self._heard_at

    def look(self) -> None:
        """Ask for the strips' numbers and names, and have nothing reported.

        This is safe at any time. Where strips are reported, Ardour 7 may crash when it is asked to report
        them anew while it still loads its session.
        """
        # No banks, gains in dB, no pages. Port 0 means the one we send from; no port at all, a fixed one.
        self.send("/set_surface", 0, _STRIP_TYPES, _ANSWERS, 0, 0, 0, 0)
        self.send("/strip/list")

    def listen(self) -> None:
        """Have every strip reported, and from then on what changes."""
        self.send("/set_surface/feedback", _REPORTS)

    def leave(self) -> None:
        """Have nothing reported any more."""
        self.send("/set_surface/feedback", _ANSWERS)

    def send(self, address: str, *arguments: float | int) -> None:
        """Send one message."""
        if self._transport is not None:
            self._transport.sendto(encode(address, tags_of(arguments), arguments), self._peer)

    def _hear_packet(self, packet: bytes, sender: tuple[Any, ...]) -> None:
        if sender[:2] != self._peer or self._transport is None:
            return
        try:
            messages = decode(packet, time.time())
        except MalformedPacket:
            return  # not Ardour's; its next report will be
        for message in messages:
            self._heard_at = asyncio.get_running_loop().time()
            self._hear(message.address, message.arguments)


class _Ear(asyncio.DatagramProtocol):
    """Hands on what comes in. An Ardour that is not there is known by its silence, not by errors."""

    def __init__(self, hear: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._hear(data, addr)


def _own_address(peer: tuple[str, int]) -> str:
    """The address of this machine that a peer can answer to. Raises `OSError` where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(peer)
        return str(probe.getsockname()[0])
