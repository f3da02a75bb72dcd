"""MIDI ports where there is no MIDI: what is missing is said in one sentence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.midi_lines import Lines
from plugin_bridge.control.midi_ports import MidiControl, MidiRequest
from plugin_bridge.control.midi_system import MidiSystem, matching_port
from plugin_bridge.errors import DeviceError
from tests.control_desk import Desk

ROOT = Path(__file__).resolve().parent.parent


def test_a_missing_library_is_named_with_its_remedy() -> None:
    program = (
        "import sys\nsys.modules['rtmidi'] = None\n"
        "from plugin_bridge.cli.main import main\nsys.exit(main(['midi', 'list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == (
        "plugin-bridge: MIDI needs python-rtmidi, which is not installed; pip install 'plugin-bridge[live]'\n"
    )


@pytest.mark.parametrize("ports", [(), ("nano", "virtual")])
def test_where_there_are_no_virtual_ports_a_name_is_asked_for(ports: tuple[str, ...]) -> None:
    pytest.importorskip("rtmidi", reason="python-rtmidi is not installed (pip install plugin-bridge[live])")
    system = MidiSystem()
    system.name = "windows"  # the one system without them
    with pytest.raises(DeviceError, match="which has no virtual ports, got none; make one with loopMIDI"):
        Lines(system, ports)
    Lines(system, ("nano",)).close()


def test_a_port_is_found_by_its_whole_name_before_a_part_of_another() -> None:
    ports = ["My nano:MIDI 1 24:0", "nano:MIDI 1 20:0", "Nano 2:MIDI 1 28:0"]
    assert matching_port("nano:midi 1", ports) == "nano:MIDI 1 20:0"
    assert matching_port("NANO", ports) == "My nano:MIDI 1 24:0"
    assert matching_port("20:0", ports) is None
    assert matching_port("touch", ports) is None


def test_what_a_map_has_and_the_board_lacks_is_told_in_short() -> None:
    pytest.importorskip("rtmidi", reason="python-rtmidi is not installed (pip install plugin-bridge[live])")

    async def start() -> list[str]:
        desk = Desk()
        midi = MidiControl(desk, AddressSpace(desk), MidiRequest(system="jack", server="nobody"))
        await midi.start()
        await midi.close()
        return list(midi.events)

    told, off = asyncio.run(start())
    assert told.endswith(": /stem/5/fader, /stem/6/fader, /stem/7/fader, /stem/8/fader and 12 more")
    assert "must have a running JACK server 'nobody'" in off
