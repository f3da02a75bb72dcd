"""OSC over UDP: queries, values, commands, and an answer to every mistake."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.preset import Preset
from tests.control_desk import Desk
from tests.osc_wire import message, talking

GAIN = Key("vocals", None, "gain_db")
MUTE = Key("vocals", None, "mute")


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene to its end."""
    asyncio.run(scene)


def test_a_query_is_answered_on_its_own_address() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            assert await client.ask("/stem/vocals/gain") == (0.0,)
            assert await client.ask("/stem/1/gain") == (0.0,)
            assert await client.ask("/stem/vocals/gain/str") == ("0.0 dB",)
            assert await client.ask("/stem/vocals/pan") == (0.5,)
            assert await client.ask("/stem/list") == (4, "vocals", "drums", "bass", "other")
            assert await client.ask("/model") == ("classic4",)
            assert await client.ask("/model/list") == ("classic4", "halves")
            assert await client.ask("/preset/current") == (0, "", 0)
            assert await client.ask("/latency") == (1536, 32.0, 256, 256, 1024)
            assert await client.ask("/meter/in") == (-120.0,) * 4
            assert (await client.ask("/version", answer="/version.reply"))[0] == "plugin-bridge"
            status = await client.ask("/status", answer="/status.reply")
            assert (status[0], status[1], status[5], status[9]) == (1, 0.25, 48000.0, "classic4")

    play(scene())


def test_the_effects_are_told_slot_by_slot() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            client.send("/stem/vocals/fx/list")
            await client.hear("/stem/vocals/fx/list/end")
            rows = client.heard("/stem/vocals/fx/list")
            assert rows == [(1, "Compressor", 0), (2, "LadderFilter", 0)]

    play(scene())


def test_a_pattern_asks_every_address_it_reaches() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            client.send("/stem/{vocals,ba*}/ga?n")
            await client.quiet()
            assert client.heard("/stem/vocals/gain") == [(0.0,)]
            assert client.heard("/fail") == []  # `*` within braces is a letter, and no stem has it

            client.send("/stem/*/gain", -6.0)
            assert await client.hear("/done") == [("/stem/*/gain",)]
            client.send("/stem/[!v]*/gain")
            await client.quiet()
            assert [client.heard(f"/stem/{each}/gain") for each in ("drums", "bass", "other")] == [
                [(-6.0,)],
                [(-6.0,)],
                [(-6.0,)],
            ]

    play(scene())


@pytest.mark.parametrize("argument", [(1, "i"), (1.0, "f"), (True, "T"), (1, "h"), (1.0, "d")])
def test_a_switch_takes_what_apps_send_and_answers_with_one_type(argument: tuple[Any, str]) -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            value, types = argument
            assert await client.ask("/stem/vocals/mute", value, types=types, answer="/done") == (
                "/stem/vocals/mute",
                1,
            )
            assert desk.values[MUTE] is True
            client.packets.clear()
            await client.ask("/stem/vocals/mute")
            assert client.packets == [message("/stem/vocals/mute", 1, types="i")]

    play(scene())


def test_every_value_is_answered_and_a_clipped_one_sent_back() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send("/stem/1/gain", -6.0)
            await client.quiet()
            assert client.told[0] == ("/done", ("/stem/1/gain", -6.0))
            assert client.heard("/stem/1/gain") == []

            client.send("/stem/1/gain", 99.0)
            await client.quiet()
            assert client.heard("/stem/1/gain") == [(24.0,)]
            assert client.heard("/done")[-1] == ("/stem/1/gain", 24.0)
            assert desk.values[GAIN] == 24.0

            client.send("/stem/1/gain", -1e30)
            await client.quiet()
            assert client.heard("/stem/1/gain")[-1] == (-90.0,)
            assert desk.values[GAIN] == -math.inf

    play(scene())


