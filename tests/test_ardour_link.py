"""The link to Ardour where there is no Ardour: nothing that answers, or something that answers wildly."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.ardour_link import ArdourLink, ArdourRequest, link
from plugin_bridge.control.ardour_link.pace import Pace
from plugin_bridge.control.ardour_link.strips import BY_PARAMETER, SILENT_DB, tie
from plugin_bridge.control.osc.codec import encode
from plugin_bridge.errors import DeviceError
from tests.control_desk import SOURCES, Desk

PATIENCE_SECONDS = 20.0
GAIN = Key("vocals", None, "gain_db")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ardour", "127.0.0.1", 3819),
        ("ardour:10.0.0.7", "10.0.0.7", 3819),
        ("ardour:studio:3829", "studio", 3829),
        ("ardour::3829", "127.0.0.1", 3829),
    ],
)
def test_where_ardour_is_can_be_left_out(text: str, host: str, port: int) -> None:
    assert ArdourRequest.parse(text) == ArdourRequest(host, port)


@pytest.mark.parametrize("text", ["", "reaper", "ardour:a:b", "ardour:a:0", "ardour:a:65536", "ardour:a:1:2"])
def test_another_link_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^a link must be ardour\[:HOST:PORT\], got '{text}'$"):
        ArdourRequest.parse(text)


def test_strips_go_by_the_stems_names_the_exact_one_first() -> None:
    names = {1: "VOCALS", 2: "vocals", 3: "Bass ", 4: "Piano"}
    assert tie(names, SOURCES) == {"vocals": 2, "bass": 3}


def test_strips_go_by_number_where_no_name_is_a_stems() -> None:
    assert tie({2: "b", 1: "a", 5: "c"}, SOURCES) == {"vocals": 1, "drums": 2, "bass": 5}
    assert tie({}, SOURCES) == {}


@pytest.mark.parametrize("parameter", ["gain_db", "pan"])
def test_numbers_survive_the_way_there_and_back(parameter: str) -> None:
    control = BY_PARAMETER[parameter]
    travel = [x / 4 for x in range(-640, 25)] if parameter == "gain_db" else [x / 64 for x in range(-64, 65)]
    for value in travel:
        back = control.to_stem(control.to_ardour(value))
        assert back == pytest.approx(value, abs=1e-4)
    assert BY_PARAMETER["gain_db"].to_stem(SILENT_DB) == float("-inf")
    assert BY_PARAMETER["gain_db"].to_stem(-200.0) == float("-inf")
    assert BY_PARAMETER["gain_db"].to_ardour(float("-inf")) == SILENT_DB


def test_a_pace_sends_at_once_and_then_the_last_state() -> None:
    async def ride() -> list[int]:
        sent: list[int] = []
        state = 0
        pace: Pace[str] = Pace(lambda name: sent.append(state), 0.05)
        for state in range(10):  # noqa: B007
            pace.want("fader")
        assert sent == [0], "the first at once"
        while len(sent) < 2:
            await asyncio.sleep(0.01)
        pace.want("fader")
        pace.close()
        await asyncio.sleep(0.1)
        return sent

    assert asyncio.run(ride()) == [0, 9]


class Wire:
    """A socket where Ardour's would be, which answers as it is told, and a link to it."""

    def __init__(self) -> None:
        self.end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.end.bind(("127.0.0.1", 0))
        self.end.setblocking(False)
        self.desk, self.lines = Desk(), list[str]()
        self.request = ArdourRequest("127.0.0.1", self.end.getsockname()[1])
        self.link = ArdourLink(self.desk, self.request, self.lines.append)
        self.ours: tuple[str, int] = ("", 0)

    async def meet(self) -> None:
        """Start the link and learn its address."""
        await self.link.start()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            packet, self.ours = await loop.sock_recvfrom(self.end, 65536)
        assert packet.startswith(b"/set_surface\0")

    def say(self, address: str, types: str, *arguments: object) -> None:
        """Send what Ardour would."""
        self.end.sendto(encode(address, types, arguments), self.ours)

    def list(self, *names: str) -> None:
        """Send what Ardour answers when it is asked for its strips."""
        for number, name in enumerate(names, start=1):
            self.say("/reply", "ssiiiiii", "AT", name, 2, 2, 0, 0, number, 0)
        self.say("/reply", "siii", "end_route_list", 48000, 0, 0)

    def report(self, *names: str) -> None:
        """Send what Ardour reports of its strips when it begins to, or when they are others."""
        for number, name in enumerate(names, start=1):
            self.say("/strip/name", "is", number, name)
            self.say("/strip/gain", "if", number, -10.0 * number)
        self.say("/strip/list", "")

    def introduce(self, *names: str) -> None:
        """Send all that it takes to make the link."""
        self.list(*names)
        self.list(*names)
        self.report(*names)

    async def until(self, there: object, what: str) -> None:
        """Wait until something holds; fail where it never does."""
        assert callable(there)
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not there():
            assert asyncio.get_running_loop().time() < end, what
            await asyncio.sleep(0.01)


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    """A link that has called, until the block ends."""
    one = Wire()
    try:
        await one.meet()
        yield one
    finally:
        await one.link.close()
        await one.link.close()
        one.end.close()


def test_nothing_that_answers_is_told_once_and_waited_for() -> None:
    async def ride() -> None:
        async with wire() as one:
            await one.until(lambda: one.lines, "the silence is told")
            one.introduce("vocals")
            await one.until(lambda: one.link.ties, "the link is made when there is an answer")
            assert one.desk.values[GAIN] == -10.0
            assert len(one.lines) == 2
            assert "must answer, got nothing yet" in one.lines[0]
            assert one.lines[1].endswith(
                "is linked: vocals to its strip 'vocals'; no strip for drums, bass, other"
            )

    asyncio.run(ride())


