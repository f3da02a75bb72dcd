"""`plugin-bridge midi learn` on a real JACK server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import mido
import pytest

from plugin_bridge.control.midi_map import load_map
from tests.integration.fader_box import ROOT, FaderBox
from tests.integration.jack_server import JackServer, await_that, jack_server, needs_jackd

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]


def learning(server: JackServer, data: Path, *words: str) -> subprocess.Popen[str]:
    """The command, listening."""
    command = [sys.executable, "-m", "plugin_bridge", "midi", "learn", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLUGIN_BRIDGE_DATA": str(data)}
    process = subprocess.Popen(
        [*command, "--midi-system", "jack", "--server", server.name],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("move what shall move"):
            return process
    raise AssertionError(process.communicate(timeout=20)[1])


@pytest.mark.parametrize("words", [(), ("--port", "fader")])
def test_the_next_move_is_learned(jack_server: JackServer, tmp_path: Path, words: tuple[str, ...]) -> None:
    with FaderBox(jack_server) as box:
        process = learning(jack_server, tmp_path, "/stem/vocals/fader", *words)
        box.send(b"\xf4", mido.Message("control_change", channel=2, control=11, value=3))
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        path = tmp_path / "midi" / "learned.toml"
        assert f"CC 11 on channel 3 of 'fader box:out' moves /stem/vocals/fader in {path}" in out
        assert load_map(path).system == "jack"
        (control,) = load_map(path).control
        assert (control.type, control.number, control.channel) == ("cc", 11, 3)
        assert control.port == "fader box:out"


def test_a_virtual_port_listens_where_there_is_no_device(jack_server: JackServer, tmp_path: Path) -> None:
    process = learning(jack_server, tmp_path, "/stem/1/mute")
    await_that(lambda: "plugin-bridge-midi-in:in" in jack_server.ports(), "there is a port to play to")
    with FaderBox(jack_server) as box:
        box.wire("fader box:out", "plugin-bridge-midi-in:in")
        box.send(mido.Message("note_on", note=40), mido.Message("note_off", note=40))
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "note 40 on channel 1 moves /stem/1/mute" in out


def test_ctrl_c_leaves_nothing_behind(jack_server: JackServer, tmp_path: Path) -> None:
    process = learning(jack_server, tmp_path, "/stem/1/mute")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
