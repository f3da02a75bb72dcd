"""A real Ardour, without a display, whose strips and our stems move each other over OSC."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.ardour_link import ArdourLink, ArdourRequest
from plugin_bridge.control.ardour_link.strips import HIGHEST_DB
from tests.control_desk import Desk
from tests.integration import ardour_session
from tests.integration.ardour_session import Ardour

RATE = 44100
NAMED = ("Guitar", "Vocals", "drums", "BASS", "other")  # in Ardour; the first is no stem's
NUMBERED = ("Audio 1", "Audio 2", "Audio 3", "Audio 4", "Audio 5")
PATIENCE_SECONDS = 30.0

# Ardour's console runs control surfaces as its windows do, where the settings enable them.
_CONFIG_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour>
  <Config><Option name="osc-port" value="{port}"/></Config>
  <ControlProtocols><Protocol name="Open Sound Control (OSC)" active="1"/></ControlProtocols>
</Ardour>
"""
_CONTROLS = {"gain_db": "gain", "pan": "pan_azimuth", "mute": "mute", "solo": "solo"}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not ardour_session.console(), reason="Ardour 7 or later is not installed (apt install ardour)"
    ),
]


class _Ardour(Ardour):
    """One that can crash."""

    def kill(self) -> None:
        """End without a word."""
        self._process.kill()
        self.__exit__(None, None, None)


class Session:
    """A session that Ardour has open, on no sound card; `hand` moves its strips as the engineer does.

    The last of its strips is a bus, the others are tracks.
    """

    def __init__(self, home: Path, strips: tuple[str, ...], port: int) -> None:
        self.folder, self.port = home / "song", port
        for version in (7, 8, 9):
            settings = home / f".config/ardour{version}"
            settings.mkdir(parents=True)
            (settings / "config").write_text(_CONFIG_XML.format(port=port))
        self._home = home
        *tracks, bus = strips
        with Ardour(home) as ardour:
            ardour.create(self.folder, RATE, tuple(tracks))
            ardour.load(self.folder)
            order = "ARDOUR.PresentationInfo.Flag.AudioBus, ARDOUR.PresentationInfo.max_order"
            ardour.run(f'Session:new_audio_route(2, 2, nil, 1, "{bus}", {order})')
            ardour.save()
        self._ardour: _Ardour | None = None

    def open(self) -> None:
        """Start Ardour with the session."""
        self._ardour = _Ardour(self._home)
        self._ardour.load(self.folder)

    def leave(self) -> None:
        """End Ardour in good order."""
        if self._ardour is not None:
            self._ardour.__exit__(None, None, None)
            self._ardour = None

    def kill(self) -> None:
        """End Ardour as a crash does."""
        assert self._ardour is not None
        self._ardour.kill()
        self._ardour = None

    async def lua(self, line: str) -> str:
        """Run a line of Lua while our own loop goes on."""
        assert self._ardour is not None
        return await asyncio.to_thread(self._ardour.run, line)

    async def hand(self, strip: str, parameter: str, value: Value) -> None:
        """Move one control of a strip in Ardour, given as we count: dB, -1 to 1, on or off."""
        number = float(value)
        if parameter == "gain_db":
            number = 10.0 ** (number / 20.0)
        elif parameter == "pan":
            number = (number + 1.0) / 2.0  # inside, Ardour counts from the left
        control = f'Session:route_by_name("{strip}"):{_CONTROLS[parameter]}_control()'
        await self.lua(f"Session:set_control({control}, {number!r}, PBD.GroupControlDisposition.NoGroup)")

    async def value(self, strip: str, parameter: str) -> float:
        """Where a control of a strip stands in Ardour, as we count."""
        control = f'Session:route_by_name("{strip}"):{_CONTROLS[parameter]}_control()'
        number = float(await self.lua(f"return {control}:get_value()"))
        if parameter == "gain_db":
            return 20.0 * math.log10(number) if number else -math.inf
        return number * 2.0 - 1.0 if parameter == "pan" else number


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


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


def close(one: Value, other: Value) -> bool:
    """Whether two values differ by no more than Ardour's 32-bit floats do."""
    return float(one) == float(other) or abs(float(one) - float(other)) < 2e-4


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; fail, saying what did not happen, when it never does."""
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < end, f"within {PATIENCE_SECONDS:g} s: {what}"
        await asyncio.sleep(0.02)


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
            transport.sendto(_set_surface(), ("127.0.0.1", open_session.port))
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


def _set_surface() -> bytes:
    numbers = (0, 5, 1 + 2 + 16384, 0, 0, 0, 0)
    return b"/set_surface\0\0\0\0,iiiiiii\0\0\0\0" + b"".join(n.to_bytes(4, "big") for n in numbers)


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
