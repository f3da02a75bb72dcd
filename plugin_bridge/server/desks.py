"""Everything by which a running server is controlled: OSC, OSCQuery, MIDI, Ardour, and their announcement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.server.server import Server

if TYPE_CHECKING:
    from plugin_bridge.control.midi_ports import MidiControl
    from plugin_bridge.control.osc.server import OscServer


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
    jack_server: str = ""


class Desks:
    """Starts what was asked for; `doors` says in sentences where it listens.

    Raises `ValueError` for a request that cannot be.
    """

    def __init__(self, server: Server, request: DesksRequest) -> None:
        self._server, self._request = server, request
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._space: AddressSpace | None = None
        self._midi: MidiControl | None = None
        self.doors: list[str] = []

    async def start(self) -> None:
        """Open everything. Raises `DeviceError` where a port is in use or a library is missing."""
        space = self._space = AddressSpace(self._server)
        if self._request.osc:
            osc = await self._start_osc(space)
            http_port = await self._start_oscquery(space, osc.port)
            if self._request.announce:
                self._announce(osc.port, http_port)
        if self._request.midi or self._request.midi_map:
            await self._start_midi(space)
        if self._request.link:
            await self._start_link()

    async def close(self) -> None:
        """Close everything, the last opened first."""
        while self._closers:
            await self._closers.pop()()
        if self._space is not None:
            self._space.close()
            self._space = None

    def listen(self) -> None:
        """Hand on to the server's sentences what happened here."""
        while self._midi is not None and self._midi.events:
            self._server.sentences.append(self._midi.events.popleft())

    async def _start_osc(self, space: AddressSpace) -> OscServer:
        from plugin_bridge.control.osc.server import OscRequest, OscServer

        asked = self._request
        osc = OscServer(
            self._server, space, OscRequest(asked.bind, asked.osc_port, asked.tcp_port, asked.allow)
        )
        await osc.start()
        self._closers.append(osc.close)
        self.doors.append(f"OSC on {asked.bind}: UDP port {osc.port}, TCP port {osc.tcp_port}")
        return osc

    async def _start_oscquery(self, space: AddressSpace, osc_port: int) -> int:
        """Serve OSCQuery on the number of OSC's port; the port, 0 where the library for it is not there."""
        from plugin_bridge.control.oscquery import OscQueryRequest, OscQueryServer

        if not self._has("aiohttp", "OSCQuery"):
            return 0
        asked = self._request
        request = OscQueryRequest(asked.bind, asked.osc_port, osc_port, asked.allow, asked.name)
        query = OscQueryServer(self._server, space, request)
        await query.start()
        self._closers.append(query.close)
        host = f"[{asked.bind}]" if ":" in asked.bind else asked.bind
        self.doors.append(f"OSCQuery on http://{host}:{query.port}/")
        return query.port

    def _has(self, library: str, what: str) -> bool:
        if find_spec(library) is not None:
            return True
        self.doors.append(f"no {what}: it needs {library}; pip install 'plugin-bridge[live]'")
        return False

    def _announce(self, osc_port: int, http_port: int) -> None:
        """Announce both ports in the background, since that takes a second."""
        from plugin_bridge.control.discovery import Announcement, Discovery

        if not self._has("zeroconf", "announcement in the network"):
            return
        discovery = Discovery(Announcement(self._request.name, self._request.bind, osc_port, http_port))

        async def announce() -> None:
            await discovery.start()
            if discovery.note:
                self._server.sentences.append(discovery.note)

        announcing = asyncio.create_task(announce())

        async def close() -> None:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)
            await discovery.close()

        self._closers.append(close)

    async def _start_midi(self, space: AddressSpace) -> None:
        from plugin_bridge.control.midi_ports import MidiControl, MidiRequest

        asked = self._request
        midi = self._midi = MidiControl(
            self._server,
            space,
            MidiRequest(map=asked.midi_map, ports=asked.midi, server=asked.jack_server, name=asked.name),
        )
        await midi.start()
        self._closers.append(midi.close)
        self.doors.append(f"MIDI by the map '{midi.map.name}': {', '.join(asked.midi) or 'its ports'}")

    async def _start_link(self) -> None:
        from plugin_bridge.control.ardour_link import ArdourLink, ArdourRequest

        request = ArdourRequest.parse(self._request.link)
        link = ArdourLink(self._server, request, self._server.sentences.append)
        await link.start()
        self._closers.append(link.close)
        self.doors.append(f"linked to Ardour at {request.host}:{request.port} whenever it is there")
