"""MIDI ports where there is no MIDI: what is missing is said in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from plugin_bridge.control.midi_lines import Lines
from plugin_bridge.control.midi_system import MidiSystem, matching_port
from plugin_bridge.errors import DeviceError

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
