"""OSC over TCP: both framings, and whoever is slow, silent, endless or no OSC at all."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc import tcp
from plugin_bridge.control.osc.framing import Framer, FramingError, framed
from plugin_bridge.control.osc.peers import Allowance
from plugin_bridge.control.osc.server import OscRequest, OscServer
from plugin_bridge.errors import DeviceError
from tests.control_desk import Desk
from tests.osc_wire import PATIENCE_SECONDS, Client, Told, bundle, message, read, serving

END = b"\xc0"
GAIN = Key("vocals", None, "gain_db")


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def sized(packet: bytes) -> bytes:
    return struct.pack(">i", len(packet)) + packet


def slipped(packet: bytes) -> bytes:
    return packet.replace(b"\xdb", b"\xdb\xdd").replace(END, b"\xdb\xdc")


class Stream:
    """A TCP client that reads what comes in one framing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slip: bool) -> None:
        self.reader, self.writer, self.slip = reader, writer, slip

    async def next(self) -> list[Told]:
        """What the next packet says."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            if not self.slip:
                (size,) = struct.unpack(">i", await self.reader.readexactly(4))
                return read(await self.reader.readexactly(size))
            while True:
                packet = (await self.reader.readuntil(END))[:-1]
                if packet:
                    return read(packet.replace(b"\xdb\xdc", END).replace(b"\xdb\xdd", b"\xdb"))

    async def ended(self) -> bytes:
        """What is left until the server ends the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def streaming(desk: Desk, slip: bool = False) -> AsyncIterator[tuple[OscServer, Stream]]:
    async with serving(desk) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tcp_port)
        try:
            yield server, Stream(reader, writer, slip)
        finally:
            writer.close()


ASK, SET = message("/stem/vocals/gain"), message("/stem/vocals/gain", -6.0)


