"""Bundles: one instant for all of their messages, now or up to a second ahead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.osc.timetags import IMMEDIATELY, seconds_of, tag_of
from tests.control_desk import Desk
from tests.osc_wire import bundle, message, ntp, talking

GAIN, PAN = Key("vocals", None, "gain_db"), Key("vocals", None, "pan")
MUTE = Key("vocals", None, "mute")


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a_time_tag_is_the_same_both_ways() -> None:
    for seconds in (0.0, 1e9, 1_790_000_000.123456, 2_085_978_495.5, 2_085_978_497.25):
        tag = tag_of(seconds)
        assert 0 <= tag < 2**64
        assert seconds_of(tag, seconds + 60) == pytest.approx(seconds, abs=1e-6)
    assert tag_of(None) == IMMEDIATELY
    assert seconds_of(IMMEDIATELY, 1e9) is None


def test_a_time_tag_after_2036_is_not_1900() -> None:
    assert seconds_of(5 << 32, 2_085_978_490.0) == 2_085_978_496 + 5


def test_a_bundle_moves_everything_in_one_step() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(
                bundle(
                    message("/stem/vocals/gain", -6.0),
                    message("/stem/vocals/gain"),
                    message("/stem/vocals/pan", 1.0),
                    message("/nonsense", 1.0),
                    message("/stem/vocals/pan", "left"),
                    bundle(message("/stem/vocals/mute/toggle"), message("/stem/vocals/mute/toggle")),
                )
            )
            await client.quiet()
            assert desk.log == [(((GAIN, -6.0), (PAN, 1.0), (MUTE, True), (MUTE, False)), None)]
            assert client.heard("/stem/vocals/gain") == [(-6.0,)]
            assert [code for _, code, _ in client.heard("/fail")] == ["unknown_address", "bad_type"]
            assert [told[0] for told in client.heard("/done")] == [
                "/stem/vocals/gain",
                "/stem/vocals/pan",
                "/stem/vocals/mute/toggle",
                "/stem/vocals/mute/toggle",
            ]

    play(scene())


def test_a_bundle_ahead_is_dated_to_the_engine() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            when = time.time() + 0.8
            client.send_raw(
                bundle(
                    message("/stem/vocals/gain", -6.0),
                    bundle(message("/stem/vocals/pan", 1.0)),
                    bundle(message("/stem/vocals/mute", 1), seconds=when - 0.4),
                    seconds=when,
                )
            )
            await client.quiet()
            ((moves, seconds),) = desk.log
            assert moves == ((GAIN, -6.0), (PAN, 1.0), (MUTE, True))  # none inside comes before the outer one
            assert seconds == pytest.approx(when, abs=1e-6)
            assert client.heard("/late") == []

    play(scene())


def test_a_nested_bundle_may_come_later() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            when = time.time() + 0.6
            inner = bundle(message("/stem/vocals/pan", 1.0), seconds=when + 0.2)
            client.send_raw(bundle(message("/stem/vocals/gain", -6.0), inner, seconds=when))
            await client.quiet()
            assert [seconds for _, seconds in desk.log] == pytest.approx([when, when + 0.2], abs=1e-6)

    play(scene())


def test_switches_and_commands_ahead_wait_for_their_time() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(
                bundle(
                    message("/bypass", 1),
                    message("/stem/vocals/gain"),
                    message("/preset/load", "loud"),
                    seconds=time.time() + 0.6,
                )
            )
            await client.quiet()
            assert not desk.bypass
            assert desk.preset == ("", False)
            assert client.heard("/stem/vocals/gain") == []
            await client.until(lambda: desk.bypass and desk.preset == ("loud", False))
            await client.hear("/stem/vocals/gain")
            await client.until(lambda: ("/preset/load", "loud") in client.heard("/done"))

    play(scene())


def test_a_late_bundle_is_applied_at_once_and_said_to_be_late() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(bundle(message("/stem/vocals/gain", -6.0), seconds=time.time() - 2.0))
            ((late,),) = await client.hear("/late")
            assert late >= 2.0
            assert desk.log == [(((GAIN, -6.0),), None)]

    play(scene())


def test_a_bundle_too_far_ahead_fails() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            for packet in (
                bundle(message("/stem/vocals/gain", -6.0), seconds=time.time() + 5.0),
                bundle(bundle(message("/stem/vocals/gain", -6.0), seconds=time.time() + 5.0)),
                b"#bundle\0" + b"\xff" * 8 + bundle(message("/stem/vocals/gain", -6.0))[16:],
            ):
                client.send_raw(packet)
            await client.quiet()
            codes = [(address, code) for address, code, _ in client.heard("/fail")]
            assert codes == [("/stem/vocals/gain", "out_of_range")] * 3
            assert desk.log == []

    play(scene())


def test_what_waits_ahead_is_bounded() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            for _ in range(4):
                asked = [message("/stem/vocals/gain")] * 1000
                client.send_raw(bundle(*asked, seconds=time.time() + 0.9))
            await client.quiet()
            codes = [code for _, code, _ in client.heard("/fail")]
            assert codes == ["busy"] * (4000 - 1024)

    play(scene())


def test_the_wires_time_tag_is_ntp() -> None:
    assert int.from_bytes(ntp(0.5), "big") == tag_of(0.5)
