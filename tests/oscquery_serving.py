"""An OSCQuery server over a desk, on a free port, and what a client of it needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc.codec import Message, decode, encode
from plugin_bridge.control.oscquery import OscQueryRequest, OscQueryServer
from tests.control_desk import Desk

PATIENCE_SECONDS = 20
QUIET_SECONDS = 0.3
"""How long nothing must come before we say that nothing comes; values come within 50 ms."""


@dataclass
class Serving:
    """A running server, its desk, and an HTTP session to it."""

    server: OscQueryServer
    desk: Desk
    space: AddressSpace
    http: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and JSON (or text) of a GET."""
        async with self.http.get(path, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text, parse_constant=refuse) if is_json else text

    @asynccontextmanager
    async def listener(self, *paths: str, **headers: str) -> AsyncIterator[Client]:
        """A WebSocket client that listens to some paths."""
        async with self.http.ws_connect("/", headers=headers) as socket:
            client = Client(socket)
            for path in paths:
                await client.command("LISTEN", path)
            yield client


@dataclass
class Client:
    """A WebSocket client."""

    socket: aiohttp.ClientWebSocketResponse

    async def command(self, command: str, data: Any) -> None:
        """Send LISTEN or IGNORE."""
        await self.socket.send_str(json.dumps({"COMMAND": command, "DATA": data}))

    async def set(self, address: str, types: str, *arguments: Any) -> None:
        """Send an OSC message in a binary frame."""
        await self.socket.send_bytes(encode(address, types, arguments))

    async def next(self) -> Any:
        """The next OSC message (the only one of its frame), or the next text's JSON."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            received = await self.socket.receive()
        if received.type is aiohttp.WSMsgType.TEXT:
            return json.loads(received.data)
        assert received.type is aiohttp.WSMsgType.BINARY, received
        (message,) = decode(received.data, 0.0)
        return message

    async def until(self, address: str, *arguments: Any) -> list[Any]:
        """What comes, up to a message of this address and these arguments."""
        came: list[Any] = []
        while not came or not (
            isinstance(came[-1], Message)
            and came[-1].address == address
            and (not arguments or came[-1].arguments == arguments)
        ):
            came.append(await self.next())
        return came

    async def rest(self) -> list[Any]:
        """What still comes, until it is quiet."""
        came = []
        try:
            while True:
                async with asyncio.timeout(QUIET_SECONDS):
                    received = await self.socket.receive()
                if received.type is aiohttp.WSMsgType.BINARY:
                    came += decode(received.data, 0.0)
                elif received.type is aiohttp.WSMsgType.TEXT:
                    came.append(json.loads(received.data))
                else:
                    return came
        except TimeoutError:
            return came


def refuse(constant: str) -> float:
    """JSON has no Infinity and no NaN."""
    raise AssertionError(f"{constant} is not JSON")


@asynccontextmanager
async def serving(desk: Desk | None = None, **options: Any) -> AsyncIterator[Serving]:
    """A server on a free port of loopback; `options` are those of its request."""
    desk = desk or Desk()
    space = AddressSpace(desk)
    server = OscQueryServer(desk, space, replace(OscQueryRequest(port=0), **options))
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
            yield Serving(server, desk, space, http)
    finally:
        await server.close()
        space.close()


def run(scenario: Callable[[Serving], Awaitable[None]], **options: Any) -> None:
    """Run a scenario against a server of its own."""

    async def whole() -> None:
        async with serving(**options) as serving_one:
            await scenario(serving_one)

    asyncio.run(whole())
