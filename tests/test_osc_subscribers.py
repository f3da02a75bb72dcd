"""Subscriptions: who is told what, how often, and for how long."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.address_space import STATE, AddressSpace
from plugin_bridge.control.commands import Fault, Level, RenderProgress
from plugin_bridge.control.layouts.reaper import reaper
from plugin_bridge.control.layouts.sheet import Sheet
from tests.control_desk import SOURCES, Desk
from tests.osc_wire import Client, bundle, message, read, serving, talking


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def state_paths(desk: Desk) -> list[str]:
    return [leaf.path for leaf in AddressSpace(desk).state()]


def test_the_first_subscription_brings_the_whole_state_and_renewals_do_not() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            assert await client.ask("/subscribe", "state", 30, types="si", answer="/done") == (
                "/subscribe",
                1,
                30,
            )
            await client.hear("/preset/current")
            await client.quiet()
            told = [address for address, _ in client.told if address.startswith("/")]
            assert [each for each in told if each in state_paths(desk)] == state_paths(desk)
            assert all(len(packet) < 1472 for packet in client.packets)

            client.told.clear()
            assert await client.ask("/subscribe", "state", answer="/done") == ("/subscribe", 1, 10)
            await client.quiet()
            assert {address for address, _ in client.told} <= {"/done", "/synced", "/heartbeat"}

            client.send("/refresh")
            await client.quiet()
            assert client.heard("/stem/vocals/gain") == [(0.0,)]

    play(scene())


def test_a_change_reaches_everyone_the_one_who_made_it_too() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=3) as clients:
            one, other, silent = clients
            for client in (one, other):
                client.send("/subscribe", "state")
                await client.quiet()
                client.told.clear()
            one.send("/stem/1/gain", -6.0)
            for client in (one, other):
                assert await client.hear("/stem/vocals/gain") == [(-6.0,)]
                assert await client.hear("/stem/vocals/gain/str") == [("-6.0 dB",)]
                assert await client.hear("/stem/vocals/fader") == [(0.6000000238418579,)]
            await silent.quiet()
            assert [address for address, _ in silent.told] == ["/synced"]

    play(scene())


def test_changes_are_coalesced_and_the_last_one_is_never_lost() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=2) as (mover, listener):
            await listener.ask("/subscribe", "state", answer="/done")
            await listener.quiet()
            listener.told.clear()
            listener.times.clear()
            began = time.monotonic()
            for at in range(1, 501):
                mover.send("/stem/vocals/gain", -at / 10)
                await asyncio.sleep(0.001)
            await listener.until(lambda: (-50.0,) in listener.heard("/stem/vocals/gain"))
            lasted = time.monotonic() - began
            heard = listener.heard("/stem/vocals/gain")
            assert heard[-1] == (-50.0,)
            assert len(heard) <= 20 * lasted + 2
            told = zip(listener.told, listener.times, strict=True)
            times = [when for (address, _), when in told if address == "/stem/vocals/gain"]
            assert len(times) == len(heard)

    play(scene())


def test_one_who_sends_back_what_it_hears_does_not_go_round() -> None:
    class Echo(Client):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            for address, arguments in read(data):
                if address.startswith("/stem") and len(arguments) == 1:
                    self.send(address, *arguments)

    async def scene() -> None:
        desk = Desk()
        async with serving(desk) as server:
            echo = await Echo.of(server.port)
            await echo.ask("/subscribe", "state", 60, types="si", answer="/done")
            await echo.hear("/preset/current")
            await echo.quiet()
            await echo.ask("/stem/vocals/gain", -7.3, answer="/done")
            await echo.quiet()
            await asyncio.sleep(0.5)
            before = len(desk.log)
            await asyncio.sleep(1.0)
            assert len(desk.log) == before
            assert desk.values[Key("vocals", None, "gain_db")] == -7.3
            echo.transport.close()

    play(scene())


def test_a_lease_ends_when_it_is_not_renewed() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=2) as (gone, kept):
            await gone.ask("/subscribe", "state", 1, types="si", answer="/done")
            await kept.ask("/subscribe", "state", 60, types="si", answer="/done")
            await kept.hear("/heartbeat", 3)
            gone.told.clear()
            kept.send("/stem/vocals/gain", -6.0)
            assert await kept.hear("/stem/vocals/gain", 2)
            await gone.quiet()
            assert [address for address, _ in gone.told] == ["/synced"]

    play(scene())


def test_what_moved_while_nobody_listened_does_not_hide_a_later_change() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=2) as (early, late):
            await early.ask("/subscribe", "state", answer="/done")
            early.send("/stem/bass/gain", -6.0)
            await early.until(lambda: (-6.0,) in early.heard("/stem/bass/gain"))
            await early.ask("/unsubscribe", answer="/done")
            await early.ask("/stem/bass/gain", -3.0, answer="/done")
            late.send("/subscribe", "state")
            await late.until(lambda: late.heard("/stem/bass/gain") == [(-3.0,)])
            early.send("/stem/bass/gain", -6.0)
            await late.until(lambda: late.heard("/stem/bass/gain")[-1] == (-6.0,))

    play(scene())


def test_meters_that_fail_for_once_come_again() -> None:
    class Shy(Desk):
        calls = 0

        def levels(self) -> dict[str, Level]:
            self.calls += 1
            if self.calls < 5:
                raise RuntimeError("no levels yet")
            return {}

    async def scene() -> None:
        desk = Shy()
        async with talking(desk) as (client,):
            await client.ask("/subscribe", "meters", answer="/done")
            assert (await client.hear("/meter/in"))[0] == (-120.0,) * 4

    play(scene())


def test_a_lease_lasts_an_hour_at_most() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            answer = await client.ask("/subscribe", "state", 10**6, 10**6, types="sii", answer="/done")
            assert answer == ("/subscribe", 1, 3600)
            assert (await client.ask("/subscribe", "state", -5, types="si", answer="/done"))[2] == 1

    play(scene())


def test_unsubscribing_ends_one_topic_or_all() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            await client.ask("/subscribe", "all", answer="/done")
            await client.hear("/meter/in")
            await client.ask("/unsubscribe", "meters", answer="/done")
            client.told.clear()
            await client.ask("/stem/vocals/gain", -6.0, answer="/stem/vocals/gain")
            assert client.heard("/meter/in") == []
            await client.ask("/unsubscribe", answer="/done")
            client.told.clear()
            await client.ask("/stem/vocals/gain", -7.0, answer="/done")
            await asyncio.sleep(0.2)
            assert {address for address, _ in client.told} == {"/done"}

    play(scene())


def test_one_who_knows_no_names_is_told_by_number() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk, 2) as (host, other):
            await host.ask("/subscribe", "numbers", 60, types="si", answer="/done")
            await host.quiet()
            named = {address for address, _ in host.told if address.startswith("/stem/")}
            assert {"/stem/list", "/stem/1/gain", "/stem/4/solo", "/stem/1/fx/1/ratio"} <= named
            assert "/master/gain" in {address for address, _ in host.told}
            assert not any("vocals" in address for address in named)
            host.told.clear()
            other.send("/stem/vocals/gain", -6.0)
            assert await host.hear("/stem/1/gain") == [(-6.0,)]
            assert host.heard("/stem/vocals/gain") == []
            await host.ask("/unsubscribe", answer="/done")
            host.told.clear()
            await other.ask("/stem/vocals/gain", -7.0, answer="/done")
            await asyncio.sleep(0.2)
            assert host.told == []

    play(scene())


def test_the_way_back_to_reaper_has_the_addresses_of_its_pattern_file() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "osc.md").read_text("utf-8")
    assert "/subscribe siii numbers 3600 10 9310" in page
    sheet = Sheet.of(AddressSpace(Desk()).leaves.values(), SOURCES, ())
    patterns = re.findall(r"^TRACK_\w+ [fnb](/\S+)$", reaper(sheet).decode(), re.MULTILINE)
    told: list[str] = []

    async def scene() -> None:
        async with talking(Desk()) as (client,):
            await client.ask("/subscribe", "numbers", answer="/done")
            await client.quiet()
            told.extend(address for address, _ in client.told)

    play(scene())
    assert len(patterns) == 4
    assert {each.replace("@", str(track)) for each in patterns for track in (1, 2, 3, 4)} <= set(told)


def test_meters_come_in_one_frame_at_the_rate_asked_for() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.heard_levels["vocals"] = Level(-6.0, -12.0, -20.0, -21.0)
        async with talking(desk) as (client,):
            await client.ask("/subscribe", "meters", 60, 20, types="sii", answer="/done")
            began = time.monotonic()
            await client.hear("/meter/vocals", 20)
            lasted = time.monotonic() - began
            assert len(client.heard("/meter/vocals")) <= 20 * lasted + 2
            assert client.heard("/meter/vocals")[0] == (-6.0, -12.0, -20.0, -21.0)
            assert client.heard("/stem/vocals/vu")[0] == (0.8999999761581421,)
            meters = [packet for packet in client.packets if b"/meter/" in packet]
            assert all(len(packet) < 1472 for packet in meters)
            rows = {address for address, _ in read(meters[0])}
            assert len(rows) == 6 + 4
            assert client.heard("/stem/vocals/gain") == []

    play(scene())


def test_another_port_of_the_same_machine_may_be_told() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=2) as (asking, listening):
            arguments = ("state", 10, 10, listening.port)
            answer = await asking.ask("/subscribe", *arguments, types="siii", answer="/done")
            assert answer == ("/subscribe", 1, 10)
            await listening.hear("/stem/vocals/gain")
            assert asking.heard("/stem/vocals/gain") == []
            asking.send("/refresh")
            await listening.hear("/stem/vocals/gain", 2)
            await asking.ask("/unsubscribe", answer="/done")
            before = len(listening.told)
            await asking.ask("/stem/vocals/gain", -6.0, answer="/done")
            await asyncio.sleep(0.15)
            assert len(listening.told) == before

    play(scene())


def test_nobody_else_can_be_subscribed() -> None:
    async def scene() -> None:
        desk = Desk()
        async with serving(desk) as server:
            client = await Client.of(server.port)
            # No argument names another machine, and our own port would have us talk to ourselves.
            sent = ("/subscribe", "state", 10, 10, "192.0.2.1")
            assert (await client.ask(*sent, types="siis", answer="/fail"))[1] == "bad_type"
            sent = ("/subscribe", "state", 10, 10, server.port)
            assert (await client.ask(*sent, types="siii", answer="/fail"))[1] == "forbidden"
            sent = ("/subscribe", "state", 10, 10, 0, "192.0.2.1")
            assert (await client.ask(*sent, types="siiis", answer="/fail"))[1] == "bad_type"
            assert len(server.subscribers) == 0
            client.transport.close()

    play(scene())


def test_there_is_room_for_64_subscribers() -> None:
    async def scene() -> None:
        async with talking(Desk(), clients=65) as clients:
            for client in clients[:64]:
                await client.ask("/subscribe", "meters", answer="/done")
            assert (await clients[64].ask("/subscribe", "meters", answer="/fail"))[1] == "busy"
            await clients[0].ask("/unsubscribe", answer="/done")
            await clients[64].ask("/subscribe", "meters", answer="/done")

    play(scene())


def test_another_preset_is_told_whole() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            await client.ask("/subscribe", "state", answer="/done")
            await client.quiet()
            client.told.clear()
            await client.ask("/preset/load", "flat", answer="/done")
            await client.hear("/preset/current")
            await client.until(lambda: client.heard("/preset/current")[-1] == (2, "flat", 0))
            told = {address for address, _ in client.told}
            assert set(state_paths(desk)) <= told
            assert not [address for address in told if "/fx/1/" in address]

    play(scene())


def test_switches_renders_and_a_storm_of_faults_are_told() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            await client.ask("/subscribe", "state", answer="/done")
            await client.quiet()
            client.told.clear()
            await client.ask("/bypass", 1, answer="/done")
            assert await client.hear("/bypass") == [(1,)]
            for share in range(101):
                desk.tell(RenderProgress("job1", share / 100, "running"))
            desk.tell(RenderProgress("job1", 1.0, "done"))
            await client.until(lambda: ("job1", 1.0, "done", "") in client.heard("/render/progress"))
            assert len(client.heard("/render/progress")) <= 3
            for _ in range(1000):
                desk.tell(Fault("xruns", "blocks are late"))
            await client.quiet()
            assert 1 <= len(client.heard("/error")) <= 20

    play(scene())


def test_a_bundle_of_moves_is_told_once() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            await client.ask("/subscribe", STATE, answer="/done")
            await client.quiet()
            client.told.clear()
            client.send_raw(bundle(*[message("/stem/bass/pan", at / 100) for at in range(101)]))
            assert await client.hear("/stem/bass/pan") == [(1.0,)]

    play(scene())