def test_a_host_that_is_unknown_is_refused_in_one_sentence() -> None:
    async def ride() -> None:
        await ArdourLink(Desk(), ArdourRequest("no.such.host.invalid"), print).start()

    with pytest.raises(
        DeviceError, match=r"^the host of Ardour must be in reach, got no\.such\.host\.invalid"
    ):
        asyncio.run(ride())


def test_a_session_that_still_loads_is_waited_for() -> None:
    async def ride() -> None:
        async with wire() as one:
            loop = asyncio.get_running_loop()

            async def heard() -> bytes:
                packet = await asyncio.wait_for(loop.sock_recv(one.end, 65536), PATIENCE_SECONDS)
                return packet.split(b"\0")[0]

            async def asked_again() -> list[bytes]:
                names = [await heard()]
                while names[-1] != b"/strip/list":
                    names.append(await heard())
                return names

            await asked_again()
            for names in ((), (), ("vocals",), ("vocals", "drums")):
                one.list(*names)
                assert await asked_again() == [b"/set_surface", b"/strip/list"], "asked for no reports yet"
            one.list("vocals", "drums")
            assert await heard() == b"/set_surface/feedback"
            assert any("has no tracks or buses yet" in line for line in one.lines)

    asyncio.run(ride())


def test_others_than_ardour_are_not_heard() -> None:
    async def ride() -> None:
        async with wire() as one:
            one.introduce("vocals", "drums")
            await one.until(lambda: one.link.ties, "the link is made")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(encode("/strip/gain", "if", (1, -3.0)), one.ours)
            one.say("/strip/gain", "if", 2, -4.0)
            await one.until(lambda: one.desk.values[Key("drums", None, "gain_db")] == -4.0, "Ardour is heard")
            assert one.desk.values[GAIN] == -10.0

    asyncio.run(ride())


def test_a_late_echo_does_not_move_a_stem_back() -> None:
    async def ride() -> None:
        async with wire() as one:
            one.introduce("vocals")
            await one.until(lambda: one.link.ties, "the link is made")
            loop = asyncio.get_running_loop()
            sent: list[bytes] = []
            for gain_db in (-1.0, -2.0, -3.0):
                one.desk.move([(GAIN, gain_db)])
                while not any(encode("/strip/gain", "if", (1, gain_db)) == packet for packet in sent):
                    sent.append(await asyncio.wait_for(loop.sock_recv(one.end, 65536), PATIENCE_SECONDS))
            for gain_db in (-1.0, -2.0, -3.0):
                one.say("/strip/gain", "if", 1, gain_db)
                await asyncio.sleep(2 * link._HOLD_SECONDS)
            one.say("/strip/pan_stereo_position", "if", 1, 0.0)  # Ardour's hard right
            await one.until(
                lambda: one.desk.values[Key("vocals", None, "pan")] == 1.0, "what follows is heard"
            )
            gains = [moves[0][1] for moves, _ in one.desk.log if moves[0][0] == GAIN]
            assert gains == [-10.0, -1.0, -2.0, -3.0]

    asyncio.run(ride())


def test_wild_packets_do_no_harm() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    true = [
        encode("/strip/gain", "if", (1, -3.0)),
        encode("/strip/name", "is", (1, "vocals")),
        encode("/reply", "ssiiiiii", ("AT", "vocals", 2, 2, 0, 0, 1, 0)),
        encode("/reply", "siii", ("end_route_list", 48000, 0, 0)),
        encode("/strip/list", "", ()),
        encode("/strip/mute", "if", (3, 1.0)),
        encode("/heartbeat", "f", (1.0,)),
    ]
    odd = [
        encode("/strip/gain", "if", (1, float("nan"))),
        b"/strip/gain\0,if\0" + (1).to_bytes(4, "big") + b"\x7f\x80\0\0",  # plus infinity
        encode("/strip/gain", "is", (1, " ")),
        encode("/strip/gain", "ii", (1, 0)),
        encode("/strip/mute", "i", (1,)),
        encode("/strip/name", "is", (-5, "drums")),
        encode("/strip/gain", "if", (-5, 3.0)),
        encode("/strip/gain", "if", (10**6, 3.0)),
        encode("/reply", "ssiiiiss", ("AT", "vocals", 2, 2, 0, 0, "x", "y")),
        encode("/reply", "s", ("end_route_list",)),
        encode("/strip/list", "i", (1,)),
        b"",
        b"#reply\0\0,s\0\0x\0\0\0",
        b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xff",
    ]

    def spoilt() -> bytes:
        packet = bytearray(chance.choice(true))
        for _ in range(chance.randrange(1, 5)):
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        return bytes(packet[: chance.randrange(len(packet) + 1)] if chance.random() < 0.4 else packet)

    async def ride() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        async with wire() as one:
            one.introduce(*SOURCES)
            await one.until(lambda: one.link.ties, "the link is made")
            for count in range(10000):
                one.end.sendto(chance.choice(odd) if count % 50 == 0 else spoilt(), one.ours)
                if count % 20 == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            one.report(*SOURCES)
            await one.until(
                lambda: one.link.ties == {name: name for name in SOURCES}, "Ardour is heard again"
            )
            one.say("/strip/gain", "if", 1, -3.5)
            await one.until(lambda: one.desk.values[GAIN] == -3.5, "its faders are followed again")
        assert not faults

    asyncio.run(ride())
