"""`plugin-bridge serve` as a process of its own: how it ends, whom it leaves, what it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 90.0
FREE_PORTS = ("--osc-port", "0", "--tcp-port", "0", "--no-mdns")

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


def wait_until(done: Callable[[], bool], what: str) -> None:
    patience = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < patience, what
        time.sleep(0.01)


def state_and_parent(pid: int) -> tuple[str, int]:
    """A process's state letter and parent; "X" and 0 where there is none."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return words[0], int(words[1])


def living(pid: int) -> bool:
    return state_and_parent(pid)[0] not in "XZ"


def children_of(pid: int) -> list[int]:
    """In the order in which they were started; their numbers begin anew at some time."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted((each for each in pids if state_and_parent(each)[1] == pid), key=started)


def started(pid: int) -> int:
    """When a process was started, in ticks since the system was."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def shared_memory_of(pid: int) -> set[str]:
    """The files in shared memory that a process has mapped."""
    with contextlib.suppress(OSError):
        return set(re.findall(r"/dev/shm/psm_\w+", Path(f"/proc/{pid}/maps").read_text()))
    return set()


class Serve:
    """A running `plugin-bridge serve`, in a session of its own, as a terminal would have it."""

    def __init__(self, *options: str, stdin: int = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plugin_bridge", "serve", *FREE_PORTS, *options],
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def hear(self, sentence: str) -> str:
        """Read its output up to a line that contains a sentence."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if sentence in line:
                return line
        raise AssertionError(f"'{sentence}' was never said, but: {self.said} {self.process.stderr.read()}")  # type: ignore[union-attr]

    def tell(self, command: str) -> str:
        """Type a command and read its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.hear("{" if command == "status" else "done: " if self.valid(command) else "refused: ")

    @staticmethod
    def valid(command: str) -> bool:
        return not command.startswith("bad ")

    def family(self) -> tuple[list[int], set[str]]:
        """Its child processes and the shared memory they have mapped."""
        pids = children_of(self.process.pid)
        return pids, set().union(*(shared_memory_of(pid) for pid in pids))

    def end(self) -> tuple[int, str]:
        """Wait for its end; the exit code and what it said on stderr."""
        out, error = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.said.append(out)
        return self.process.returncode, error

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@pytest.fixture
def paced() -> Iterator[Serve]:
    serve = Serve("--audio", "paced", "--model", "bands", "--block", "512")
    yield serve
    serve.kill()


def assert_nobody_left(pids: list[int], memory: set[str]) -> None:
    wait_until(lambda: not any(living(pid) for pid in pids), f"of {pids} some live on")
    wait_until(lambda: not any(Path(path).exists() for path in memory), f"of {memory} some stays")


def as_typed(serve: Serve) -> None:
    assert serve.process.stdin is not None
    serve.process.stdin.write("quit\n")
    serve.process.stdin.flush()


ENDS: dict[str, Callable[[Serve], None]] = {
    "Ctrl-C": lambda serve: os.killpg(serve.process.pid, signal.SIGINT),
    "SIGTERM": lambda serve: os.kill(serve.process.pid, signal.SIGTERM),
    "a service manager's SIGTERM": lambda serve: os.killpg(serve.process.pid, signal.SIGTERM),
    "quit": as_typed,
}


@linux
@pytest.mark.parametrize("how", ENDS)
def test_it_ends_clean_however_it_is_ended(paced: Serve, how: str) -> None:
    paced.hear("running")
    pids, memory = paced.family()
    assert len(pids) >= 3
    assert len(memory) == 1
    ENDS[how](paced)
    assert paced.end() == (0, "")
    assert_nobody_left(pids, memory)


@linux
@pytest.mark.parametrize("children", [1, 3])
def test_ctrl_c_while_it_starts_leaves_no_trace(paced: Serve, children: int) -> None:
    wait_until(lambda: len(children_of(paced.process.pid)) >= children, "its processes")
    pids, memory = paced.family()
    os.killpg(paced.process.pid, signal.SIGINT)
    code, error = paced.end()
    assert (code, error) in [(0, ""), (130, "plugin-bridge: interrupted\n")]
    assert_nobody_left(pids, memory)


@linux
def test_if_it_is_killed_its_processes_end_and_give_the_memory_back(paced: Serve) -> None:
    paced.hear("running")
    pids, memory = paced.family()
    assert len(memory) == 1
    os.kill(paced.process.pid, signal.SIGKILL)
    assert_nobody_left(pids, memory)


@linux
def test_a_lost_worker_is_told_and_replaced(paced: Serve) -> None:
    paced.hear("running")
    audio, *_ = [pid for pid in children_of(paced.process.pid) if shared_memory_of(pid)]
    workers = [pid for pid in children_of(paced.process.pid) if shared_memory_of(pid) and pid != audio]
    os.kill(workers[-1], signal.SIGKILL)
    assert "ended with code -9" in paced.hear("worker ")
    as_typed(paced)
    code, error = paced.end()
    assert (code, error) == (0, "")


def test_it_obeys_its_standard_input(paced: Serve) -> None:
    paced.hear("running")
    assert paced.tell("gain low -3") == "done: gain low -3\n"
    assert paced.tell("mute high on") == "done: mute high on\n"
    assert paced.tell("pan master 0.5") == "done: pan master 0.5\n"
    assert paced.tell("bypass off") == "done: bypass off\n"
    status = json.loads(paced.tell("status"))
    assert status["state"] == "running"
    assert status["sample_rate"] == 44100
    assert status["actual_sample_rate"] >= 0
    for command, sentence in {
        "gain low loud": "could not convert string to float: 'loud'",
        "gain low 99": "gain_db must be between -inf and 24 dB, got 99",
        "gain vocals 0": "a strip must be one of low, mid, high, master, got 'vocals'",
        "preset none": "a preset must be a known name or a .toml file, got 'none'; known presets: "
        + ", ".join(sorted(path.stem for path in (ROOT / "presets").glob("*.toml"))),
        "preset karaoke": "strips must be among low, mid, high, got 'vocals'",
        "model band": "model must be one of the catalogue, got 'band'; did you mean 'bands'?",
        "dance": "a command must be a known one, got 'dance'; see plugin-bridge serve --help",
    }.items():
        assert paced.process.stdin is not None
        paced.process.stdin.write(command + "\n")
        paced.process.stdin.flush()
        assert paced.hear("refused: ") == f"refused: {sentence}\n"
    as_typed(paced)
    assert paced.end() == (0, "")


def test_it_obeys_osc_on_the_port_that_it_names(paced: Serve) -> None:
    line = paced.hear("OSC on 127.0.0.1: UDP port ")
    paced.hear("OSCQuery on http://127.0.0.1:")
    paced.hear("running")
    (port,) = re.findall(r"UDP port (\d+)", line)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk:
        desk.settimeout(PATIENCE_SECONDS)
        for arguments in ([-12.0], []):
            desk.sendto(build_msg("/stem/low/gain", arguments).dgram, ("127.0.0.1", int(port)))
        answers = [OscMessage(desk.recv(65536)) for _ in range(2)]
    values = [answer.params for answer in answers if answer.address == "/stem/low/gain"]
    assert [-12.0] in values, [(answer.address, answer.params) for answer in answers]
    as_typed(paced)
    assert paced.end() == (0, "")


@pytest.mark.parametrize("option", ["--osc-port", "--tcp-port"])
def test_a_port_in_use_is_one_line_and_exit_code_1_before_anything_plays(option: str, tmp_path: Path) -> None:
    kind = socket.SOCK_DGRAM if option == "--osc-port" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        target, record = tmp_path / "out.wav", tmp_path / "moves.jsonl"
        serve = Serve(
            *("--audio", "paced", "--model", "bands", "--output", str(target), option, str(port)),
            *("--record", str(record)),
            stdin=subprocess.DEVNULL,
        )
        try:
            code, error = serve.end()
        finally:
            serve.kill()
    assert code == 1
    assert error.count("\n") == 1
    assert str(port) in error
    assert "running" not in "".join(serve.said)
    assert not target.exists()
    assert not record.exists()  # or a second try would be refused for what the first one left


def test_without_osc_no_port_is_opened() -> None:
    serve = Serve("--audio", "paced", "--model", "bands", "--no-osc")
    try:
        serve.hear("running")
        as_typed(serve)
        assert serve.end() == (0, "")
    finally:
        serve.kill()
    assert "port" not in "".join(serve.said)


@pytest.mark.parametrize("stdin", ["nothing", "a file", "a closed pipe"])
def test_a_file_is_processed_whatever_the_standard_input_is(stdin: str, tmp_path: Path) -> None:
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (8000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", audio, 44100, subtype="FLOAT")
    (tmp_path / "typed").write_text("")
    options = ["--audio", "file", "--model", "bands", "--input", str(tmp_path / "in.wav")]
    with (tmp_path / "typed").open() as typed:
        given = {"nothing": subprocess.DEVNULL, "a file": typed.fileno(), "a closed pipe": subprocess.PIPE}
        serve = Serve(*options, "--output", str(tmp_path / "out.wav"), stdin=given[stdin])
        try:
            assert serve.end() == (0, "")
        finally:
            serve.kill()
    out, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert rate == 44100
    np.testing.assert_allclose(out[:, :2], audio, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--audio", "tape"], "audio must be one of jack, portaudio, paced, file, got 'tape'"),
        (
            ["--audio", "paced", "--input", "none.wav"],
            "the input must be a readable sound file, got 'none.wav'",
        ),
        (["--audio", "paced", "--model", "band"], "model must be one of the catalogue, got 'band'"),
        (
            ["--audio", "paced", "--preset", "none"],
            "a preset must be a known name or a .toml file, got 'none'",
        ),
        (["--audio", "paced", "--model", "repet"], "streaming must use a streaming separator, got 'repet'"),
        (["--audio", "paced", "--model", "bands", "--preset", "karaoke"], "got 'vocals'"),
        (["--audio", "paced", "--block", "-256"], "block must be between 16 and 8192 frames, got -256"),
        (
            ["--audio", "paced", "--sample-rate", "99999999"],
            "sample_rate must be between 1000 and 1000000 Hz",
        ),
        (["--audio", "paced", "--seconds", "-1"], "seconds must be between 0 and 1e+09, 0 for ever, got -1"),
        (["--audio", "paced", "--safety-ms", "nan"], "safety_ms must be between 0 and 60000, got nan"),
        (["--audio", "paced", "--render-root", "nowhere"], "the render root must be a folder, got 'nowhere'"),
        (["--audio", "paced", "--link", "reaper"], "a link must be ardour[:HOST:PORT], got 'reaper'"),
        (["--audio", "paced", "--midi-map", "none"], "a MIDI map must be a known name or a .toml file"),
        (["--audio", "paced", "--bind", "0.0.0.0"], "must come with the senders that are let in"),
        (
            ["--audio", "paced", "--model", "bands", "--record", "pyproject.toml"],
            "a recording must go to a new file",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(options: list[str], sentence: str) -> None:
    serve = Serve(*options, stdin=subprocess.DEVNULL)
    try:
        code, error = serve.end()
    finally:
        serve.kill()
    assert code == 2
    assert error.count("\n") == 1
    assert error.startswith("plugin-bridge: ")
    assert sentence in error
