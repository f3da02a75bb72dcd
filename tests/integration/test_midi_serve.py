"""`plugin-bridge serve` under a fader box on a real JACK server: its sound follows, and the box shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mido
import pytest

from tests.integration.fader_box import ROOT, FaderBox
from tests.integration.jack_server import JackServer, await_that, jack_server, needs_jackd

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]

MAP = """
system = "jack"
port = "fader box"
control = [
    { type = "pitchbend", channel = 1, target = "/stem/low/fader", feedback = true },
    { type = "note", number = 16, target = "/stem/mid/mute", feedback = true },
    { type = "note", number = 17, target = "/stem/drums/mute", feedback = true },
    { type = "program", target = "/preset/load" },
]
"""


class Serve:
    """A running server with noise for input; its commands are lines."""

    def __init__(self, server: JackServer, map_file: Path, data: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLUGIN_BRIDGE_DATA": str(data)}
        options = ["--audio", "paced", "--model", "bands", "--no-osc", "--no-mdns"]
        midi = ["--midi-map", str(map_file), "--server", server.name]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plugin_bridge", "serve", *options, *midi],
            cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.said: list[str] = []

    def hear(self, words: str) -> str:
        """The next line with these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"no line with '{words}' in {self.said}")

    def level(self, row: str) -> float:
        """The louder peak of a stem in dBFS, just now."""
        assert self.process.stdin is not None
        self.process.stdin.write("status\n")
        self.process.stdin.flush()
        return float(max(json.loads(self.hear('"meters_dbfs"'))["meters_dbfs"][row]))


@contextmanager
def serving(server: JackServer, tmp_path: Path) -> Iterator[Serve]:
    """A server under a box, until the block ends."""
    (tmp_path / "box.toml").write_text(MAP)
    serve = Serve(server, tmp_path / "box.toml", tmp_path)
    try:
        yield serve
    finally:
        serve.process.terminate()
        serve.process.communicate(timeout=60)


def test_the_sound_follows_the_box_and_the_box_is_shown_the_board(
    jack_server: JackServer, tmp_path: Path
) -> None:
    with FaderBox(jack_server) as box, serving(jack_server, tmp_path) as serve:
        serve.hear("targets that this board lacks")
        assert "/stem/drums/mute" in serve.said[-1]
        assert "/stem/mid/mute" not in serve.said[-1]
        await_that(lambda: faders(box), "the fader is put where it belongs", 60.0)
        assert faders(box)[0] == round(0.75 * 16383) - 8192
        await_that(lambda: serve.level("low") > -60, "noise is heard", 60.0)
        box.send(mido.Message("pitchwheel", pitch=-8192), mido.Message("note_on", note=16))
        await_that(lambda: serve.level("low") < -100, "the low band is silent", 60.0)
        await_that(lambda: serve.level("mid") < -100, "the middle band is silent", 60.0)
        assert serve.level("high") > -60
        await_that(lambda: (16, 127) in lamps(box), "the lamp is lit")
        box.send(mido.Message("pitchwheel", pitch=8191))
        await_that(lambda: serve.level("low") > -60, "the low band is back", 60.0)


def faders(box: FaderBox) -> list[int]:
    return [message.pitch for message in box.heard("pitchwheel")]


def lamps(box: FaderBox) -> list[tuple[int, int]]:
    return [(message.note, message.velocity) for message in box.heard("note_on")]
