"""A client that speaks OSC to our server over real sockets, by python-osc's own builder and reader."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc.server import OscRequest, OscServer
from tests.control_desk import Desk

PATIENCE_SECONDS = 10.0
"""How long a test waits for what must come."""

Told = tuple[str, tuple[Any, ...]]


def message(address: str, *arguments: Any, types: str = "") -> bytes:
    """A message as python-osc builds it; the types are guessed where they are not given."""
    builder = OscMessageBuilder(address)
    for at, argument in enumerate(arguments):
        builder.add_arg(argument, types[at] if types else None)
    packet: bytes = builder.build().dgram
    return packet


def ntp(seconds: float) -> bytes:
    """The time tag of a time."""
    return struct.pack(">II", int(seconds) + 2208988800, int(seconds % 1 * 2**32))


def bundle(*packets: bytes, seconds: float | None = None) -> bytes:
    """Packets in one bundle, at once or at a time."""
    tag = b"\0\0\0\0\0\0\0\1" if seconds is None else ntp(seconds)
    return b"#bundle\0" + tag + b"".join(struct.pack(">i", len(each)) + each for each in packets)


def read(packet: bytes) -> list[Told]:
    """What a packet says, message by message."""
    if not packet.startswith(b"#bundle"):
        said = OscMessage(packet)
        return [(said.address, tuple(said.params))]
    return [told for each in OscBundle(packet) for told in read(each.dgram)]


class Client(asyncio.DatagramProtocol):
    """A UDP client; `packets` and `told` hold everything that came in."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.told: list[Told] = []
        self.times: list[float] = []
        self._news = asyncio.Event()

    @classmethod
    async def of(cls, port: int, host: str = "127.0.0.1") -> Client:
        """A client of a port."""
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)  # it shares its loop with the server
        wire.setblocking(False)
        wire.connect((host, port))
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_datagram_endpoint(cls, sock=wire)
        client.transport = transport
        return client

    @property
    def port(self) -> int:
        """Its own port."""
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Note what comes in."""
        self.packets.append(data)
        for told in read(data):
            self.told.append(told)
            self.times.append(time.monotonic())
        self._news.set()

    def send(self, *arguments: Any, types: str = "") -> None:
        """Send a message."""
        self.transport.sendto(message(*arguments, types=types))

    def send_raw(self, packet: bytes) -> None:
        """Send bytes."""
        self.transport.sendto(packet)

    async def until(self, is_there: Callable[[], Any]) -> Any:
        """Wait until something is so; what it then is."""
        last = time.monotonic() + PATIENCE_SECONDS
        while not (found := is_there()):
            assert time.monotonic() < last, "what must come did not come"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._news.wait()
        return found

    async def hear(self, address: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Wait for so many messages of an address; their arguments."""
        await self.until(lambda: len(self.heard(address)) >= count)
        return self.heard(address)

    def heard(self, address: str) -> list[tuple[Any, ...]]:
        """The arguments of every message of an address so far."""
        return [arguments for told, arguments in self.told if told == address]

    async def ask(self, *arguments: Any, types: str = "", answer: str = "") -> tuple[Any, ...]:
        """Send a message and wait for what comes back on its address, or on another."""
        wanted = answer or arguments[0]
        before = len(self.heard(wanted))
        self.send(*arguments, types=types)
        return (await self.hear(wanted, before + 1))[before]

    async def quiet(self) -> None:
        """Wait until the server has answered everything sent so far."""
        number = len(self.told) + 1
        self.send("/sync", number, types="i")
        await self.until(lambda: (number,) in self.heard("/synced"))


@asynccontextmanager
async def serving(desk: Desk, senders: Sequence[str] = ()) -> AsyncIterator[OscServer]:
    """The OSC server of a desk, on free ports."""
    space = AddressSpace(desk)
    server = OscServer(desk, space, OscRequest(port=0, tcp_port=0, senders=senders))
    await server.start()
    try:
        yield server
    finally:
        await server.close()
        space.close()


@asynccontextmanager
async def talking(desk: Desk, clients: int = 1) -> AsyncIterator[list[Client]]:
    """A server and so many clients of it."""
    async with serving(desk) as server:
        made = [await Client.of(server.port) for _ in range(clients)]
        try:
            yield made
        finally:
            for client in made:
                client.transport.close()
