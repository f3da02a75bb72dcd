"""What tests of the server share: one that runs in this process, and patience instead of clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from plugin_bridge.control.commands import Event
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.server import Server, ServerRequest

PATIENCE_SECONDS = 60.0


async def until(done: Callable[[], Any], what: str) -> None:
    """Let the loop go on until something is so."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < patience, what
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    driver: str = "paced",
    *,
    source: Path | None = None,
    target: Path | None = None,
    block: int = 256,
    **request: Any,
) -> AsyncIterator[Server]:
    """A server that plays noise or a file; ended at the end, whatever happened."""
    audio = AudioRequest(driver, block=block, source=str(source or ""), target=str(target or ""))
    server = Server(ServerRequest(audio, **{"model": "bands", "safety_ms": 100.0, **request}))
    stopping = asyncio.Event()
    running = None
    try:
        server.begin()
        running = asyncio.create_task(server.run(lambda: None, stopping))
        yield server
    finally:
        stopping.set()
        if running is not None:
            await asyncio.wait_for(running, PATIENCE_SECONDS)
        server.close()


def heard(server: Server) -> list[Event]:
    """A list that fills with every event from now on."""
    events: list[Event] = []
    server.watch(events.append)
    return events
