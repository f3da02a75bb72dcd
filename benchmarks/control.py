"""OSC on a running engine: from a command to its sound, and a flood of commands for a minute."""

from __future__ import annotations

import multiprocessing
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pythonosc.osc_message_builder import build_msg

from benchmarks._served import Asker, served
from benchmarks.tables import Table, machine
from tests.integration.jack_server import JackServer, await_that

name = "control"

COMMANDS = 300
A_SECOND = 5000
FLOOD_SECONDS = 60.0
PINGS_EACH_SECONDS = 0.02
LEVEL = 0.25


class Ear:
    """A JACK client that plays a constant and notes the level of main at the start of each frame."""

    def __init__(self, server: JackServer, seconds: float) -> None:
        import jack

        self.jack = jack.Client("ear", no_start_server=True, servername=server.name)
        self._out = [self.jack.outports.register(f"out_{side}") for side in "LR"]
        self._in = self.jack.inports.register("in")
        self.heard = np.zeros(round(seconds * server.sample_rate), np.float32)
        self.begun: int | None = None
        self.level = 0.0
        self.jack.set_process_callback(self._process)

    def _process(self, frames: int) -> None:
        for port in self._out:
            port.get_array().fill(LEVEL)
        now = self.jack.last_frame_time
        if self.begun is None:
            self.begun = now
        at = now - self.begun
        part = self.heard[at : at + frames]
        part[:] = self._in.get_array()[: len(part)]
        self.level = float(self._in.get_array()[-1])


def _gain_db(number: int) -> float:
    """What a command asks for."""
    return -6.0 if number % 2 else 0.0


def _level(number: int) -> float:
    """What is heard after a command."""
    return float(LEVEL * 10 ** (_gain_db(number) / 20))


def delays_ms() -> tuple[NDArray[np.float64], float]:
    """From starting `oscsend` to the first changed frame, each in ms; and the engine's latency in ms."""
    pause = np.random.default_rng(0).uniform(0.02, 0.06, COMMANDS)
    with JackServer(48000, 256) as server, served("--audio", "jack", "--server", server.name) as serve:
        ear = Ear(server, COMMANDS + 60.0)
        with ear.jack:
            await_that(lambda: "plugin-bridge:in_L" in server.ports(), "the processor's ports are there")
            await_that(lambda: ear.begun is not None, "our own client runs")
            time.sleep(1.0)
            for side in "LR":
                ear.jack.connect(f"ear:out_{side}", f"plugin-bridge:in_{side}")
            ear.jack.connect("plugin-bridge:main_L", "ear:in")
            time.sleep(2.0)
            sent = []
            for number, seconds in enumerate(pause):
                sent.append(ear.jack.frame_time)
                command = ["oscsend", "127.0.0.1", str(serve.port), "/stem/low/gain", "f"]
                subprocess.run([*command, str(_gain_db(number))], check=True)
                wanted = _level(number)
                await_that(lambda wanted=wanted: abs(ear.level - wanted) < 1e-4, "the command is heard")
                time.sleep(seconds)
        heard, begun = ear.heard, ear.begun or 0
    delays = []
    for number, frame in enumerate(sent[1:], start=1):
        start = frame - begun
        after = heard[start : start + server.sample_rate]
        # Frames that a late ear did not hear are left at zero.
        moved = (after != 0) & (np.abs(after - _level(number - 1)) > 1e-3 * LEVEL)
        if moved.any():
            delays.append(1000 * int(np.argmax(moved)) / server.sample_rate)
    if len(delays) < 0.99 * (COMMANDS - 1):
        raise RuntimeError(f"every command must be heard, got {len(delays)} of {COMMANDS - 1}")
    return np.array(delays), 1000 * serve.latency / server.sample_rate


def flood(port: int, seconds: float) -> None:
    """Send gains at a steady pace, from a process of its own."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packets = [build_msg("/stem/low/gain", [-0.01 * number]).dgram for number in range(1000)]
    begun, sent = time.perf_counter(), 0
    while sent < seconds * A_SECOND:
        due = min(int(seconds * A_SECOND), int((time.perf_counter() - begun) * A_SECOND))
        for number in range(sent, due):
            out.sendto(packets[number % 1000], ("127.0.0.1", port))
        sent = due
        time.sleep(0.002)


@dataclass(frozen=True)
class Flooded:
    """What came of a flood."""

    lost: int
    own_misses: int
    replies_ms: NDArray[np.float64]
    filled_mib: float
    """What the control process grew in the first three quarters, in which its bounded logs fill."""
    grown_mib: float
    """What it grew in the last one."""


def flooded() -> Flooded:
    """A minute of commands at full pace, with a question every 20 ms between."""
    with served("--audio", "paced", "--block", "256") as serve:
        asker = Asker(serve.port)
        time.sleep(2.0)
        taken, idle = int(str(asker.ask("/traffic")[0][0])), serve.memory_mib()
        sender = multiprocessing.get_context("spawn").Process(target=flood, args=(serve.port, FLOOD_SECONDS))
        sender.start()
        replies, begun, asked, grown_from = [], time.monotonic(), 1, 0.0
        while sender.is_alive():
            replies.append(1000 * asker.ask("/sync", asked, answer="/synced")[1])
            asked += 1
            if not grown_from and time.monotonic() - begun > 0.75 * FLOOD_SECONDS:
                grown_from = serve.memory_mib()
            time.sleep(PINGS_EACH_SECONDS)
        sender.join()
        grown = serve.memory_mib() - grown_from
        lost = taken + asked + round(FLOOD_SECONDS * A_SECOND) - int(str(asker.ask("/traffic")[0][0]))
        asker.close()
    return Flooded(lost, serve.own_misses, np.array(replies), grown_from - idle, grown)


def run() -> Table:
    """Both measurements."""
    if not shutil.which("oscsend") or not shutil.which("jackd"):
        raise RuntimeError(
            "this benchmark must have oscsend and jackd, got none; install liblo-tools, jackd2"
        )
    delays, latency = delays_ms()
    minute = flooded()
    p50, p99 = np.percentile(delays, [50, 99])
    reply50, reply99 = np.percentile(minute.replies_ms, [50, 99])
    return Table(
        title="OSC on a running engine, model `bands`",
        columns=("what", "figure"),
        rows=(
            ("from `oscsend` to its sound, p50", f"{p50:.1f} ms (engine's latency: {latency:.1f} ms)"),
            ("from `oscsend` to its sound, p99", f"{p99:.1f} ms"),
            (f"messages lost of {A_SECOND} a second for {FLOOD_SECONDS:g} s", str(minute.lost)),
            ("own misses meanwhile", str(minute.own_misses)),
            ("answer to a question meanwhile, p50 / p99", f"{reply50:.1f} / {reply99:.1f} ms"),
            (
                "memory of the control process, to second 45 (bounded logs fill)",
                f"{minute.filled_mib:+.1f} MiB",
            ),
            ("memory of the control process, from then on", f"{minute.grown_mib:+.1f} MiB"),
        ),
        note=f"{COMMANDS} commands through a JACK server with its dummy device (48 kHz, 256 frames), from "
        "the start of the `oscsend` program to the first frame of main that differs; a move takes 20 ms from "
        "there. The flood: one sender of gains over loopback, paced driver, blocks of 256. "
        f"{machine('python-osc', 'numpy')}",
    )