def test_a_toggle_is_not_turned_back_by_its_release() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            for pressed in (1.0, 0.0):
                await client.ask("/stem/vocals/mute/toggle", pressed, answer="/done")
            assert desk.values[MUTE] is True
            await client.ask("/stem/vocals/mute/toggle", answer="/done")
            assert desk.values[MUTE] is False

    play(scene())


@pytest.mark.parametrize(
    ("sent", "types", "code"),
    [
        (("/nonsense", 1), "i", "unknown_address"),
        (("/stem/vocal/gain", 1.0), "f", "unknown_address"),
        (("/stem/0/gain", 1.0), "f", "unknown_address"),
        (("/stem/5/gain",), "", "unknown_address"),
        (("/stem/*/nonsense", 1.0), "f", "unknown_address"),
        (("/stem/[a/gain", 1.0), "f", "out_of_range"),
        (("/stem//gain", 1.0), "f", "unknown_address"),
        (("/stem/vocals/gain", "loud"), "s", "bad_type"),
        (("/stem/vocals/gain", True), "T", "bad_type"),
        (("/stem/vocals/gain", None), "N", "bad_type"),
        (("/stem/vocals/gain", b"blob"), "b", "bad_type"),
        (("/stem/vocals/gain", 1.0, 2.0), "ff", "bad_type"),
        (("/stem/vocals/gain", math.nan), "f", "out_of_range"),
        (("/stem/vocals/gain", math.inf), "f", "out_of_range"),
        (("/stem/vocals/gain", -math.inf), "d", "out_of_range"),
        (("/stem/vocals/mute", "yes"), "s", "bad_type"),
        (("/stem/vocals/fx/2/mode", "no such"), "s", "out_of_range"),
        (("/stem/vocals/fx/3/mode", "LPF12"), "s", "unknown_address"),
        (("/stem/vocals/name", "singer"), "s", "forbidden"),
        (("/latency", 1), "i", "forbidden"),
        (("/render/progress", "job1"), "s", "forbidden"),
        (("/preset/load", "no-such"), "s", "not_found"),
        (("/preset/load", 99), "i", "not_found"),
        (("/preset/load", "../../etc/passwd"), "s", "forbidden"),
        (("/preset/load", "broken"), "s", "forbidden"),
        (("/preset/load",), "", "bad_type"),
        (("/preset/save", "Ä b"), "s", "forbidden"),
        (("/model/load", "no-such"), "s", "not_found"),
        (("/render/start", "/etc/passwd", "flat"), "ss", "forbidden"),
        (("/render/start", "../a.wav", "flat"), "ss", "forbidden"),
        (("/render/cancel", "job7"), "s", "not_found"),
        (("/subscribe", "everything"), "s", "out_of_range"),
        (("/subscribe", 1), "i", "bad_type"),
        (("/subscribe", "all", 10, 10, 0), "siii", "out_of_range"),
        (("/subscribe", "all", 10, 10, 99999), "siii", "out_of_range"),
        (("/sync", "now"), "s", "bad_type"),
    ],
)
def test_a_mistake_is_answered_with_its_code(sent: tuple[Any, ...], types: str, code: str) -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            address, told, sentence = await client.ask(*sent, types=types, answer="/fail")
            assert (address, told) == (sent[0], code)
            assert len(sentence) > 10
            assert desk.log == []
            assert await client.ask("/stem/vocals/gain") == (0.0,)

    play(scene())


def array(address: str, *values: float) -> bytes:
    tags = f",[{'f' * len(values)}]".encode()
    tags += b"\0" * (4 - len(tags) % 4)
    head = address.encode() + b"\0" * (4 - len(address) % 4)
    return head + tags + struct.pack(f">{len(values)}f", *values)


