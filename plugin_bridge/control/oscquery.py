"""OSCQuery: the address space over HTTP as JSON, and its values over WebSocket as binary OSC packets.

Vidvox's proposal, revision 3: `GET /path` gives the tree below a path, `GET /path?ATTRIBUTE` one attribute
of it, `?HOST_INFO` where OSC itself is to be found. A WebSocket on the same port takes LISTEN and IGNORE as
text, and OSC packets as binary frames, which are obeyed and answered as those that come by UDP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import AI_PASSIVE, SOCK_STREAM, gaierror
from typing import TYPE_CHECKING, Any

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.commands import Commands, Event, Rebuilt
from plugin_bridge.control.osc.codec import LARGEST_PACKET
from plugin_bridge.control.osc.dispatch import Dispatcher
from plugin_bridge.control.osc.ports import in_use
from plugin_bridge.control.osc.server import UDP_PORT, Network, OscRequest
from plugin_bridge.control.osc.session import SessionCommands
from plugin_bridge.control.osc.subscribers import Subscribers
from plugin_bridge.control.oscquery_door import is_let_in, quiet_logger, refusal
from plugin_bridge.control.oscquery_listener import Listener, notice_of, path_notice
from plugin_bridge.control.oscquery_tree import EXTENSIONS, Tree, attribute, differences, pieces, to_json
from plugin_bridge.errors import DeviceError

if TYPE_CHECKING:
    from aiohttp import web

_JSON, _TEXT = "application/json", "text/plain"
_PAUSE_SECONDS = 0.02
_PIECES_AT_ONCE = 200
"""Nodes of a tree written between two looks at what else is to be done."""


@dataclass(frozen=True)
class OscQueryRequest:
    """Where to serve, and to whom: `senders` are addresses or networks, as for OSC itself.

    `osc_port` is where OSC is served over UDP. Port 0 is any free one. Raises `ValueError` as `OscRequest`.
    """

    host: str = "127.0.0.1"
    port: int = UDP_PORT
    osc_port: int = UDP_PORT
    senders: Sequence[str] = ()
    name: str = "plugin-bridge"
    most_connections: int = 64
    most_listeners: int = 32
    largest_message: int = LARGEST_PACKET

    def __post_init__(self) -> None:
        OscRequest(self.host, self.port, senders=self.senders)

    def networks(self) -> list[Network]:
        """Who may ask, besides this machine."""
        return OscRequest(self.host, self.port, senders=self.senders).networks()


class _Full(asyncio.Protocol):
    """A connection too many: it is told so and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        transport.close()