@pytest.mark.parametrize(
    ("slip", "sent"),
    [
        (False, sized(SET) + sized(ASK)),
        (True, END + slipped(SET) + END + END + slipped(ASK) + END),
        (True, slipped(SET) + END + slipped(ASK) + END),
        (True, END + slipped(SET) + END + slipped(ASK) + END),
    ],
    ids=["size", "double END", "END behind only", "END between"],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_each_framing_is_known_by_its_first_byte(slip: bool, sent: bytes, piece: int) -> None:
    async def scene() -> None:
        desk = Desk()
        async with streaming(desk, slip) as (_, stream):
            for at in range(0, len(sent), piece):
                stream.writer.write(sent[at : at + piece])
                await stream.writer.drain()
                await asyncio.sleep(0)
            assert await stream.next() == [("/done", ("/stem/vocals/gain", -6.0))]
            assert await stream.next() == [("/stem/vocals/gain", (-6.0,))]

    play(scene())


def test_slip_escapes_what_looks_like_its_own_signs() -> None:
    packet = bytes(range(256)) * 4
    framer = Framer()
    framer.feed(framed(packet, "slip"))
    assert list(framer.packets()) == [packet]
    framer.feed(b"\xdb\x01" + END + framed(packet, "slip"))
    assert list(framer.packets()) == [packet]
    assert framer.dropped == 1


def test_a_slip_packet_without_end_is_dropped_and_the_next_one_found() -> None:
    framer = Framer()
    framer.feed(b"/")
    for _ in range(100):
        framer.feed(b"a" * 10_000)
        assert list(framer.packets()) == []
    framer.feed(b"rest" + END + b"/next" + END)
    assert list(framer.packets()) == [b"/next"]
    assert framer.dropped == 1


@pytest.mark.parametrize("size", [65537, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_size_beyond_reason_ends_the_stream(size: int) -> None:
    framer = Framer()
    framer.feed(b"\0\0\0\0" + struct.pack(">I", size))
    with pytest.raises(FramingError, match="at most 65536 bytes"):
        list(framer.packets())


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0\x7f\xff\xff" + b"x" * 100])
def test_what_is_no_osc_stream_is_told_so_and_ended(garbage: bytes) -> None:
    async def scene() -> None:
        async with streaming(Desk()) as (server, stream):
            stream.writer.write(garbage)
            assert b"/fail" in await stream.ended()
            async with streaming(Desk()) as (_, other):
                other.writer.write(sized(ASK))
                assert await other.next() == [("/stem/vocals/gain", (0.0,))]
            assert server.tcp_port

    play(scene())


def test_a_malformed_packet_in_a_sound_frame_is_answered() -> None:
    async def scene() -> None:
        async with streaming(Desk()) as (_, stream):
            stream.writer.write(sized(b"nonsense") + sized(SET[:-4]) + sized(ASK))
            for _ in range(2):
                ((address, arguments),) = await stream.next()
                assert (address, arguments[:2]) == ("/fail", ("", "bad_type"))
            assert await stream.next() == [("/stem/vocals/gain", (0.0,))]

    play(scene())


def test_a_subscription_comes_over_its_connection_and_ends_with_it() -> None:
    async def scene() -> None:
        desk = Desk()
        async with streaming(desk) as (server, stream):
            stream.writer.write(sized(message("/subscribe", "state", 60, types="si")))
            assert await stream.next() == [("/done", ("/subscribe", 1, 60))]
            while "/preset/current" not in dict(await stream.next()):
                continue
            client = await Client.of(server.port)
            client.send("/stem/vocals/gain", -6.0)
            told: dict[str, tuple[Any, ...]] = {}
            while "/stem/vocals/gain" not in told:
                told.update(await stream.next())
            assert told["/stem/vocals/gain"] == (-6.0,)
            stream.writer.write(sized(message("/subscribe", "state", 60, 10, 9999, types="siii")))
            while "/fail" not in told:
                told.update(await stream.next())
            assert told["/fail"][1] == "forbidden"
            stream.writer.close()
            await client.until(lambda: len(server.subscribers) == 0)
            client.transport.close()

    play(scene())


def test_ten_thousand_messages_over_one_stream_are_all_answered() -> None:
    async def scene() -> None:
        desk = Desk()
        async with streaming(desk) as (_, stream):
            count = 10_000
            frames = [sized(message("/stem/vocals/gain", -at / 1000)) for at in range(count)]
            stream.writer.write(b"".join(frames))
            for _ in range(count):
                ((address, _),) = await stream.next()
                assert address == "/done"
            assert len(desk.log) == count

    play(scene())


def test_a_stream_above_its_allowance_waits_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allowance.__init__, "__defaults__", (2000.0,))

    async def scene() -> None:
        desk = Desk()
        async with streaming(desk) as (server, stream):
            stream.writer.write(sized(SET) * 3000)
            for _ in range(3000):
                assert (await stream.next())[0][0] == "/done"
            assert len(desk.log) == 3000
            client = await Client.of(server.port)
            assert (await client.ask("/traffic"))[3] == 0
            client.transport.close()

    play(scene())


def test_one_who_never_reads_is_ended() -> None:
    async def scene() -> None:
        async with serving(Desk()) as server:
            wire = socket.socket()
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.setblocking(False)
            await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", server.tcp_port))
            asked = sized(bundle(*[message("/stem/vocals/fx/list")] * 500))
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                for _ in range(2000):
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await asyncio.get_running_loop().sock_sendall(wire, asked)
                    await asyncio.sleep(0.002)
            wire.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.tcp_port)
            writer.write(sized(ASK))
            assert await Stream(reader, writer, False).next() == [("/stem/vocals/gain", (0.0,))]
            writer.close()

    play(scene())


def test_a_packet_that_never_ends_and_a_silent_connection_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "PART_SECONDS", 0.3)
    monkeypatch.setattr(tcp, "SILENT_SECONDS", 0.3)

    async def scene() -> None:
        async with streaming(Desk()) as (_, slow), streaming(Desk()) as (_, silent):
            slow.writer.write(sized(SET)[:-3])
            assert await slow.ended() == b""
            assert await silent.ended() == b""

    play(scene())


