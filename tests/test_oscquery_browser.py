"""A real browser on OSCQuery: a page of this machine reads, listens and sets; one from elsewhere may not."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from plugin_bridge.board.parameter_tree import Key
from tests.oscquery_serving import Serving, run

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
PATIENCE_SECONDS = 90

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not BROWSER, reason="needs a Chromium or Chrome on the path"),
]

PAGE = """
<script>
const server = "127.0.0.1:%d";
const padded = text => { const size = (text.length + 4) & ~3; return text.padEnd(size, "\\0"); };
function message(address, value) {
  const head = new TextEncoder().encode(padded(address) + padded(",f"));
  const packet = new Uint8Array(head.length + 4);
  packet.set(head);
  new DataView(packet.buffer).setFloat32(head.length, value);
  return packet;
}
async function whole() {
  const tree = await (await fetch(`http://${server}/stem/vocals/gain`)).json();
  const socket = new WebSocket(`ws://${server}/`);
  socket.binaryType = "arraybuffer";
  const heard = await new Promise((resolve, reject) => {
    socket.onerror = () => reject(new Error("the WebSocket was refused"));
    socket.onopen = () => {
      socket.send(JSON.stringify({COMMAND: "LISTEN", DATA: "/stem/vocals/gain"}));
      socket.send(message("/stem/vocals/gain", -7.5));
    };
    socket.onmessage = ({data}) => {
      const view = new DataView(data);
      const address = new TextDecoder().decode(new Uint8Array(data, 0, 17));
      if (address === "/stem/vocals/gain" && view.getFloat32(data.byteLength - 4) === -7.5) resolve(-7.5);
    };
  });
  return {unit: tree.UNIT[0], heard};
}
whole().catch(error => ({error: String(error)})).then(
  said => fetch("/said", {method: "POST", body: JSON.stringify(said)}));
</script>
"""


@asynccontextmanager
async def page(serving: Serving) -> AsyncIterator[tuple[int, asyncio.Future[Any]]]:
    """A web server of its own with the page, and what the page says in the end."""
    said: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=PAGE % serving.server.port, content_type="text/html")

    async def hear(request: web.Request) -> web.Response:
        said.set_result(await request.json())
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", show), web.post("/said", hear)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1]), said
    finally:
        await runner.cleanup()


async def browsed(serving: Serving, host: str) -> Any:
    """What the page says in a browser that found it under a host's name."""
    async with page(serving) as (port, said):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = await asyncio.create_subprocess_exec(
                BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                f"--user-data-dir={profile}", "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",
                "--remote-debugging-port=0", f"http://{host}:{port}/",
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await said
            finally:
                browser.terminate()
                await browser.wait()


def test_a_page_of_this_machine_reads_listens_and_sets() -> None:
    async def scenario(serving: Serving) -> None:
        assert await browsed(serving, "localhost") == {"unit": "gain.db", "heard": -7.5}
        assert serving.desk.values[Key("vocals", None, "gain_db")] == -7.5

    run(scenario)


def test_a_page_from_elsewhere_is_kept_out() -> None:
    async def scenario(serving: Serving) -> None:
        assert "error" in await browsed(serving, "elsewhere.example")
        assert serving.desk.log == []

    run(scenario)
