"""A fader box for tests: a JACK client of its own that sends MIDI and keeps what it is sent.

It is another process, as a device is another machine, and since a process holds one copy of JACK's library
only, while RtMidi brings its own. There, messages come in and go out as lines of hexadecimal digits.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

import mido

from tests.integration.jack_server import JackServer

ROOT = Path(__file__).resolve().parents[2]


class FaderBox:
    """A client with a MIDI port each way, plugged in within the `with` block."""

    def __init__(self, server: JackServer, name: str = "fader box") -> None:
        self._server = server
        command = [sys.executable, "-m", "tests.integration.fader_box", server.name, name]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._heard: deque[bytes] = deque()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> FaderBox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._listener.join(20)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def send(self, *messages: Any) -> None:
        """Send messages, or bytes that are none, in order, a few in each cycle."""
        assert self._process.stdin is not None
        lines = [(each if isinstance(each, bytes) else each.bin()).hex() for each in messages]
        self._process.stdin.write("".join(f"{line}\n" for line in lines))

    def heard(self, kind: str) -> list[Any]:
        """The messages of a kind that came in so far."""
        every = [mido.Message.from_bytes(each) for each in list(self._heard)]
        return [message for message in every if message.type == kind]

    def wire(self, output: str, input_: str) -> None:
        """Connect two ports."""
        subprocess.run(["jack_connect", "-s", self._server.name, output, input_], check=True, timeout=20)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.append(bytes.fromhex(line))


def play(server: str, name: str) -> None:
    """Be the box until standard input ends."""
    import jack

    client = jack.Client(name, use_exact_name=True, no_start_server=True, servername=server)
    out, into = client.midi_outports.register("out"), client.midi_inports.register("in")
    waiting: deque[bytes] = deque()
    heard: deque[bytes] = deque()
    ending = threading.Event()

    def process(frames: int) -> None:
        out.clear_buffer()
        for _ in range(min(len(waiting), 16)):
            out.write_midi_event(0, waiting.popleft())
        heard.extend(bytes(data) for _, data in into.incoming_midi_events())

    def tell() -> None:
        while not ending.wait(0.005):
            while heard:
                print(heard.popleft().hex(), flush=True)

    client.set_process_callback(process)
    client.activate()
    teller = threading.Thread(target=tell)
    teller.start()
    print("ready", flush=True)
    for line in sys.stdin:
        waiting.append(bytes.fromhex(line))
    while waiting:
        time.sleep(0.005)
    time.sleep(4 * client.blocksize / client.samplerate)  # until what went out last is through the server
    ending.set()
    teller.join()
    client.deactivate()
    client.close()


if __name__ == "__main__":
    play(*sys.argv[1:])
