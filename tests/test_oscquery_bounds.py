"""OSCQuery's bounds: slow, many and broken clients, ports and addresses that cannot be had."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import aiohttp
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc.codec import Message, bundle, encode
from plugin_bridge.control.osc.peers import Allowance
from plugin_bridge.control.oscquery import OscQueryRequest, OscQueryServer
from plugin_bridge.errors import DeviceError
from tests.control_desk import Desk
from tests.oscquery_fuzz import HANDSHAKE, client_frame, fuzz, seed_of_today
from tests.oscquery_serving import PATIENCE_SECONDS, Serving, run

VOCALS_GAIN = Key("vocals", None, "gain_db")


def test_a_client_that_takes_nothing_is_dropped_and_others_are_served() -> None:
    async def scenario(serving: Serving) -> None:
        loop = asyncio.get_running_loop()
        frame = client_frame(0x82, bundle([encode("/status", "", ())] * 500))
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", serving.server.port))
            await loop.sock_sendall(deaf, HANDSHAKE)
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while True:
                        await loop.sock_sendall(deaf, frame)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while serving.server.listeners:
                await asyncio.sleep(0.01)
        assert (await serving.get("/stem/vocals/gain?VALUE"))[0] == 200

    run(scenario)


def test_a_message_too_long_ends_the_connection() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.http.ws_connect("/", max_msg_size=0) as socket:
            await socket.send_bytes(b"\0" * 70_000)
            received = await socket.receive()
            assert received.type is aiohttp.WSMsgType.CLOSE
            assert received.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    run(scenario)


def test_texts_count_as_messages_of_their_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = Allowance.take

    def counted(allowance: Allowance, count: int = 1) -> bool:
        taken.append(count)
        return take(allowance, count)

    monkeypatch.setattr(Allowance, "take", counted)

    async def scenario(serving: Serving) -> None:
        async with serving.listener(*["/stem/vocals/gain"] * 30) as client:
            await client.until("/stem/vocals/gain")
            await client.command("LISTEN", "/nonsense")
            await client.until("/fail")
        assert taken == [1] * 31

    run(scenario)


def test_clients_and_connections_are_counted() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener(), serving.listener():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with serving.listener():
                    pass
            assert refused.value.status == 503
            assert (await serving.get("/bypass"))[0] == 200
            # Two listeners and the session's own connection are there; the fourth is the last.
            fourth = await asyncio.open_connection("127.0.0.1", serving.server.port)
            await asyncio.sleep(0.05)
            fifth = await asyncio.open_connection("127.0.0.1", serving.server.port)
            assert (await fifth[0].read()).startswith(b"HTTP/1.1 503 ")
            for _, writer in (fourth, fifth):
                writer.close()

    run(scenario, most_listeners=2, most_connections=4)


def test_a_subscription_over_websocket_ends_with_it() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener() as client:
            await client.set("/subscribe", "si", "state", 3600)
            said = await client.next()
            assert (said.address, said.arguments[0]) == ("/done", "/subscribe")
            assert await client.rest(), "the state is told at once"
            serving.desk.move([(VOCALS_GAIN, -6.0)])
            told = await client.rest()
            assert Message("/stem/vocals/gain", (-6.0,)) in told
        async with asyncio.timeout(PATIENCE_SECONDS):
            while serving.server.subscribers or serving.server.listeners:
                await asyncio.sleep(0.01)

    run(scenario)


def test_closing_says_good_bye_and_gives_the_port_back() -> None:
    async def whole() -> None:
        desk = Desk()
        space = AddressSpace(desk)
        server = OscQueryServer(desk, space, OscQueryRequest(port=0))
        await server.start()
        port = server.port
        async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{port}/") as client:
            closing = asyncio.create_task(server.close())
            received = await client.receive()
            assert (received.type, received.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            await client.close()
            await closing
        await server.close()
        with socket.create_server(("127.0.0.1", port)):
            pass

    asyncio.run(whole())


def test_a_port_in_use_is_one_sentence() -> None:
    async def whole() -> None:
        desk = Desk()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            request = OscQueryRequest(port=taken.getsockname()[1])
            with pytest.raises(DeviceError, match=rf"port {request.port}.* must be free") as refused:
                await OscQueryServer(desk, AddressSpace(desk), request).start()
        if os.path.exists("/proc/net/tcp"):
            assert f"process {os.getpid()}" in str(refused.value)

    asyncio.run(whole())


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-machine.invalid"])
def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    async def whole() -> None:
        desk = Desk()
        request = OscQueryRequest(host=host, port=0, senders=("10.0.0.0/8",))
        with pytest.raises(DeviceError) as refused:
            await OscQueryServer(desk, AddressSpace(desk), request).start()
        assert host in str(refused.value)
        assert "\n" not in str(refused.value)

    asyncio.run(whole())


def test_beyond_this_machine_senders_must_be_named() -> None:
    with pytest.raises(ValueError, match="senders"):
        OscQueryRequest(host="0.0.0.0")


def test_a_missing_library_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)

    async def whole() -> None:
        desk = Desk()
        with pytest.raises(DeviceError, match=r"pip install 'plugin-bridge\[live\]'"):
            await OscQueryServer(desk, AddressSpace(desk), OscQueryRequest(port=0)).start()

    asyncio.run(whole())


def test_fuzzed_requests_and_frames_leave_the_server_as_it_was() -> None:
    seed = seed_of_today()
    print(f"seed {seed}")
    outcome = asyncio.run(fuzz(2000, seed))
    assert outcome.still_answers
    assert outcome.faults == []
    assert outcome.hung == 0
    assert outcome.left_listeners == 0
    assert len(outcome.log_lines) <= 110
    assert not any("unforeseen" in line for line in outcome.log_lines)
    assert outcome.statuses[101] > 20
    assert not any(status >= 500 for status in outcome.statuses)