def test_there_is_room_for_64_connections() -> None:
    async def scene() -> None:
        async with serving(Desk()) as server:
            streams = [await asyncio.open_connection("127.0.0.1", server.tcp_port) for _ in range(65)]
            refused = Stream(*streams[64], False)
            assert await refused.ended() == b""
            served = Stream(*streams[63], False)
            served.writer.write(sized(ASK))
            assert await served.next() == [("/stem/vocals/gain", (0.0,))]
            for _, writer in streams:
                writer.close()

    play(scene())


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_port_in_use_is_said_with_the_program_that_has_it(kind: str) -> None:
    program = (
        "import socket, sys\n"
        f"s = socket.socket(type=socket.SOCK_{'DGRAM' if kind == 'udp' else 'STREAM'})\n"
        "s.bind(('127.0.0.1', 0))\n"
        f"{'s.listen()' if kind == 'tcp' else ''}\n"
        "print(s.getsockname()[1], flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    port = int(holder.stdout.readline())

    async def scene() -> None:
        ports = {"port": port, "tcp_port": 0} if kind == "udp" else {"port": 0, "tcp_port": port}
        desk = Desk()
        server = OscServer(desk, AddressSpace(desk), OscRequest(**ports))
        with pytest.raises(DeviceError) as failed:
            await server.start()
        said = str(failed.value)
        assert said.startswith(
            f"{kind.upper()} port {port} on 127.0.0.1 must be free, got: Address already in use"
        )
        assert said.count("127.0.0.1") == 1
        if sys.platform == "linux":
            assert f"(process {holder.pid})" in said
        await server.close()

    try:
        play(scene())
    finally:
        holder.communicate()


def test_beyond_this_machine_only_named_senders_are_let_in() -> None:
    with pytest.raises(ValueError, match="must come with the senders"):
        OscRequest(host="0.0.0.0")
    with pytest.raises(ValueError, match="an address or a network"):
        OscRequest(senders=["my phone"])
    with pytest.raises(ValueError, match="must be 0 to 65535"):
        OscRequest(port=70000)

    async def scene() -> None:
        desk = Desk()
        space = AddressSpace(desk)
        request = OscRequest(host="0.0.0.0", port=0, tcp_port=0, senders=["192.0.2.0/24", "2001:db8::1"])
        server = OscServer(desk, space, request)
        await server.start()
        hosts = ["127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "::1", "fe80::1%eth0"]
        assert [server._admits(host) for host in hosts] == [True, True, True, True, True, False]
        assert not server._admits("192.0.3.7")
        assert space.traffic.denied == 2
        await server.close()

    play(scene())


def own_address() -> str:
    """An address of this machine that is not loopback; nothing where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        try:
            wire.connect(("203.0.113.1", 9))  # a datagram socket sends nothing by that
        except OSError:
            return ""
        name: str = wire.getsockname()[0]
        return name


@pytest.mark.skipif(not own_address(), reason="this machine has no address but loopback")
def test_a_sender_that_is_not_let_in_gets_no_answer() -> None:
    async def scene() -> None:
        desk = Desk()
        space = AddressSpace(desk)
        request = OscRequest(host="0.0.0.0", port=0, tcp_port=0, senders=["203.0.113.0/24"])
        server = OscServer(desk, space, request)
        await server.start()
        stranger = await Client.of(server.port, own_address())
        friend = await Client.of(server.port)
        stranger.send("/stem/vocals/gain", -6.0)
        await friend.until(lambda: space.traffic.denied)
        reader, writer = await asyncio.open_connection(own_address(), server.tcp_port)
        assert await Stream(reader, writer, False).ended() == b""
        writer.close()
        assert await friend.ask("/stem/vocals/gain") == (0.0,)
        assert stranger.told == []
        for client in (stranger, friend):
            client.transport.close()
        await server.close()

    play(scene())


def test_a_port_asked_for_twice_is_held_by_this_program_itself() -> None:
    async def scene() -> None:
        desk = Desk()
        first = OscServer(desk, AddressSpace(desk), OscRequest(port=0, tcp_port=0))
        await first.start()
        again = OscRequest(port=0, tcp_port=first.tcp_port)
        with pytest.raises(DeviceError, match="must be free") as refused:
            await OscServer(desk, AddressSpace(desk), again).start()
        if sys.platform == "linux":
            assert f"by this program itself (process {os.getpid()}); choose another" in str(refused.value)
        await first.close()

    play(scene())


def test_an_address_that_is_not_ours_is_refused() -> None:
    async def scene() -> None:
        desk = Desk()
        for host in ("203.0.113.55", "no such host"):
            request = OscRequest(host=host, port=0, tcp_port=0, senders=["192.0.2.0/24"])
            with pytest.raises(DeviceError, match=f"address must be one of this machine, got '?{host}"):
                await OscServer(desk, AddressSpace(desk), request).start()

    play(scene())
