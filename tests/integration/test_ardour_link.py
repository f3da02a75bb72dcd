"""A real Ardour, without a display, whose strips and our stems move each other over OSC."""

from __future__ import annotations

import asyncio
import math
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.ardour_link import ArdourLink, ArdourRequest
from plugin_bridge.control.ardour_link.strips import HIGHEST_DB
from plugin_bridge.control.osc.codec import decode, encode
from tests.control_desk import Desk
from tests.integration import ardour_session
from tests.integration.ardour_hands import Session, close, free_port, until
from tests.test_serve_cli import Serve

NAMED = ("Guitar", "Vocals", "drums", "BASS", "other")  # in Ardour; the first is no stem's
NUMBERED = ("Audio 1", "Audio 2", "Audio 3", "Audio 4", "Audio 5")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not ardour_session.console(), reason="Ardour 7 or later is not installed (apt install ardour)"
    ),
]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session some of whose strips are named as the stems, in another order and in capitals or not."""
    session = Session(tmp_path_factory.mktemp("named"), NAMED, free_port())
    yield session
    session.leave()


class Linked:
    """A desk tied to a session, and what the link had to say."""

    def __init__(self, session: Session) -> None:
        self.session, self.desk, self.lines = session, Desk(), list[str]()
        self.link = ArdourLink(self.desk, ArdourRequest("127.0.0.1", session.port), self.lines.append)

    async def until_linked(self) -> None:
        """Wait until strips are tied and their values have been taken over."""
        await until(lambda: bool(self.link.ties), "Ardour answers")

    async def until_here(self, stem: str, parameter: str, value: Value) -> None:
        """Wait until a stem stands at a value."""
        key = Key(stem, None, parameter)
        await until(lambda: close(self.desk.values[key], value), f"{stem}'s {parameter} becomes {value}")

    async def until_there(self, strip: str, parameter: str, value: Value) -> None:
        """Wait until a strip in Ardour stands at a value."""

        async def there() -> bool:
            return close(await self.session.value(strip, parameter), value)

        await until(there, f"the strip {strip}'s {parameter} becomes {value}")

    def move(self, stem: str, parameter: str, value: Value) -> None:
        """Move a stem, as any other control does."""
        self.desk.move([(Key(stem, None, parameter), value)])


@asynccontextmanager
async def linked(session: Session) -> AsyncIterator[Linked]:
    """A desk linked to an open session, until the block ends."""
    one = Linked(session)
    await one.link.start()
    try:
        await one.until_linked()
        yield one
    finally:
        await one.link.close()


@pytest.fixture
def open_session(named: Session) -> Iterator[Session]:
    """The session, open in Ardour as it was saved."""
    named.open()
    yield named
    named.leave()


MOVES: list[tuple[str, Value]] = [
    ("gain_db", -6.5),
    ("gain_db", 3.25),
    ("gain_db", -72.0),
    ("gain_db", -math.inf),
    ("gain_db", 0.0),
    ("pan", -1.0),
    ("pan", 0.4),
    ("mute", True),
    ("mute", False),
    ("solo", True),
    ("solo", False),
]


def test_stems_follow_the_hands_on_ardours_strips(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            assert one.link.ties == {"vocals": "Vocals", "drums": "drums", "bass": "BASS", "other": "other"}
            for stem, strip in one.link.ties.items():
                for parameter, value in MOVES:
                    await open_session.hand(strip, parameter, value)
                    await one.until_here(stem, parameter, value)

    asyncio.run(ride())


def test_ardours_strips_follow_the_stems(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            for stem, strip in one.link.ties.items():
                for parameter, value in MOVES:
                    one.move(stem, parameter, value)
                    await one.until_there(strip, parameter, value)
            assert all(len(moves) == 1 for moves, _ in one.desk.log), "the link moved nothing back"
            assert len(one.desk.log) == len(MOVES) * 4

    asyncio.run(ride())


def test_what_stands_in_ardour_is_taken_over_when_the_link_is_made(open_session: Session) -> None:
    async def ride() -> None:
        await open_session.hand("Vocals", "gain_db", -7.25)
        await open_session.hand("BASS", "mute", True)
        await open_session.hand("other", "pan", -0.5)
        one = Linked(open_session)
        one.move("vocals", "gain_db", 2.0)
        one.move("drums", "gain_db", -11.0)
        await one.link.start()
        try:
            await one.until_here("vocals", "gain_db", -7.25)
            await one.until_here("drums", "gain_db", 0.0)
            await one.until_here("bass", "mute", True)
            await one.until_here("other", "pan", -0.5)
        finally:
            await one.link.close()
        assert one.lines == [
            f"Ardour at 127.0.0.1:{open_session.port} is linked: vocals to its strip 'Vocals', "
            "drums to its strip 'drums', bass to its strip 'BASS', other to its strip 'other'"
        ]

    asyncio.run(ride())


def test_a_gain_beyond_ardours_faders_stays_here_and_stands_at_their_top_there(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            one.move("vocals", "gain_db", 20.0)
            await one.until_there("Vocals", "gain_db", HIGHEST_DB)
            one.move("vocals", "pan", 0.5)  # goes the same way, later
            await one.until_there("Vocals", "pan", 0.5)
            assert one.desk.values[Key("vocals", None, "gain_db")] == 20.0

    asyncio.run(ride())


def test_a_quick_ride_arrives_at_its_end_without_an_echo(open_session: Session) -> None:
    class Listener(asyncio.DatagramProtocol):
        """Another control surface, which hears all that Ardour's faders do."""

        gains = 0

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.gains += data.startswith(b"/strip/gain\0")

    async def ride() -> None:
        async with linked(open_session) as one:
            loop = asyncio.get_running_loop()
            transport, listener = await loop.create_datagram_endpoint(Listener, ("127.0.0.1", 0))
            surface = encode("/set_surface", "i", (0, 5, 1 + 2 + 16384, 0, 0, 0, 0))
            transport.sendto(surface, ("127.0.0.1", open_session.port))
            await until(lambda: listener.gains >= 2 * len(NAMED), "the other surface hears every fader")
            await asyncio.sleep(0.5)
            listener.gains, began = 0, loop.time()
            for step in range(500):
                one.move("drums", "gain_db", -step / 10.0)
                await asyncio.sleep(0.002)
            await one.until_there("drums", "gain_db", -49.9)
            await until(lambda: listener.gains > 0, "the other surface hears the ride")
            assert listener.gains <= 20.0 * (loop.time() - began) + 2.0, "20 times a second at most"
            transport.close()
            await asyncio.sleep(0.2)
            assert len(one.desk.log) == 500, "the link moved nothing back"
            assert one.desk.values[Key("drums", None, "gain_db")] == -49.9

    asyncio.run(ride())


