"""Announce the server in the local network (multicast DNS), so that control surfaces find it by themselves.

Bound to loopback, it is announced on the loopback interface only: programs of this machine may find it,
the network hears nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_bridge.errors import DeviceError

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

OSCQUERY_TYPE, OSC_TYPE = "_oscjson._tcp.local.", "_osc._udp.local."

_GROUP, _GROUP_PORT = "224.0.0.251", 5353

_MOST_SECONDS = 10.0
"""Announcing asks three times whether the name is free, and takes about a second; a name taken, two."""


@dataclass(frozen=True)
class Announcement:
    """What to announce: the name people see, the address bound, the ports; an HTTP port of 0 is left out."""

    name: str = "plugin-bridge"
    host: str = "127.0.0.1"
    osc_port: int = 9300
    http_port: int = 9300


class Discovery:
    """Both records of a server, `_oscjson._tcp` for OSCQuery and `_osc._udp` for plain OSC.

    Without a network it stays silent, and `note` says why: nothing else needs it.
    """

    def __init__(self, announcement: Announcement) -> None:
        self._announcement = announcement
        self._zeroconf: AsyncZeroconf | None = None
        self.names: list[str] = []
        """The full names announced; a number is added to one that another server has."""
        self.note = ""
        """One sentence where nothing could be announced, else empty."""

    async def start(self) -> None:
        """Announce, and return when it is done. Raises `DeviceError` where zeroconf is not installed."""
        try:
            from zeroconf import Error, IPVersion
            from zeroconf.asyncio import AsyncZeroconf
        except ImportError as error:
            raise DeviceError(
                "discovery must have the zeroconf library, got none; pip install 'plugin-bridge[live]'"
            ) from error
        try:
            addresses = reachable(self._announcement.host)
            for address in addresses:
                check_multicast(address)
            self._zeroconf = AsyncZeroconf(interfaces=addresses, ip_version=IPVersion.V4Only)
            async with asyncio.timeout(_MOST_SECONDS):
                await self._register(addresses)
        except (OSError, Error) as error:
            await self.close()
            reason = str(error) or "it took too long"
            self.note = f"not announced in the network, which must carry multicast, got: {reason}"

    async def _register(self, addresses: list[str]) -> None:
        services = self._services(addresses)
        await asyncio.gather(*(self._register_one(service) for service in services))
        self.names = [service.name for service in services]

    async def _register_one(self, service: AsyncServiceInfo) -> None:
        assert self._zeroconf is not None
        # A second server on the machine gets a number behind its name.
        announced = await self._zeroconf.async_register_service(service, allow_name_change=True)
        await announced

    def _services(self, addresses: list[str]) -> list[AsyncServiceInfo]:
        from zeroconf.asyncio import AsyncServiceInfo

        asked = self._announcement
        machine = socket.gethostname().partition(".")[0] or "machine"
        outside = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
        ports = {OSCQUERY_TYPE: asked.http_port, OSC_TYPE: asked.osc_port}
        # Bytes of a DNS label are few, and a dot would end it.
        label = f"{asked.name} ({machine})".replace(".", "-").encode()[:50].decode(errors="ignore")
        return [
            AsyncServiceInfo(
                kind,
                f"{label}.{kind}",
                port=port,
                parsed_addresses=outside or addresses,
                # Not the machine's own name: that one is for its own responder to answer for.
                server=f"plugin-bridge-{machine}-{port}.local.",
                properties={"txtvers": "1"},
            )
            for kind, port in ports.items()
            if port
        ]

    async def close(self) -> None:
        """Take the records back. May be called twice."""
        zeroconf, self._zeroconf, self.names = self._zeroconf, None, []
        if zeroconf is not None:
            with contextlib.suppress(OSError):  # a network that has gone takes no farewell
                await zeroconf.async_close()


def reachable(host: str) -> list[str]:
    """The IPv4 addresses under which a server bound to an address can be reached.

    Loopback is among them only where it was asked for, or where there is nothing else. Raises `OSError`
    for an address that is not IPv4's.
    """
    try:
        address = ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        if ipaddress.ip_address(host).is_unspecified:
            address = ipaddress.IPv4Address(0)  # `::` takes IPv4 as well
        else:
            raise OSError(f"an IPv6 address, {host}") from error
    if not address.is_unspecified:
        return [str(address)]
    return _outside() or ["127.0.0.1"]


def check_multicast(address: str) -> None:
    """Raise `OSError` where multicast DNS cannot be had on the interface of an address.

    zeroconf would find out too, but leave a socket open.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        interface = socket.inet_aton(address)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(_GROUP) + interface)
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        probe.sendto(b"", (_GROUP, _GROUP_PORT))


def _outside() -> list[str]:
    import ifaddr

    own = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str))
    return sorted(ip for ip in own if not ipaddress.ip_address(ip).is_loopback)
