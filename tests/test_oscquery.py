"""OSCQuery over HTTP: the tree, its attributes, and who may ask."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import aiohttp
import pytest

from plugin_bridge.board.parameter_tree import Key
from tests.oscquery_serving import Serving, run

VOCALS_GAIN = Key("vocals", None, "gain_db")


def nodes_of(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every node of a tree by its path, which must be where it is found."""
    found = {tree["FULL_PATH"]: tree}
    for name, child in tree.get("CONTENTS", {}).items():
        assert child["FULL_PATH"] == f"{tree['FULL_PATH'].rstrip('/')}/{name}"
        found |= nodes_of(child)
    return found


def test_the_tree_holds_every_address_with_its_attributes() -> None:
    async def scenario(serving: Serving) -> None:
        status, tree = await serving.get("/")
        assert status == 200
        nodes = nodes_of(tree)
        leaves = serving.space.leaves
        assert {path for path, node in nodes.items() if "TYPE" in node} == set(leaves)
        for path, leaf in leaves.items():
            node = nodes[path]
            assert node["ACCESS"] == leaf.readable + 2 * leaf.writable
            assert node["DESCRIPTION"] == leaf.description
            if leaf.readable:
                held = leaf.arguments()
                assert node["VALUE"] == pytest.approx(list(held)) if path != "/preset/current" else True
                assert len(node["TYPE"]) == len(held) or not held
            for attribute in ("RANGE", "UNIT", "CLIPMODE"):
                assert attribute not in node or len(node[attribute]) == len(node["TYPE"])

    run(scenario)


def test_ranges_units_and_clip_modes_are_those_of_the_proposal() -> None:
    async def scenario(serving: Serving) -> None:
        _, gain = await serving.get("/stem/vocals/gain")
        assert gain["RANGE"] == [{"MIN": -90.0, "MAX": 24.0}]
        assert (gain["UNIT"], gain["CLIPMODE"]) == (["gain.db"], ["both"])
        _, attack = await serving.get("/stem/vocals/fx/1/attack_ms")
        assert attack["UNIT"] == ["time.ms"]
        _, mode = await serving.get("/stem/vocals/fx/2/mode")
        assert mode["RANGE"][0]["VALS"][:2] == ["LPF12", "HPF12"]
        _, mute = await serving.get("/stem/vocals/mute")
        assert (mute["TYPE"], mute["RANGE"]) == ("i", [{"MIN": 0, "MAX": 1}])

    run(scenario)


def test_silence_is_a_number_in_json() -> None:
    async def scenario(serving: Serving) -> None:
        serving.desk.move([(VOCALS_GAIN, -math.inf)])
        assert await serving.get("/stem/vocals/gain?VALUE") == (200, {"VALUE": [-90.0]})
        status, _ = await serving.get("/")  # `get` refuses Infinity and NaN anywhere
        assert status == 200

    run(scenario)


def test_a_subtree_is_found_by_name_by_number_and_with_a_slash_behind() -> None:
    async def scenario(serving: Serving) -> None:
        _, by_name = await serving.get("/stem/drums")
        assert by_name["FULL_PATH"] == "/stem/drums"
        assert {"fader", "gain", "mute"} <= set(by_name["CONTENTS"])
        for path in ("/stem/2", "/stem/drums/", "/stem/2/gain"):
            _, node = await serving.get(path)
            assert node["FULL_PATH"] in ("/stem/drums", "/stem/drums/gain")

    run(scenario)


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/stem/vocals/gain?TYPE", 200, {"TYPE": "f"}),
        ("/stem/vocals/gain?VALUE", 200, {"VALUE": [0.0]}),
        ("/stem/vocals/gain?FULL_PATH", 200, {"FULL_PATH": "/stem/vocals/gain"}),
        ("/stem/vocals/gain?ACCESS", 200, {"ACCESS": 3}),
        ("/meter/in?ACCESS", 200, {"ACCESS": 1}),
        ("/preset/load?ACCESS", 200, {"ACCESS": 2}),
        ("/stem?ACCESS", 200, {"ACCESS": 0}),
        ("/stem?VALUE", 200, {}),  # valid, and a container has none
        ("/stem/vocals/gain?TAGS", 200, {}),
        ("/bypass?CONTENTS", 200, {}),
        ("/preset/load?VALUE", 204, ""),
        ("/stem/vocals/gain?NONSENSE", 400, None),
        ("/stem/vocals/gain?VALUE&TYPE", 400, None),
        ("/stem/vocals/gain?value", 400, None),
        ("/nowhere", 404, None),
        ("/nowhere?VALUE", 404, None),
        ("/stem/vocals/gain/", 200, ...),
        ("/stem/9", 404, None),
    ],
)
def test_attributes_and_what_is_not_there(path: str, status: int, answer: Any) -> None:
    async def scenario(serving: Serving) -> None:
        got, said = await serving.get(path)
        assert got == status
        if answer is None:
            assert "must" in said
        elif answer is not ...:
            assert said == answer

    run(scenario)


def test_host_info_says_where_osc_and_the_websocket_are() -> None:
    async def scenario(serving: Serving) -> None:
        for path in ("/?HOST_INFO", "/stem/vocals/gain?HOST_INFO"):
            status, info = await serving.get(path)
            assert status == 200
            assert info["NAME"] == "desk"
            assert (info["OSC_IP"], info["OSC_PORT"], info["OSC_TRANSPORT"]) == ("127.0.0.1", 9555, "UDP")
            assert (info["WS_IP"], info["WS_PORT"]) == ("127.0.0.1", serving.server.port)
            extensions = info["EXTENSIONS"]
            assert all(type(has) is bool for has in extensions.values())
            for name in (
                "ACCESS",
                "VALUE",
                "RANGE",
                "UNIT",
                "DESCRIPTION",
                "CLIPMODE",
                "LISTEN",
                "PATH_CHANGED",
            ):
                assert extensions[name] is True

    run(scenario, name="desk", osc_port=9555)


def test_only_asking_is_allowed() -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.http.head("/stem/vocals/gain") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            async with serving.http.request(method, "/stem/vocals/gain", data=b"x" * 100) as answer:
                assert answer.status == 405
        assert serving.desk.log == []

    run(scenario)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "http://[::1]:3000"}, 200),
        ({"Origin": "http://studio.local", "Host": "studio.local:9300"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example:9300"}, 403),  # DNS rebinding
        ({"Host": "evil.example:9300"}, 403),
    ],
)
def test_pages_from_elsewhere_are_refused(headers: dict[str, str], status: int) -> None:
    async def scenario(serving: Serving) -> None:
        got, _ = await serving.get("/stem/vocals/gain?VALUE", **headers)
        assert got == status
        if status == 200:
            async with serving.listener(**headers) as client:
                await client.set("/stem/vocals/gain", "f", -3.0)
                await client.until("/done", "/stem/vocals/gain", -3.0)
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with serving.listener(**headers):
                    pass
            assert refused.value.status == 403

    run(scenario)


def test_a_host_that_is_no_text_is_refused_in_ascii() -> None:
    async def scenario(serving: Serving) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127\xf1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.isascii()

    run(scenario)
