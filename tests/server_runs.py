"""What tests of the server share: one that runs in this process, and patience instead of clocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

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


def users_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the user's, with a preset that needs building and one that does not."""
    folder = tmp_path / "data" / "presets"
    folder.mkdir(parents=True)
    (folder / "effects.toml").write_text('[[strips.low.effects]]\neffect = "Gain"\ngain_db = -6.0\n')
    (folder / "levels.toml").write_text("[strips.low]\ngain_db = -4.0\n[master]\nmix = 0.5\n")
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(folder.parent))
    return folder


def run(test: Coroutine[Any, Any, None]) -> None:
    """Let a test that waits run to its end."""
    asyncio.run(test)


def settled(server: Server) -> bool:
    """Whether both workers are there and audio has come in."""
    return server.status()["standby"] == "ready" and server.status()["frames"] > 0
