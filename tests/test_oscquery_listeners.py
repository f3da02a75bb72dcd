"""OSCQuery's WebSocket: values as they move, values set, and what came and went."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.commands import Fault, Level, RenderProgress
from plugin_bridge.control.osc.codec import Message, bundle, decode, encode
from tests.oscquery_serving import PATIENCE_SECONDS, Serving, run

VOCALS_GAIN = Key("vocals", None, "gain_db")


def test_what_is_listened_to_comes_at_once_and_when_others_move_it() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/stem/vocals/gain", "/stem/1/fader") as client:
            first = {await client.next(), await client.next()}
            assert first == {Message("/stem/vocals/gain", (0.0,)), Message("/stem/1/fader", (0.75,))}
            serving.desk.move([(VOCALS_GAIN, 10.0)])
            then = {await client.next(), await client.next()}
            assert then == {Message("/stem/vocals/gain", (10.0,)), Message("/stem/1/fader", (1.0,))}
            await client.command("IGNORE", "/stem/vocals/gain")
            await client.set("/sync", "i", 1)
            await client.until("/synced", 1)
            serving.desk.move([(VOCALS_GAIN, 0.0)])
            assert await client.rest() == [Message("/stem/1/fader", (0.75,))]

    run(scenario)


def test_a_set_value_is_answered_and_told_to_every_listener_the_setter_too() -> None:
    async def scenario(serving: Serving) -> None:
        async with (
            serving.listener("/stem/bass/mute") as setter,
            serving.listener("/stem/bass/mute") as other,
        ):
            await other.next()
            await setter.set("/stem/bass/mute", "f", 1.0)  # as phone apps send switches
            came = await setter.until("/stem/bass/mute", 1)
            assert Message("/done", ("/stem/bass/mute", 1)) in came
            assert await other.next() == Message("/stem/bass/mute", (1,))

    run(scenario)


def test_what_is_refused_is_said_and_changes_nothing() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener() as client:
            for address, types, arguments, code in (
                ("/nowhere", "f", (1.0,), "unknown_address"),
                ("/stem/vocals/gain", "s", ("loud",), "bad_type"),
                ("/preset/load", "s", ("nonsense",), "not_found"),
                ("/preset/save", "s", ("../../etc/passwd",), "forbidden"),
            ):
                await client.set(address, types, *arguments)
                said = await client.next()
                assert (said.address, *said.arguments[:2]) == ("/fail", address, code)
            await client.set("/stem/vocals/gain", "f", 99.0)
            came = await client.until("/done")
            assert came == [
                Message("/stem/vocals/gain", (24.0,)),
                Message("/done", ("/stem/vocals/gain", 24.0)),
            ]
            assert len(serving.desk.log) == 1

    run(scenario)


def test_a_bundle_in_a_frame_moves_all_at_one_instant() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener() as client:
            messages = [encode(f"/stem/{name}/gain", "f", (-6.0,)) for name in ("vocals", "drums")]
            await client.socket.send_bytes(bundle(messages))
            answered = [message.arguments for message in await client.rest()]
            assert answered == [("/stem/vocals/gain", -6.0), ("/stem/drums/gain", -6.0)]
        (move,) = serving.desk.log
        assert len(move[0]) == 2

    run(scenario)


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "[", "[" * 60000, "{}", "[1]",
        '{"COMMAND": "LISTEN"}', '{"COMMAND": "LISTEN", "DATA": 7}',
        '{"COMMAND": "SHOUT", "DATA": "/"}', '{"COMMAND": "LISTEN", "DATA": "/nowhere"}',
        '{"COMMAND": "LISTEN", "DATA": "/preset/load"}', '{"COMMAND": ["LISTEN"], "DATA": "/"}',
        '{"COMMAND": "LISTEN", "DATA": "/stem"}', '{"COMMAND": "LISTEN", "DATA": "/stem/*/gain"}',
    ],
)  # fmt: skip
def test_a_text_that_is_no_command_is_answered(text: str) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener() as client:
            await client.socket.send_str(text)
            said = await client.next()
            assert said.address == "/fail"
            await client.set("/sync", "i", 5)  # and the connection goes on
            await client.until("/synced", 5)

    run(scenario)


def test_many_moves_are_told_seldom_and_the_last_always() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/stem/vocals/gain") as client:
            await client.next()
            for step in range(1, 1001):
                serving.desk.move([(VOCALS_GAIN, -step / 50)])
            came = await client.until("/stem/vocals/gain", -20.0)
            assert len(came) <= 2, "moves of one instant must be told as one"

    run(scenario)


def test_levels_are_told_while_they_change() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/meter/vocals") as client:
            assert (await client.next()).arguments == (-120.0,) * 4
            serving.desk.heard_levels["vocals"] = Level(-6.0, -12.0, -20.0, -30.0)
            assert (await client.next()).arguments == (-6.0, -12.0, -20.0, -30.0)
            assert await client.rest() == [], "a level that stays must not be sent again"

    run(scenario)


def test_faults_and_renders_can_be_listened_to() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/error", "/render/progress") as client:
            await client.set("/sync", "i", 1)
            await client.until("/synced", 1)
            serving.desk.tell(Fault("xruns", "the machine was late"))
            assert await client.next() == Message("/error", ("xruns", "the machine was late"))
            serving.desk.tell(RenderProgress("job1", 0.5, "running"))
            assert await client.next() == Message("/render/progress", ("job1", 0.5, "running", ""))

    run(scenario)


def test_another_preset_tells_what_came_and_went() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/stem/vocals/fx/1/ratio", "/stem/vocals/gain") as client:
            await client.next(), await client.next()
            serving.desk.move([(VOCALS_GAIN, -6.0)])
            await client.next()
            await client.set("/preset/load", "s", "flat")
            came = [
                each for each in await client.rest() if each != Message("/done", ("/preset/load", "flat"))
            ]
            texts = [(each["COMMAND"], each["DATA"]) for each in came if isinstance(each, dict)]
            assert ("PATH_REMOVED", "/stem/vocals/fx/1") in texts
            assert ("PATH_REMOVED", "/stem/vocals/fx/1/ratio") not in texts, "only the topmost of what went"
            assert texts[-1] == ("PATH_CHANGED", "/")
            values = [each for each in came if isinstance(each, Message)]
            assert values == [Message("/stem/vocals/gain", (0.0,))]
            assert (await serving.get("/stem/vocals/fx/1"))[0] == 404
            await client.set("/preset/load", "s", "loud")
            came = await client.rest()
            assert {"COMMAND": "PATH_ADDED", "DATA": "/stem/vocals/fx/1"} in came
            assert (await serving.get("/stem/vocals/fx/1"))[0] == 200

    run(scenario)


def test_another_model_brings_other_stems() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.listener("/stem/1/gain", "/meter/drums") as client:
            await client.set("/model/load", "s", "halves")
            came = await client.until("/done", "/model/load", "halves", 1536)
            came += await client.rest()
            assert {"COMMAND": "PATH_REMOVED", "DATA": "/stem/vocals"} in came
            assert {"COMMAND": "PATH_ADDED", "DATA": "/stem/left"} in came
            serving.desk.move([(Key("left", None, "gain_db"), 3.0)])
            assert await client.rest() == [Message("/stem/1/gain", (3.0,))], "number 1 is another stem now"
            status, tree = await serving.get("/stem")
            assert status == 200
            assert set(tree["CONTENTS"]) == {"list", "left", "right"}

    run(scenario)


def test_a_foreign_websocket_client_is_understood() -> None:
    async def scenario(serving: Serving) -> None:
        async with connect(f"ws://127.0.0.1:{serving.server.port}/") as foreign:
            await foreign.send('{"COMMAND": "LISTEN", "DATA": "/master/gain"}')
            await foreign.send(encode("/master/gain", "f", (-12.0,)))
            came: set[Message] = set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while Message("/master/gain", (-12.0,)) not in came:
                    packet = await foreign.recv()
                    assert isinstance(packet, bytes)
                    came |= set(decode(packet, 0.0))
            assert Message("/done", ("/master/gain", -12.0)) in came

    run(scenario)
