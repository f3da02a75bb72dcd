"""OSC under load: bombs, floods, bursts and faults; the server serves on, and says what it refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.commands import Fault
from plugin_bridge.control.osc.peers import MESSAGES_PER_SECOND, Allowance
from tests.control_desk import Desk
from tests.osc_wire import Client, bundle, message, talking

GAIN = Key("vocals", None, "gain_db")


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene to its end."""
    asyncio.run(scene)


def nested(depth: int, packet: bytes) -> bytes:
    for _ in range(depth):
        packet = bundle(packet)
    return packet


@pytest.mark.parametrize("depth", [17, 400, 2000])
def test_bundles_in_bundles_without_end_are_refused(depth: int) -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(nested(depth, message("/stem/vocals/gain", -3.0)))
            assert (await client.hear("/fail"))[0][1] == "bad_type"
            client.send_raw(nested(15, message("/stem/vocals/gain", -3.0)))
            assert await client.hear("/done") == [("/stem/vocals/gain", -3.0)]

    play(scene())


def test_star_bombs_are_harmless() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            bombs = [
                "/" + "*" * 150 + "!",
                "/stem/" + "*a" * 100 + "!",
                "/" + "{a,b}" * 45,
                "/" + "[a-z]" * 45,
            ]
            bombs += ["/*/*/*" + "/*" * 100, "/stem/" + "[!" + "a" * 150 + "]*?" + "/gain!"]
            for bomb in bombs * 20:
                client.send(bomb, 1.0)
            await client.quiet()
            assert len(client.heard("/fail")) == 20 * len(bombs)
            assert {code for _, code, _ in client.heard("/fail")} == {"unknown_address"}

    play(scene())


def test_datagrams_of_64_kilobytes_come_through() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            long = message("/preset/load", "a" * 60000)
            client.send_raw(long)
            assert (await client.hear("/fail"))[0][:2] == ("/preset/load", "not_found")
            client.send_raw(bundle(*[message("/stem/vocals/gain", -at / 100) for at in range(1024)]))
            await client.quiet()
            assert len(client.heard("/done")) == 1024
            assert desk.values[GAIN] == -10.23

    play(scene())


def test_a_burst_of_3000_is_received_whole() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            packets = [message("/stem/vocals/gain", -at / 1000) for at in range(3000)]
            for packet in packets:
                client.send_raw(packet)
            await client.until(lambda: len(desk.log) == 3000)
            assert [moves[0][1] for moves, _ in desk.log] == [-at / 1000 for at in range(3000)]

    play(scene())


def test_an_unknown_address_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            for _ in range(5):
                await client.ask("/nonsense", answer="/fail")
            for at in range(500):
                client.send(f"/nonsense/{at}")
            await client.quiet()
            assert len(client.heard("/fail")) == 505

    with caplog.at_level(logging.WARNING):
        play(scene())
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "'/nonsense'" in line]) == 1
    assert len(lines) <= 102


def test_answers_are_never_answered() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            for address in ("/done", "/fail", "/late", "/synced", "/error", "/heartbeat", "/status.reply"):
                client.send(address, "/x", "bad_type", "x")
            await client.quiet()
            assert [address for address, _ in client.told] == ["/synced"]

    play(scene())


def test_too_many_commands_at_once_are_refused_as_busy() -> None:
    async def scene() -> None:
        async with talking(Desk(swap_seconds=0.2)) as (client,):
            for _ in range(100):
                client.send("/preset/load", "loud")
            await client.until(lambda: len(client.heard("/done")) + len(client.heard("/fail")) == 100)
            assert {code for _, code, _ in client.heard("/fail")} == {"busy"}
            assert len(client.heard("/done")) == 64

    play(scene())


def test_a_flood_is_limited_and_counted_and_others_are_still_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allowance.__init__, "__defaults__", (100.0,))

    async def scene() -> None:
        desk = Desk()
        async with talking(desk, clients=2) as (flood, other):
            for _ in range(1000):
                flood.send("/stem/vocals/gain", -1.0)
            assert await other.ask("/stem/drums/gain") == (0.0,)
            await flood.until(lambda: [code for _, code, _ in flood.heard("/fail") if code == "busy"])
            assert len(flood.heard("/fail")) <= 5
            messages, _, _, limited, _ = await other.ask("/traffic")
            assert limited > 100
            assert messages + limited == 1002

    play(scene())


def test_bundles_of_nothing_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allowance.__init__, "__defaults__", (100.0,))

    async def scene() -> None:
        async with talking(Desk(), clients=2) as (flood, other):
            for _ in range(1000):
                flood.send_raw(bundle())
            await flood.until(lambda: [code for _, code, _ in flood.heard("/fail") if code == "busy"])
            assert (await other.ask("/traffic"))[3] > 100

    play(scene())


def test_an_unforeseen_error_is_answered_as_internal(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Desk):
        def latency(self) -> Any:
            raise ZeroDivisionError("no latency today")

    async def scene() -> None:
        async with talking(Broken()) as (client,):
            assert (await client.ask("/latency", answer="/fail"))[:2] == ("/latency", "internal")
            assert await client.ask("/stem/vocals/gain") == (0.0,)

    play(scene())
    assert "no latency today" in caplog.text


def test_faults_reach_subscribers() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk, clients=2) as (one, other):
            for client in (one, other):
                await client.ask("/subscribe", answer="/done")
            desk.tell(Fault("fallback", "the worker is gone; the mix plays dry"))
            for client in (one, other):
                assert await client.hear("/error") == [("fallback", "the worker is gone; the mix plays dry")]

    play(scene())


def test_a_client_that_left_does_not_disturb() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk, clients=2) as (gone, client):
            await gone.ask("/subscribe", answer="/done")
            gone.transport.close()
            for at in range(50):
                await client.ask("/stem/vocals/gain", -float(at), answer="/done")
            assert isinstance(client, Client)
            assert await client.ask("/stem/vocals/gain") == (-49.0,)

    play(scene())


def test_five_thousand_messages_a_second_lie_within_the_limit() -> None:
    assert MESSAGES_PER_SECOND >= 2 * 5000
