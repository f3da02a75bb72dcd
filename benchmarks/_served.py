"""A running `plugin-bridge serve`, and somebody who asks it over OSC."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg


@dataclass
class Serve:
    """A running `plugin-bridge serve` and its OSC port."""

    process: subprocess.Popen[str]
    port: int
    """UDP."""
    http_port: int
    latency: int
    own_misses: int = -1
    """Known when it has ended, as are the lines of its log."""
    log_lines: int = -1

    def memory_mib(self) -> float:
        """Resident memory of the control process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the server must run, got no process; see its output")


@contextlib.contextmanager
def served(*options: str) -> Iterator[Serve]:
    """`plugin-bridge serve` over `bands`, on ports of its own."""
    command = [sys.executable, "-m", "plugin_bridge", "serve", "--model", "bands", "--no-mdns"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [*command, "--osc-port", "0", "--tcp-port", "0", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        serve = _introduced(process)
        try:
            yield serve
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=30)
            log.seek(0)
            serve.log_lines = len(log.readlines())
            serve.own_misses = int(re.findall(r"own misses (\d+)", said)[-1])


def _introduced(process: subprocess.Popen[str]) -> Serve:
    """What a server says of itself when it starts."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "OSCQuery on" in line:
            break
    found = [
        re.search(pattern, said)
        for pattern in (r"UDP port (\d+)", r"OSCQuery on http://[^:]+:(\d+)", r"total: (\d+) frames")
    ]
    if not all(found):
        raise RuntimeError(f"the server must start and say where it listens, got: {said}")
    return Serve(process, *(int(each[1]) for each in found if each))


class Asker:
    """A socket that asks and waits for the answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))

    def ask(self, address: str, *arguments: object, answer: str = "") -> tuple[list[object], float]:
        """The answer, and how long it took in seconds."""
        sent = time.perf_counter()
        self._socket.send(build_msg(address, list(arguments)).dgram)
        while select.select([self._socket], [], [], 10.0)[0]:
            message = OscMessage(self._socket.recv(65536))
            if message.address == (answer or address):
                return list(message.params), time.perf_counter() - sent
        raise RuntimeError(f"{address} must be answered within 10 s, got nothing")

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