def test_both_sides_agree_after_hands_on_both(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            for step in range(40):
                one.move("other", "gain_db", -step / 8.0)
                await open_session.hand("other", "gain_db", -30.0 - step / 8.0)
            await asyncio.sleep(0.5)
            there = await open_session.value("other", "gain_db")
            await one.until_here("other", "gain_db", there)

    asyncio.run(ride())


def test_a_preset_loaded_here_moves_ardours_strips(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            await open_session.hand("Vocals", "gain_db", -9.0)
            await one.until_here("vocals", "gain_db", -9.0)
            await one.desk.load_preset("flat")
            await one.until_there("Vocals", "gain_db", 0.0)

    asyncio.run(ride())


def test_a_strip_that_is_renamed_comes_or_moves_is_tied_by_its_new_name(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            await open_session.hand("Vocals", "gain_db", -5.0)
            await open_session.hand("Guitar", "gain_db", -15.0)
            await one.until_here("vocals", "gain_db", -5.0)

            await open_session.lua('Session:route_by_name("Vocals"):set_name("Choir")')
            await until(lambda: "vocals" not in one.link.ties, "the strip is untied")
            await open_session.hand("Choir", "gain_db", -1.0)
            await open_session.lua('Session:route_by_name("Guitar"):set_name("vocals")')
            await one.until_here("vocals", "gain_db", -15.0)

            # A strip in front of all others gives every strip another number.
            await open_session.lua(
                'Session:new_audio_track(2, 2, nil, 1, "Count", 0, ARDOUR.TrackMode.Normal, true)'
            )
            await asyncio.sleep(0.5)
            await open_session.hand("vocals", "gain_db", -2.0)
            await one.until_here("vocals", "gain_db", -2.0)
            one.move("bass", "gain_db", -4.0)
            await one.until_there("BASS", "gain_db", -4.0)
            assert one.lines[-1].endswith("vocals to its strip 'vocals', drums to its strip 'drums', "
                                          "bass to its strip 'BASS', other to its strip 'other'")  # fmt: skip

    asyncio.run(ride())


def test_a_strip_that_is_gone_is_untied_and_its_number_goes_to_the_next(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            await open_session.hand("drums", "mute", True)
            await one.until_here("drums", "mute", True)
            # Hiding takes a strip off Ardour's surfaces as removing it does, which the console cannot.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                hide = encode("/strip/hide", "i", (1 + NAMED.index("drums"), 1))
                other.sendto(hide, ("127.0.0.1", open_session.port))
            await until(lambda: "drums" not in one.link.ties, "the strip is untied")
            await open_session.hand("BASS", "gain_db", -7.0)
            await one.until_here("bass", "gain_db", -7.0)
            one.move("other", "gain_db", -9.0)
            await one.until_there("other", "gain_db", -9.0)
            assert one.desk.values[Key("drums", None, "mute")] is True, "it stays where it was"

    asyncio.run(ride())


def test_closing_the_session_leaves_the_stems_where_they_are(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            for parameter, value in (("gain_db", -3.0), ("pan", 0.5), ("mute", True), ("solo", True)):
                await open_session.hand("drums", parameter, value)
                await one.until_here("drums", parameter, value)
            before = dict(one.desk.values)
            await open_session.lua("close_session()")
            await until(lambda: not one.link.ties, "the strips are untied")
            await asyncio.sleep(0.2)
            assert one.desk.values == before

    asyncio.run(ride())


def test_an_ardour_that_went_away_is_taken_up_again(open_session: Session) -> None:
    async def ride() -> None:
        async with linked(open_session) as one:
            open_session.kill()
            await until(lambda: "has gone" in one.lines[-1], "the loss is noticed")
            one.move("vocals", "gain_db", -8.0)
            await asyncio.to_thread(open_session.open)
            await until(lambda: "is linked" in one.lines[-1], "Ardour is found again")
            await one.until_here("vocals", "gain_db", 0.0)
            await open_session.hand("Vocals", "gain_db", -2.5)
            await one.until_here("vocals", "gain_db", -2.5)
            assert len(one.lines) == 3, "linked, gone, linked"

    asyncio.run(ride())


def test_strips_of_other_names_are_tied_by_number(tmp_path: Path) -> None:
    session = Session(tmp_path, NUMBERED, free_port())
    session.open()

    async def ride() -> None:
        async with linked(session) as one:
            assert list(one.link.ties.values()) == list(NUMBERED[:4])
            await session.hand("Audio 3", "gain_db", -6.0)
            await one.until_here("bass", "gain_db", -6.0)
            one.move("other", "pan", 0.25)
            await one.until_there("Audio 4", "pan", 0.25)

    try:
        asyncio.run(ride())
    finally:
        session.leave()


class Served:
    """A running `plugin-bridge serve` that is linked to a session, moved and asked over its own OSC."""

    def __init__(self, session: Session) -> None:
        options = ("--audio", "paced", "--link", f"ardour::{session.port}")
        self.process = Serve(*options)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(1.0)

    def connect(self) -> None:
        """Read its own OSC port, and that it has found Ardour."""
        found = re.search(r"UDP port (\d+)", self.process.hear("OSC on "))
        assert found
        self._socket.connect(("127.0.0.1", int(found[1])))
        self.process.hear("is linked: vocals to its strip 'Vocals'")

    def move(self, address: str, value: float) -> None:
        """Send it a move."""
        self._socket.send(encode(address, "f", (value,)))

    def value(self, address: str) -> float:
        """Ask it where something stands."""
        self._socket.send(encode(address, "", ()))
        while True:
            for message in decode(self._socket.recv(65536), 0.0):
                if message.address == address:
                    return float(message.arguments[0])

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self._socket.close()


@pytest.fixture
def served(open_session: Session) -> Iterator[Served]:
    """The live processor, linked to the session."""
    one = Served(open_session)
    yield one
    one.end()


def test_the_live_processor_and_ardour_move_each_other(open_session: Session, served: Served) -> None:
    async def there(strip: str, parameter: str, value: float) -> None:
        async def stands() -> bool:
            return close(await open_session.value(strip, parameter), value)

        await until(stands, f"{strip}'s {parameter} becomes {value} in Ardour")

    async def here(address: str, value: float) -> None:
        await until(lambda: close(served.value(address), value), f"{address} becomes {value}")

    async def ride() -> None:
        await asyncio.to_thread(served.connect)
        await open_session.hand("Vocals", "gain_db", -6.5)
        await here("/stem/vocals/gain", -6.5)
        await open_session.hand("drums", "mute", True)
        await here("/stem/drums/mute", 1.0)
        await open_session.hand("BASS", "pan", -0.5)
        await here("/stem/bass/pan", 0.25)
        await open_session.hand("other", "solo", True)
        await here("/stem/other/solo", 1.0)
        served.move("/stem/vocals/gain", -12.0)
        await there("Vocals", "gain_db", -12.0)
        served.move("/stem/drums/mute", 0.0)
        await there("drums", "mute", 0.0)
        served.move("/stem/bass/pan", 1.0)
        await there("BASS", "pan", 1.0)
        served.move("/stem/other/solo", 0.0)
        await there("other", "solo", 0.0)
        open_session.kill()
        await asyncio.to_thread(served.process.hear, "has gone")
        await asyncio.to_thread(open_session.open)
        await asyncio.to_thread(served.process.hear, "is linked: vocals to its strip 'Vocals'")
        await here("/stem/vocals/gain", 0.0)

    asyncio.run(ride())
