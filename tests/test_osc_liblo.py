"""Foreign clients: liblo's oscsend, oscsendfile and oscdump ask, set, send bundles and listen."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from tests.control_desk import Desk
from tests.osc_wire import PATIENCE_SECONDS, Client, serving

pytestmark = pytest.mark.skipif(
    shutil.which("oscsend") is None or shutil.which("oscdump") is None,
    reason="liblo's tools are not installed (Debian: liblo-tools)",
)

GAIN, PAN, MUTE = (Key("vocals", None, name) for name in ("gain_db", "pan", "mute"))


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.wait() == 0


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        port: int = wire.getsockname()[1]
        return port


async def until(is_so: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_oscsend_moves_the_board(kind: str) -> None:
    async def scene() -> None:
        desk = Desk()
        async with serving(desk) as server:
            port = server.port if kind == "udp" else server.tcp_port
            url = f"osc.{kind}://127.0.0.1:{port}"
            await run("oscsend", url, "/stem/vocals/gain", "f", "-6")
            await run("oscsend", url, "/stem/1/mute", "T")
            await run("oscsend", url, "/stem/*/pan", "i", "1")
            await run("oscsend", url, "/preset/load", "s", "loud")
            await until(lambda: len(desk.log) == 3 and desk.preset[0] == "loud")
            assert [moves for moves, _ in desk.log[:2]] == [((GAIN, -6.0),), ((MUTE, True),)]
            assert [value for _, value in desk.log[2][0]] == [1.0] * 4

    play(scene())


def test_oscsendfile_sends_bundles_that_apply_in_one_step(tmp_path: Path) -> None:
    if shutil.which("oscsendfile") is None:
        pytest.skip("this liblo has no oscsendfile")
    moves = tmp_path / "moves.osc"
    moves.write_text(
        "eeaab6e4.00000000 /stem/vocals/gain f -6.000000\n"
        "eeaab6e4.00000000 /stem/vocals/pan f 1.000000\n"
        "eeaab6e4.40000000 /stem/vocals/mute i 1\n"
    )

    async def scene() -> None:
        desk = Desk()
        async with serving(desk) as server:
            await run("oscsendfile", "127.0.0.1", str(server.port), str(moves))
            await until(lambda: len(desk.log) == 2)
            assert [moved for moved, _ in desk.log] == [((GAIN, -6.0), (PAN, 1.0)), ((MUTE, True),)]

    play(scene())


def test_oscdump_hears_state_changes_meters_and_answers() -> None:
    async def scene() -> None:
        desk = Desk()
        port = free_port()
        dump = await asyncio.create_subprocess_exec(
            "oscdump", "-L", str(port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert dump.stdout is not None
        lines: list[str] = []

        async def read() -> None:
            assert dump.stdout is not None
            while line := await dump.stdout.readline():
                lines.append(line.decode().split(" ", 1)[1].strip())

        reading = asyncio.create_task(read())
        try:
            async with serving(desk) as server:
                client = await Client.of(server.port)
                # The dump may open its port only after a while: ask again until it hears.
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not [line for line in lines if line.startswith("/meter/in")]:
                        client.send("/subscribe", "all", 10, 10, port, types="siii")
                        await asyncio.sleep(0.1)
                client.send("/refresh")
                await until(lambda: '/preset/current isi 0 "" 0' in lines)
                await run("oscsend", "127.0.0.1", str(server.port), "/stem/vocals/gain", "f", "-6")
                await until(lambda: "/stem/vocals/gain f -6.000000" in lines)
                assert "/stem/vocals/gain f 0.000000" in lines
                assert '/stem/list issss 4 "vocals" "drums" "bass" "other"' in lines
                assert '/stem/vocals/gain/str s "-6.0 dB"' in lines
                await until(lambda: [line for line in lines if line.startswith("/heartbeat i")])
                client.transport.close()
        finally:
            dump.terminate()
            await dump.wait()
            await reading

    play(scene())
