"""MIDI through the ports of a real JACK server: moves come in, feedback goes out, devices come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import mido
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.commands import Rebuilt
from plugin_bridge.control.midi_ports import MidiControl, MidiRequest
from plugin_bridge.control.midi_system import MidiSystem, port_names
from plugin_bridge.errors import DeviceError
from tests.control_desk import Desk
from tests.integration.fader_box import FaderBox
from tests.integration.jack_server import JackServer, jack_server, needs_jackd

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]

VOCALS, DRUMS = Key("vocals", None, "gain_db"), Key("drums", None, "gain_db")


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail, saying what did not happen."""
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


@asynccontextmanager
async def playing(
    server: JackServer, desk: Desk, map_name: str = "default", ports: tuple[str, ...] = ("fader box",)
) -> AsyncIterator[MidiControl]:
    """A desk under MIDI hands."""
    space = AddressSpace(desk)
    control = MidiControl(desk, space, MidiRequest(map_name, ports, "jack", server.name))
    await control.start()
    try:
        yield control
    finally:
        await control.close()
        space.close()


def change(number: int, value: int) -> mido.Message:
    return mido.Message("control_change", control=number, value=value)


def fader(channel: int, pitch: int) -> mido.Message:
    return mido.Message("pitchwheel", channel=channel - 1, pitch=pitch)