@pytest.mark.parametrize(
    "packet",
    [
        b"\0",
        b"hello",
        b"/stem/vocals/gain",
        message("/stem/vocals/gain", -3.0)[:-4],
        message("/stem/vocals/gain", -3.0)[:-2],
        message("/stem/vocals/gain", -3.0) + b"\0\0\0\0",
        message("/stem/vocals/gain", -3.0).replace(b",f", b",x"),
        message("/stem/vocals/gain", -3.0).replace(b",f", b"-f"),
        message("/stem/vocals/name", "ab", types="s").replace(b"ab", b"\xff\xfe"),
        b"/x\xff\0,f\0\0\0\0\0\0",
        b"/" + b"a" * 400 + b"\0\0\0,\0\0\0",
        b"/a\0\0,b\0\0\xff\xff\xff\xff",
        b"/a\0\0,b\0\0\x7f\xff\xff\xff",
        b"/a\0\0,[[[\0\0\0\0",
        b"/a\0\0,]\0\0",
        b"/a\0\0," + b"i" * 6003 + b"\0" * 24012,
        b"#bundle\0",
        b"#bundle\0\0\0\0\0\0\0\0\1\x7f\xff\xff\xff",
        b"#bundle\0\0\0\0\0\0\0\0\1\0\0\0\0",
        b"#bundle\0\0\0\0\0\0\0\0\1\0\0\0\x04abcd",
    ],
    ids=lambda packet: repr(packet[:24]),
)
def test_what_is_no_osc_moves_nothing_and_is_answered(packet: bytes) -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(packet)
            ((address, code, _),) = await client.hear("/fail")
            assert (address, code) == ("", "bad_type")
            assert desk.log == []
            assert await client.ask("/stem/vocals/gain") == (0.0,)

    play(scene())


def test_types_that_python_osc_misreads_are_read_rightly() -> None:
    async def scene() -> None:
        desk = Desk()
        async with talking(desk) as (client,):
            client.send_raw(b"/stem/vocals/gain\0\0\0,cf\0" + struct.pack(">if", ord("x"), -3.0))
            client.send_raw(b"/stem/vocals/gain\0\0\0,I\0\0")
            client.send_raw(array("/stem/vocals/gain", -3.0))
            client.send_raw(b"/stem/vocals/fx/2/mode\0\0,S\0\0HPF24\0\0\0")
            await client.quiet()
            assert [code for _, code, _ in client.heard("/fail")] == ["bad_type", "out_of_range", "bad_type"]
            assert client.heard("/done") == [("/stem/vocals/fx/2/mode", "HPF24")]
            assert desk.values[GAIN] == 0.0

    play(scene())


def test_commands_answer_when_they_are_done_and_sync_after_them() -> None:
    async def scene() -> None:
        desk = Desk(swap_seconds=0.2)
        async with talking(desk) as (client,):
            client.send("/preset/load", "loud")
            client.send("/sync", 7, types="i")
            client.send("/stem/vocals/gain")
            await client.hear("/synced")
            assert [address for address, _ in client.told] == ["/stem/vocals/gain", "/done", "/synced"]
            assert client.told[1:] == [("/done", ("/preset/load", "loud")), ("/synced", (7,))]
            assert await client.ask("/preset/current") == (3, "loud", 0)

    play(scene())


def test_another_model_brings_its_stems() -> None:
    async def scene() -> None:
        async with talking(Desk()) as (client,):
            assert await client.ask("/model/load", "halves", answer="/done") == (
                "/model/load",
                "halves",
                1536,
            )
            assert await client.ask("/stem/list") == (2, "left", "right")
            assert (await client.ask("/stem/vocals/gain", answer="/fail"))[1] == "unknown_address"

    play(scene())


def test_no_folder_of_ours_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "broken.toml").write_text('name = "bro')

    class Reading(Desk):
        async def load_preset(self, name: str) -> None:
            Preset.read(name)

    async def scene() -> None:
        async with talking(Reading()) as (client,):
            told = await client.ask("/preset/load", "broken", answer="/fail")
            assert told[1] == "forbidden"
            assert told[2].startswith("a preset must be TOML, got broken.toml: ")

    play(scene())
