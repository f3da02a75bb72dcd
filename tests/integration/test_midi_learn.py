"""`plugin-bridge midi learn` on a real JACK server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mido
import pytest

from plugin_bridge.control.midi_map import load_map
from tests.integration.fader_box import ROOT, FaderBox
from tests.integration.jack_server import JackServer, await_that, jack_server, needs_jackd

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]


@contextmanager
def learning(server: JackServer, data: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, listening; ended at the end, whatever happened."""
    command = [sys.executable, "-m", "plugin_bridge", "midi", "learn", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLUGIN_BRIDGE_DATA": str(data)}
    process = subprocess.Popen(
        [*command, "--midi-system", "jack", "--server", server.name],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            if not any(line.startswith("move what shall move") for line in process.stdout):
                raise AssertionError(process.communicate(timeout=20)[1])
            yield process
        finally:
            process.kill()


def move_until_learned(box: FaderBox, process: subprocess.Popen[str], *messages: Any) -> str:
    """What the command says at its end. A hand moves on, as JACK may skip a client's turn."""

    def ended() -> bool:
        box.send(*messages)
        return process.poll() is not None

    await_that(ended, "what is moved is learned")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("words", [(), ("--port", "fader")])
def test_the_next_move_is_learned(jack_server: JackServer, tmp_path: Path, words: tuple[str, ...]) -> None:
    with (
        FaderBox(jack_server) as box,
        learning(jack_server, tmp_path, "/stem/vocals/fader", *words) as process,
    ):
        change = mido.Message("control_change", channel=2, control=11, value=3)
        out = move_until_learned(box, process, b"\xf4", change)
        path = tmp_path / "midi" / "learned.toml"
        assert f"CC 11 on channel 3 of 'fader box:out' moves /stem/vocals/fader in {path}" in out
        assert load_map(path).system == "jack"
        (control,) = load_map(path).control
        assert (control.type, control.number, control.channel) == ("cc", 11, 3)
        assert control.port == "fader box:out"


def test_a_virtual_port_listens_where_there_is_no_device(jack_server: JackServer, tmp_path: Path) -> None:
    with learning(jack_server, tmp_path, "/stem/1/mute") as process:
        await_that(lambda: "plugin-bridge-midi-in:in" in jack_server.ports(), "there is a port to play to")
        with FaderBox(jack_server) as box:
            box.wire("fader box:out", "plugin-bridge-midi-in:in")
            press = mido.Message("note_on", note=40), mido.Message("note_off", note=40)
            out = move_until_learned(box, process, *press)
            assert "note 40 on channel 1 moves /stem/1/mute" in out


def test_ctrl_c_leaves_nothing_behind(jack_server: JackServer, tmp_path: Path) -> None:
    with learning(jack_server, tmp_path, "/stem/1/mute") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
