"""Commands that are typed to `plugin-bridge serve` while it runs."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from typing import TYPE_CHECKING, TextIO

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.board.parameters import GAIN_DB, PAN
from plugin_bridge.errors import PluginBridgeError, UnknownAddress

if TYPE_CHECKING:
    from plugin_bridge.server import Server


async def listen(server: Server, stopping: asyncio.Event) -> None:
    """Obey standard input until it ends; what takes a while is answered when it is done."""
    if not _can_be_waited_for(sys.stdin):
        return  # no standard input to listen to, as under a service manager
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        words = line.decode(errors="replace").split()
        if words[:1] == ["quit"]:
            stopping.set()
        elif words:
            task = asyncio.create_task(_answer(server, words))
            under_way.add(task)
            task.add_done_callback(under_way.discard)


def _can_be_waited_for(stream: TextIO | None) -> bool:
    """Whether lines may come in later: a terminal, a pipe or a socket, not a file or /dev/null."""
    try:
        mode = os.fstat(stream.fileno()).st_mode if stream else 0
    except (OSError, ValueError):  # closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or bool(stream and stream.isatty())


async def _answer(server: Server, words: list[str]) -> None:
    print(await obey(server, words), flush=True)


async def obey(server: Server, words: list[str]) -> str:
    """Carry out one command and say so, or say in one sentence why not."""
    try:
        return await _obeyed(server, words)
    except (PluginBridgeError, ValueError, TypeError) as error:
        return f"refused: {error}"


async def _obeyed(server: Server, words: list[str]) -> str:
    match words:
        case ["gain", strip, gain_db]:
            _move(server, strip, "gain_db", GAIN_DB.check(float(gain_db)))
        case ["pan", strip, pan]:
            _move(server, strip, "pan", PAN.check(float(pan)))
        case [("mute" | "solo") as name, strip, ("on" | "off") as state]:
            _move(server, strip, name, state == "on")
        case ["preset", name]:
            await server.load_preset(name)
        case ["model", name]:
            await server.load_model(name)
        case ["save", name]:
            await server.save_preset(name)
        case ["bypass", ("on" | "off") as state]:
            server.set_bypass(state == "on")
        case ["ping", ("on" | "off") as state]:
            server.set_ping_mode(state == "on")
        case ["status"]:
            return json.dumps(server.status())
        case _:
            raise ValueError(
                f"a command must be a known one, got '{' '.join(words)}'; see plugin-bridge serve --help"
            )
    return f"done: {' '.join(words)}"


def _move(server: Server, strip: str, name: str, value: Value) -> None:
    known = (*server.sources, "master")
    if strip not in known:
        raise UnknownAddress(f"a strip must be one of {', '.join(known)}, got '{strip}'")
    server.move([(Key(strip, None, name), value)])
