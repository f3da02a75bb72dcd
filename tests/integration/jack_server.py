"""A JACK server of our own for tests: a dummy device under a name nobody else has."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

needs_jackd = pytest.mark.skipif(
    not shutil.which("jackd") or not shutil.which("jack_lsp") or not importlib.util.find_spec("jack"),
    reason="jackd or JACK-Client is not installed (apt install jackd2; pip install JACK-Client)",
)

_PATIENCE_SECONDS = 20.0


class JackServer:
    """`jackd` with the dummy driver, in a process that ends with the `with` block.

    It runs in synchronous mode with a long patience: on a busy machine a cycle takes longer, but no client
    ever misses one, so that what tests compare is exact.
    """

    def __init__(self, sample_rate: int = 44100, block: int = 256, outputs: int = 2) -> None:
        self.name = f"plugin-bridge-{uuid.uuid4().hex[:12]}"
        self.sample_rate, self.block, self.outputs = sample_rate, block, outputs
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def start(self) -> None:
        """Start the server and wait until it answers."""
        flags = ["-n", self.name, "-r", "-S", "-t", "10000", "-p", "256"]  # fewer ports take less memory
        device = ["-d", "dummy", "-r", str(self.sample_rate), "-p", str(self.block)]
        device += ["-C", "2", "-P", str(self.outputs)]
        self._killed = False
        # However we end, the server ends too.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*guard, "jackd", *flags, *device], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await_that(lambda: "system:playback_2" in self.ports(), "the JACK server answers")

    def ports(self, *options: str) -> list[str]:
        """The lines of `jack_lsp`."""
        command = ["jack_lsp", "-s", self.name, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
        return done.stdout.splitlines() if done.returncode == 0 else []

    def end(self, kill: bool = False) -> None:
        """End the server: asked to, or killed."""
        if self._process is None:
            return
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(_PATIENCE_SECONDS)
        self._process, self._killed = None, kill
        for left in Path("/dev/shm").glob(f"*{self.name}*"):
            with contextlib.suppress(FileNotFoundError):
                left.unlink()

    def stall(self, seconds: float) -> None:
        """Let the server hang, which its device notices."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> JackServer:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A killed server stays in JACK's list, which has room for eight, until one of its name ends well.
        if self._killed:
            self.start()
        self.end()


@pytest.fixture
def jack_server() -> Iterator[JackServer]:
    """A private server at 44100 Hz and 256 frames."""
    with JackServer() as server:
        yield server


def await_that(condition: object, what: str, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until a condition holds; fail, saying what did not happen, when it never does."""
    assert callable(condition)
    end = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < end, f"within {patience_seconds:g} s: {what}"
        time.sleep(0.02)
