"""The OSC server: one table of addresses, over UDP and TCP."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.commands import Commands
from plugin_bridge.control.osc.dispatch import Dispatcher
from plugin_bridge.control.osc.peers import BoundedLog
from plugin_bridge.control.osc.session import SessionCommands
from plugin_bridge.control.osc.subscribers import Subscribers
from plugin_bridge.control.osc.tcp import TcpSide
from plugin_bridge.control.osc.udp import UdpSide
from plugin_bridge.errors import DeviceError

UDP_PORT, TCP_PORT = 9300, 9301
_SWEEP_SECONDS = 2.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class OscRequest:
    """Where to listen, and to whom: `senders` are addresses or networks as `192.168.1.0/24`.

    This machine may always send. Port 0 is any free one. Raises `ValueError` for a sender that is no
    address, or for listening beyond this machine without senders.
    """

    host: str = "127.0.0.1"
    port: int = UDP_PORT
    tcp_port: int = TCP_PORT
    senders: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("TCP port", self.tcp_port)):
            if not 0 <= port <= 65535:
                raise ValueError(f"an OSC {name} must be 0 to 65535, got {port}")
        if not (self.networks() or self.is_local):
            raise ValueError(
                f"listening beyond this machine must come with the senders that are let in, got {self.host} "
                "alone; name them, as 192.168.1.0/24"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine is listened to."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def networks(self) -> list[Network]:
        """Who may send. Raises `ValueError` for what is no address."""
        try:
            return [ipaddress.ip_network(each, strict=False) for each in self.senders]
        except ValueError as error:
            raise ValueError(
                f"a sender must be an address or a network as 192.168.1.0/24, got: {error}"
            ) from error


class OscServer:
    """Listens between `start` and `close`; `port` and `tcp_port` are where."""

    def __init__(self, commands: Commands, space: AddressSpace, request: OscRequest) -> None:
        self._request, self._space = request, space
        self._networks = request.networks()
        self._logs = BoundedLog()
        self.subscribers = Subscribers(space)
        self._dispatcher = Dispatcher(space, SessionCommands(commands, self.subscribers))
        self._udp = UdpSide(self._dispatcher.receive, self._admits)
        self._tcp = TcpSide(
            self._dispatcher.receive, self._admits, self.subscribers.end, self._count_malformed
        )
        self._sweeping: asyncio.Task[None] | None = None
        self.port = self.tcp_port = 0
        self._is_admitted = lru_cache(maxsize=1024)(self._in_networks)

    async def start(self) -> None:
        """Open both ports. Raises `DeviceError` for an address that is none, or a port in use."""
        family, address = await self._resolve()
        self.port = await self._udp.open(family, address)
        try:
            self.tcp_port = await self._tcp.open(address[0], self._request.tcp_port)
        except DeviceError:
            self._udp.close()
            raise
        self.subscribers.start()
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def close(self) -> None:
        """Give both ports back; what is under way is dropped."""
        if self._sweeping:
            self._sweeping.cancel()
        self.subscribers.close()
        self._dispatcher.close()
        self._udp.close()
        await self._tcp.close()
        await asyncio.sleep(0)  # the transports close on the loop's next turn

    async def _resolve(self) -> tuple[int, tuple[str, int]]:
        loop = asyncio.get_running_loop()
        host, port = self._request.host, self._request.port
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise DeviceError(
                f"the OSC address must be one of this machine, got '{host}': {error}"
            ) from error
        family, *_, address = found[0]
        return family, (str(address[0]), int(address[1]))

    def _admits(self, host: str) -> bool:
        if self._is_admitted(host):
            return True
        self._space.traffic.denied += 1
        self._logs.once(host, f"{host} sends OSC and is not let in; it is counted")
        return False

    def _in_networks(self, host: str) -> bool:
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self._networks)

    def _count_malformed(self, count: int) -> None:
        self._space.traffic.malformed += count

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._tcp.sweep(self.subscribers.subscribes)