class OscQueryServer:
    """Serves the table of a running server, and keeps its clients up to date.

    Packets that come over WebSocket are carried out as OSC's own; subscriptions made there end with the
    connection.
    """

    def __init__(self, commands: Commands, space: AddressSpace, request: OscQueryRequest) -> None:
        self._space, self._request, self._networks = space, request, request.networks()
        self._subscribers = Subscribers(space)
        self._dispatcher = Dispatcher(space, SessionCommands(commands, self._subscribers))
        self._tree = Tree(space.leaves.values())
        self._listeners: dict[Listener, web.WebSocketResponse] = {}
        self._deafen: Callable[[], None] | None = None
        self._web: web.Server | None = None
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is served, also where any free one was asked for by 0."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def listeners(self) -> int:
        """How many WebSocket clients there are."""
        return len(self._listeners)

    @property
    def subscribers(self) -> int:
        """How many of them have subscribed as over OSC."""
        return len(self._subscribers)

    async def start(self) -> None:
        """Serve. Raises `DeviceError` for a port in use and where aiohttp is not installed."""
        try:
            from aiohttp import web
        except ImportError as error:
            raise DeviceError(
                "OSCQuery must have the aiohttp library, got none; pip install 'plugin-bridge[live]'"
            ) from error
        # The lines of a log that strangers can write to must be few.
        self._web = web.Server(
            self._answer, access_log=None, logger=quiet_logger(), keepalive_timeout=30.0, lingering_time=1.0
        )
        asked = self._request
        try:
            loop = asyncio.get_running_loop()
            # One address of a name that has several, the same that OSC takes.
            found = await loop.getaddrinfo(asked.host, asked.port, type=SOCK_STREAM, flags=AI_PASSIVE)
            self._server = await loop.create_server(self._admit, str(found[0][4][0]), asked.port)
        except (OSError, UnicodeError) as error:
            raise _unusable(asked, error) from error
        self._deafen = self._space.watch(self._hear)
        self._subscribers.start()

    async def close(self) -> None:
        """Say good-bye to every client, and serve no more. May be called twice."""
        if self._deafen is None or self._server is None or self._web is None:
            return
        self._deafen()
        self._deafen = None
        self._subscribers.close()
        self._dispatcher.close()
        self._server.close()
        goodbyes = [each.close(code=1001, message=b"the server ends") for each in self._listeners.values()]
        await asyncio.gather(*goodbyes, return_exceptions=True)
        await self._web.shutdown(timeout=1.0)
        await self._server.wait_closed()
        self._server = self._web = None

    def _admit(self) -> asyncio.Protocol:
        assert self._web is not None
        return self._web() if len(self._web.connections) < self._request.most_connections else _Full()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Rebuilt):
            self._rebuild()
        else:
            touched = self._space.touched(event) if self._listeners else []
            notice = notice_of(event)
            for listener in self._listeners:
                listener.touch(touched)
                if notice is not None:
                    listener.tell(*notice)

    def _rebuild(self) -> None:
        before, self._tree = self._tree, Tree(self._space.leaves.values())
        if not self._listeners:
            return
        notices = [path_notice(command, path) for command, path in differences(before, self._tree)]
        for listener in self._listeners:
            for notice in notices:
                listener.say(notice)
            listener.rebuilt(self._space)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        reason = self._reason_against(request)
        if reason:
            return web.Response(status=403, text=reason)
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="a request must be GET", headers={"Allow": "GET, HEAD"})
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request)
        status, kind, body = await self._page(request)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if "Origin" in request.headers:  # a page that was let in may read the answer too
            headers |= {"Access-Control-Allow-Origin": request.headers["Origin"], "Vary": "Origin"}
        return web.Response(status=status, text=body or None, content_type=kind, headers=headers)

    def _reason_against(self, request: web.BaseRequest) -> str:
        if not is_let_in(request.remote or "", self._networks):
            self._space.traffic.denied += 1
            return "the sender must be one that is let in"
        return refusal(request.headers)

    async def _page(self, request: web.BaseRequest) -> tuple[int, str, str]:
        """Status, type and body of the answer to a GET."""
        node = self._tree.find(request.path)
        query = request.query_string
        if query == "HOST_INFO":
            return 200, _JSON, to_json(self._host_info(request))
        if node is None:
            return 404, _TEXT, f"an address must exist, got {request.path[:100]!a}"
        if not query:
            return 200, _JSON, await self._whole(node.path)
        try:
            found = attribute(node, query.removesuffix("="))
        except KeyError:
            return 400, _TEXT, f"an attribute must be one of OSCQuery's, got {query[:60]!a}"
        return (204, _TEXT, "") if found is None else (200, _JSON, to_json(found))

    async def _whole(self, path: str) -> str:
        """The tree below a path as JSON, begun again where it is made anew meanwhile."""
        while True:
            tree = self._tree
            node = tree.find(path) or tree.root
            written = []
            for number, piece in enumerate(pieces(node), 1):
                written.append(piece)
                if number % _PIECES_AT_ONCE == 0:
                    await asyncio.sleep(0)
                    if self._tree is not tree:
                        break
            else:
                return "".join(written)

    def _host_info(self, request: web.BaseRequest) -> dict[str, Any]:
        transport = request.transport
        here = transport.get_extra_info("sockname") if transport is not None else None
        address = here[0] if here else self._request.host
        return {
            "NAME": self._request.name,
            "EXTENSIONS": EXTENSIONS,
            "OSC_IP": address,
            "OSC_PORT": self._request.osc_port,
            "OSC_TRANSPORT": "UDP",
            "WS_IP": address,
            "WS_PORT": self.port,
        }

    async def _converse(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        if len(self._listeners) >= self._request.most_listeners:
            return web.Response(status=503, text="there are too many clients; close one")
        socket = web.WebSocketResponse(
            max_msg_size=self._request.largest_message, heartbeat=20.0, timeout=2.0, compress=False
        )
        if not socket.can_prepare(request):
            return web.Response(status=400, text="a WebSocket must be asked for as RFC 6455 says")
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        listener = Listener(socket, transport, request.remote or "")
        self._listeners[listener] = socket
        writing = asyncio.create_task(listener.write())
        try:
            await self._read(socket, listener)
        finally:
            del self._listeners[listener]
            self._subscribers.end(listener)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return socket

    async def _read(self, socket: web.WebSocketResponse, listener: Listener) -> None:
        """Take frames until the client ends. A flood of them lets others have their turn."""
        from aiohttp import WSMsgType

        async for message in socket:
            if message.type is WSMsgType.TEXT:
                listener.allowance.take()
                listener.obey(message.data, self._space)
            elif message.type is WSMsgType.BINARY:
                self._dispatcher.receive(message.data, listener)
            await asyncio.sleep(0)
            while listener.allowance.is_empty:  # a stream can be made to wait: nothing of it need be dropped
                await asyncio.sleep(_PAUSE_SECONDS)


def _unusable(asked: OscQueryRequest, error: OSError | UnicodeError) -> DeviceError:
    if isinstance(error, OSError) and not isinstance(error, gaierror):
        return in_use(asked.host, asked.port, "tcp", error)
    return DeviceError(f"the OSCQuery address must be one of this machine, got '{asked.host}': {error}")