def test_a_box_moves_levels_pans_switches_and_presets(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk()
        with FaderBox(jack_server) as box:
            async with playing(jack_server, desk):
                box.send(change(20, 100), change(20, 90), change(20, 64))
                await until(lambda: desk.values[VOCALS] == pytest.approx(40 * 64 / 127 - 30), "a level")
                box.send(change(29, 63), change(29, 127))
                await until(lambda: desk.values[Key("drums", None, "pan")] == 1.0, "a pan")
                box.send(mido.Message("note_on", note=38, velocity=9), mido.Message("note_off", note=38))
                await until(lambda: desk.values[Key("bass", None, "mute")] is True, "a mute")
                box.send(mido.Message("program_change", program=desk.presets().index("loud")))
                await until(lambda: desk.preset[0] == "loud", "a preset")

    asyncio.run(story())


def gain_at(pitch: int) -> object:
    """The gain in dB of a fader in its upper half."""
    return pytest.approx(40 * (pitch + 8192) / 16383 - 30)


def test_motor_faders_lamps_rings_and_names_follow(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk()
        with FaderBox(jack_server) as box:
            async with playing(jack_server, desk, "mackie-control"):
                await until(lambda: len(box.heard("pitchwheel")) >= 9, "all faders are put where they belong")
                unity = round(0.75 * 16383) - 8192
                assert {(m.channel, m.pitch) for m in box.heard("pitchwheel")} == {
                    *((channel, unity) for channel in (0, 1, 2, 3, 8)),
                    *((channel, -8192) for channel in (4, 5, 6, 7)),
                }
                shown = bytes(box.heard("sysex")[0].data[6:]).decode()
                assert shown.split() == ["vocals", "drums", "bass", "other"]
                desk.move([(DRUMS, -10.0), (Key("drums", None, "mute"), True)])
                await until(lambda: (1, round(0.5 * 16383) - 8192) in sent_faders(box), "the fader follows")
                await until(lambda: (17, 127) in lamps(box), "the lamp follows")
                box.send(change(17, 5))  # five clicks to the right
                await until(lambda: desk.values[Key("drums", None, "pan")] == pytest.approx(0.2), "a pan")
                await until(lambda: (49, 7) in rings(box), "the ring follows")

    asyncio.run(story())


def sent_faders(box: FaderBox) -> list[tuple[int, int]]:
    return [(message.channel, message.pitch) for message in box.heard("pitchwheel")]


def lamps(box: FaderBox) -> list[tuple[int, int]]:
    return [(message.note, message.velocity) for message in box.heard("note_on")]


def rings(box: FaderBox) -> list[tuple[int, int]]:
    return [(message.control, message.value) for message in box.heard("control_change")]


def test_a_fader_that_is_touched_is_left_alone_and_then_gets_the_last_value(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk()
        with FaderBox(jack_server) as box:
            async with playing(jack_server, desk, "mackie-control"):
                await until(lambda: len(box.heard("pitchwheel")) >= 9, "all faders are put where they belong")
                box.send(mido.Message("note_on", note=104, velocity=127), fader(1, 0))
                await until(lambda: desk.values[VOCALS] == pytest.approx(-10.0, abs=0.01), "it moves")
                before = len(box.heard("pitchwheel"))
                for step in range(20):
                    desk.move([(VOCALS, -float(step)), (DRUMS, -float(step))])
                    await asyncio.sleep(0.01)
                last = round((-19.0 + 50) / 80 * 16383) - 8192
                await until(lambda: (1, last) in sent_faders(box), "its neighbour follows to the end")
                assert {channel for channel, _ in sent_faders(box)[before:]} == {1}
                box.send(mido.Message("note_on", note=104, velocity=0))
                await until(lambda: (0, last) in sent_faders(box), "it follows when the hand has left")
                assert sum(channel == 0 for channel, _ in sent_faders(box)[before:]) == 1

    asyncio.run(story())


def test_a_box_that_is_unplugged_comes_back(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk()
        async with playing(jack_server, desk, "mackie-control") as control:
            assert any("waiting for it" in event for event in control.events)
            for turn, pitch in enumerate((0, 4096, 8191)):
                with FaderBox(jack_server) as box:
                    what = f"faders are put where they belong, time {turn}"
                    await until(lambda box=box: len(box.heard("pitchwheel")) >= 9, what)  # type: ignore[misc]
                    box.send(fader(1, pitch))
                    wanted = gain_at(pitch)
                    await until(lambda wanted=wanted: desk.values[VOCALS] == wanted, "it moves")  # type: ignore[misc]
                    box.send(b"\xf0\x7f")  # cut off inside a SysEx message
                await until(lambda: "is gone" in " ".join(list(control.events)[-2:]), "the loss is told")
            told = list(control.events)
            assert sum("is back" in event for event in told) == 6
            assert sum("is gone" in event for event in told) == 6

    asyncio.run(story())


@pytest.mark.parametrize("kill", [False, True])
def test_a_server_that_ends_and_comes_back(kill: bool) -> None:
    async def story(server: JackServer) -> None:
        desk = Desk()
        async with playing(server, desk, "mackie-control", ()) as control:
            assert "plugin-bridge-midi-in:in" in server.ports()
            server.end(kill=kill)
            for step in range(3000):  # would fill RtMidi's queue, which waits for ever for a dead server
                desk.move([(VOCALS, -10.0 - step % 40)])
                await asyncio.sleep(0.0005)
            await until(lambda: any("MIDI is off" in event for event in control.events), "the end is told")
            server.start()
            await until(lambda: "MIDI is on" in control.events, "the return is told")
            with FaderBox(server, "box") as box:
                box.wire("box:out", "plugin-bridge-midi-in:in")
                box.wire("plugin-bridge-midi-out:out", "box:in")
                box.send(fader(2, 0))
                await until(lambda: desk.values[DRUMS] == pytest.approx(-10.0, abs=0.01), "it moves again")
                desk.move([(VOCALS, 10.0)])
                await until(lambda: (0, 8191) in sent_faders(box), "it is shown again")

    with JackServer() as server:
        asyncio.run(story(server))


def test_a_flood_and_garbage_leave_the_last_values(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk()
        with FaderBox(jack_server) as box:
            async with playing(jack_server, desk) as control:
                box.send(change(20, 95), change(21, 95))
                for step in range(2500):
                    box.send(change(20, step % 128), change(21, 127 - step % 128))
                    if step % 10 == 0:
                        box.send(b"\xf0\x00\x01\x02\xf7", b"\xf4", b"\x95\x10", b"\xf0\x7f\xf7", b"\xb0\x14")
                box.send(change(20, 127), change(21, 0))
                await until(lambda: desk.values[VOCALS] == 10.0, "the last value of the first")
                await until(lambda: desk.values[DRUMS] == -float("inf"), "the last value of the second")
                assert control.messages >= 5004
                assert len(control.events) <= 10

    asyncio.run(story())


def test_of_the_presets_asked_for_during_a_load_only_the_last_is_loaded(jack_server: JackServer) -> None:
    async def story() -> None:
        desk = Desk(swap_seconds=0.5)
        loads: list[object] = []
        desk.watch(lambda event: loads.append(event) if isinstance(event, Rebuilt) else None)
        programs = {name: mido.Message("program_change", program=n) for n, name in enumerate(desk.presets())}
        with FaderBox(jack_server) as box:
            async with playing(jack_server, desk) as control:
                box.send(*[programs[name] for name in ["flat", *["broken", "loud"] * 20, "flat", "loud"]])
                await until(lambda: desk.preset[0] == "loud", "the last preset")
                assert len(loads) <= 2
                box.send(programs["broken"], mido.Message("program_change", program=99))
                await until(lambda: any("/preset/load" in event for event in control.events), "a refusal")
                assert desk.preset[0] == "loud"

    asyncio.run(story())


def test_without_a_server_midi_is_off_and_says_so_once() -> None:
    async def story() -> None:
        desk = Desk()
        space = AddressSpace(desk)
        control = MidiControl(desk, space, MidiRequest(system="jack", server="nobody"))
        assert control.door == "MIDI of jack on a port of our own, by the map 'default'"
        await control.start()
        await asyncio.sleep(1.5)
        await control.close()
        assert (
            sum("MIDI is off: MIDI must have a running JACK server" in event for event in control.events) == 1
        )

    asyncio.run(story())


def test_ports_are_listed(jack_server: JackServer) -> None:
    with FaderBox(jack_server):
        system = MidiSystem("jack", jack_server.name)
        assert port_names(system) == (["fader box:out"], ["fader box:in"])


def test_without_a_server_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="must have a running JACK server 'nobody', got none; start it"):
        port_names(MidiSystem("jack", "nobody"))
