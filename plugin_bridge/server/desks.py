"""Everything by which a running server is controlled: OSC, OSCQuery, MIDI, Ardour, and their announcement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.server.server import Server


@dataclass(frozen=True)
class DesksRequest:
    """What may control the server, and where it listens; `allow` names senders beyond this machine."""

    osc: bool = True
    osc_port: int = 9300
    tcp_port: int = 9301
    bind: str = "127.0.0.1"
    allow: tuple[str, ...] = ()
    announce: bool = True
    midi: tuple[str, ...] = ()
    midi_map: str = ""
    link: str = ""
    name: str = "plugin-bridge"


class Desks:
    """Starts what was asked for; `doors` says in sentences where it listens.

    Raises `ValueError` for a request that cannot be.
    """

    def __init__(self, server: Server, request: DesksRequest) -> None:
        self._server, self._request = server, request
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._space: AddressSpace | None = None
        self.doors: list[str] = []

    async def start(self) -> None:
        """Open everything. Raises `DeviceError` where a port is in use or a library is missing."""
        self._space = AddressSpace(self._server)
        if self._request.osc:
            await self._start_osc(self._space)

    async def close(self) -> None:
        """Close everything, the last opened first."""
        while self._closers:
            await self._closers.pop()()
        if self._space is not None:
            self._space.close()
            self._space = None

    async def _start_osc(self, space: AddressSpace) -> None:
        from plugin_bridge.control.osc.server import OscRequest, OscServer

        asked = self._request
        request = OscRequest(asked.bind, asked.osc_port, asked.tcp_port, asked.allow)
        osc = OscServer(self._server, space, request)
        await osc.start()
        self._closers.append(osc.close)
        self.doors.append(f"OSC on {asked.bind}: UDP port {osc.port}, TCP port {osc.tcp_port}")
