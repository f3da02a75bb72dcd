"""Multicast DNS: found by a real browser on loopback, gone when closed, silent without a network."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from plugin_bridge.control.discovery import (
    OSC_TYPE,
    OSCQUERY_TYPE,
    Announcement,
    Discovery,
    check_multicast,
    reachable,
)
from plugin_bridge.errors import DeviceError

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
NOBODY = "203.0.113.7"  # reserved for documentation: no machine's address
PATIENCE_SECONDS = 20


def why_no_multicast() -> str:
    try:
        check_multicast(LOOPBACK)
    except OSError as error:
        return f"no multicast on loopback here: {error}"
    return ""


needs_multicast = pytest.mark.skipif(bool(why_no_multicast()), reason=why_no_multicast())


class Found:
    """The services that a browser on the loopback interface sees now."""

    def __init__(self, zeroconf: AsyncZeroconf) -> None:
        self.zeroconf = zeroconf
        self.names: set[str] = set()
        self._changed = asyncio.Event()

    def hear(self, zeroconf: object, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Added:
            self.names.add(name)
        elif state_change is ServiceStateChange.Removed:
            self.names.discard(name)
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def browser() -> AsyncIterator[Found]:
    zeroconf = AsyncZeroconf(interfaces=[LOOPBACK], ip_version=IPVersion.V4Only)
    found = Found(zeroconf)
    browsing = AsyncServiceBrowser(zeroconf.zeroconf, [OSCQUERY_TYPE, OSC_TYPE], handlers=[found.hear])
    try:
        yield found
    finally:
        await browsing.async_cancel()
        await zeroconf.async_close()


@needs_multicast
def test_a_browser_finds_both_records_and_sees_them_go() -> None:
    async def scenario() -> None:
        async with browser() as found:
            discovery = Discovery(Announcement("test-desk", LOOPBACK, osc_port=9411, http_port=9412))
            await discovery.start()
            assert discovery.note == ""
            assert len(discovery.names) == 2
            await found.until(lambda: set(discovery.names) <= found.names)
            ports = {}
            for name in discovery.names:
                kind = name.partition(").")[2]
                info = await found.zeroconf.async_get_service_info(kind, name)
                assert info is not None
                assert info.parsed_addresses() == [LOOPBACK]  # nothing of the network's addresses
                ports[kind] = info.port
            assert ports == {OSCQUERY_TYPE: 9412, OSC_TYPE: 9411}
            announced = set(discovery.names)
            await discovery.close()
            await discovery.close()
            assert discovery.names == []
            await found.until(lambda: not announced & found.names)

    asyncio.run(scenario())


@needs_multicast
def test_a_second_server_gets_a_name_of_its_own() -> None:
    async def scenario() -> None:
        first, second = (Discovery(Announcement("test-twin", osc_port=9421, http_port=0)) for _ in range(2))
        try:
            await first.start()
            await second.start()
            assert len(first.names) == len(second.names) == 1
            assert first.names != second.names
        finally:
            await first.close()
            await second.close()

    asyncio.run(scenario())


def test_an_address_the_machine_lacks_is_one_sentence_and_no_error() -> None:
    async def scenario() -> None:
        discovery = Discovery(Announcement(host=NOBODY))
        await discovery.start()
        assert discovery.names == []
        assert discovery.note.startswith("not announced in the network")
        assert "\n" not in discovery.note
        await discovery.close()

    asyncio.run(scenario())


NO_NETWORK = """
import asyncio
from plugin_bridge.control.discovery import Announcement, Discovery

async def scenario():
    for host in ("127.0.0.1", "0.0.0.0"):
        discovery = Discovery(Announcement(host=host))
        await discovery.start()
        print(discovery.note)
        await discovery.close()

asyncio.run(scenario())
"""


def can_unshare() -> bool:
    unshare = shutil.which("unshare")
    return bool(unshare) and not subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode


@pytest.mark.skipif(not can_unshare(), reason="needs unshare, and leave to use it")
def test_a_machine_without_network_is_one_sentence_and_no_error() -> None:
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-W", "error", "-c", NO_NETWORK],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("not announced in the network") for line in lines)


@pytest.mark.parametrize(
    ("host", "addresses"), [(LOOPBACK, [LOOPBACK]), ("localhost", [LOOPBACK]), (NOBODY, [NOBODY])]
)
def test_a_bound_address_is_announced_alone(host: str, addresses: list[str]) -> None:
    assert reachable(host) == addresses


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_interfaces_are_announced_without_loopback_where_there_are_others(host: str) -> None:
    addresses = reachable(host)
    assert addresses
    assert LOOPBACK not in addresses or addresses == [LOOPBACK]
    for address in addresses:
        socket.inet_aton(address)


def test_a_missing_library_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(DeviceError, match=r"pip install 'plugin-bridge\[live\]'"):
        asyncio.run(Discovery(Announcement()).start())
