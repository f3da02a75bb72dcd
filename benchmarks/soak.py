"""The live engine under moves, preset changes, killed workers and changing blocks, for as long as asked.

`python -m benchmarks.soak --minutes 30` prints the table; with --publish it also writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._soak_tone import REPORT, run_tone
from benchmarks.tables import Table, machine, publish
from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.protocol import BoardPlan

name = "soak"

MINUTES = 30.0
RATE, BLOCK, LARGEST = 44100, 256, 1024
BLOCKS = (64, 128, 256, 441, 512, 1024)
MOVE_SECONDS, CHANGE_SECONDS, BLOCK_SECONDS = 0.01, 1.0, 5.0
KILL_SECONDS = 30.5
"""Between kills; more than three in a minute would rightly make the engine give up."""
SETTLE_SECONDS = 12.0
"""After a start or a kill, until every process is there and has built its board."""

_GAIN = {"effect": "Gain", "gain_db": -3.0}
_REVERB = {"effect": "Reverb", "room_size": 0.3, "wet_level": 0.1}
PLANS = (
    BoardPlan("bands"),
    BoardPlan("bands", {"mid": {"gain_db": -3.0}}),
    BoardPlan("bands", {"mid": {"effects": [_GAIN]}, "high": {"gain_db": -6.0, "effects": [_REVERB]}}),
    BoardPlan("bands", {"low": {"effects": [_GAIN]}}, {"gain_db": -1.0}),
)
"""Boards without a phase of their own in the tone's band."""


@dataclass
class Usage:
    """What all processes of the engine hold together."""

    kib: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Usage:
        """Measured over this process and its children's."""
        pids = [os.getpid(), *children()]
        status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return cls(
            sum(_word(text, "VmRSS") for text in status),
            sum(_word(text, "Threads") for text in status),
            sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        )


def _word(status: str, key: str) -> int:
    return int(next(line for line in status.splitlines() if line.startswith(key + ":")).split()[1])


def children() -> list[int]:
    """This process's children."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@dataclass
class Outcome:
    """What a soak has seen."""

    seconds: float = 0.0
    moves: int = 0
    changes: int = 0
    kills: int = 0
    block_changes: int = 0
    usages: list[Usage] = field(default_factory=list)
    heard: dict[str, float] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)


class Soak:
    """One run of the engine with everything that may happen to it."""

    def __init__(self, seconds: float, seed: int = 0, kill_seconds: float = KILL_SECONDS) -> None:
        self._seconds, self._random = seconds, random.Random(seed)
        self._kill_seconds = kill_seconds
        self.outcome = Outcome(seconds)

    def run(self) -> Outcome:
        """Run to the end, with every count from the start of the engine."""
        audio = AudioRequest("paced", block=BLOCK, sample_rate=RATE)
        request = EngineRequest(audio, PLANS[0], safety_ms=20.0, largest_block=LARGEST)
        self._engine = Engine(request, run_tone)
        try:
            self._live()
        finally:
            self._engine.stop()
        return self.outcome

    def _live(self) -> None:
        begin = time.monotonic()
        due = {
            self._move: begin,
            self._change: begin + CHANGE_SECONDS,
            self._change_block: begin + BLOCK_SECONDS,
            self._kill: begin + max(SETTLE_SECONDS, self._kill_seconds),
        }
        every = {
            self._move: MOVE_SECONDS,
            self._change: CHANGE_SECONDS,
            self._change_block: BLOCK_SECONDS,
            self._kill: self._kill_seconds,
        }
        last_kill = begin + self._seconds - SETTLE_SECONDS
        while (now := time.monotonic()) < begin + self._seconds:
            self._engine.tick()
            self._listen()
            for what, when in due.items():
                if now >= when and (what != self._kill or now < last_kill):
                    what()
                    due[what] = when + every[what]
            if not self.outcome.usages and now > begin + SETTLE_SECONDS and self._whole():
                self.outcome.usages.append(Usage.now())
            time.sleep(MOVE_SECONDS / 2)
        while not self._whole():
            self._engine.tick()
            time.sleep(MOVE_SECONDS)
        self.outcome.usages.append(Usage.now())
        self.outcome.status = self._engine.status()
        self._listen()

    def _whole(self) -> bool:
        """Whether every process is there and has built its board, so that usages can be compared."""
        return self._engine.status()["standby"] == "ready"

    def _listen(self) -> None:
        events = self._engine.events
        while events:
            event = events.popleft()
            if event.startswith(REPORT):
                self.outcome.heard = json.loads(event.removeprefix(REPORT))
            else:
                self.outcome.events.append(event)

    def _move(self) -> None:
        strip = self._random.choice((*self._engine.sources, "master"))
        self._engine.move([(Key(strip, None, "gain_db"), round(self._random.uniform(-5.0, 3.0), 2))])
        self.outcome.moves += 1

    def _change(self) -> None:
        self._engine.change(self._random.choice(PLANS))
        self.outcome.changes += 1

    def _change_block(self) -> None:
        self._engine.set_block(self._random.choice(BLOCKS))
        self.outcome.block_changes += 1

    def _kill(self) -> None:
        process = self._engine.playing_process
        if process is not None:
            os.kill(process, signal.SIGKILL)
            self.outcome.kills += 1


def table(outcome: Outcome) -> Table:
    """The outcome for people."""
    first, last = outcome.usages[0], outcome.usages[-1]
    status, heard = outcome.status, outcome.heard
    growth = last.kib / first.kib - 1
    rows = (
        ("length", f"{outcome.seconds / 60:g} min"),
        ("moves of parameters", str(outcome.moves)),
        ("preset changes", str(outcome.changes)),
        ("changes of the block size", str(outcome.block_changes)),
        ("workers killed", str(outcome.kills)),
        ("frames of main checked", f"{heard['checked']:.0f}"),
        ("longest gap in main, frames", f"{heard['longest_gap']:.0f}"),
        ("frames of main out of place", f"{heard['out_of_place']:.0f}"),
        ("hops of the workers", str(status["hops"])),
        ("own misses", str(status["own_misses"])),
        ("hops late by the machine", str(status["machine_late"])),
        ("blocks played as the delayed mix", f"{status['late_blocks']} of {status['callbacks']}"),
        (
            "hop p50, p99, p99.9, max in ms",
            " / ".join(f"{status[f'worker_{p}_ms']:.2f}" for p in ("p50", "p99", "p999", "worst")),
        ),
        (
            "memory of all processes, start and end",
            f"{first.kib / 1024:.1f} and {last.kib / 1024:.1f} MiB ({growth:+.2%})",
        ),
        ("threads, start and end", f"{first.threads} and {last.threads}"),
        ("open files, start and end", f"{first.files} and {last.files}"),
    )
    return Table(
        title="Soak of the live engine",
        columns=("what", "figure"),
        rows=rows,
        note=f"Paced driver, {RATE} Hz, blocks of {min(BLOCKS)} to {max(BLOCKS)}, model `bands`, latency "
        f"{status['latency']} frames; a move every {1000 * MOVE_SECONDS:g} ms, another preset every "
        f"{CHANGE_SECONDS:g} s, SIGKILL to the playing worker every {KILL_SECONDS:g} s. Every frame of main "
        "is held against the delayed input by level and phase. Blocks played as the delayed mix include "
        "those between a kill and the standby's start. Other processes used the machine meanwhile. "
        + machine("numpy", "pedalboard"),
    )


def run() -> Table:
    """Soak for half an hour."""
    return table(Soak(60 * MINUTES).run())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument(
        "--publish", action="store_true", help="write the table to benchmarks/results and the README"
    )
    arguments = parser.parse_args()
    outcome = Soak(60 * arguments.minutes).run()
    if arguments.publish:
        publish(name, table(outcome), Path(__file__).resolve().parent.parent)
    print(table(outcome).markdown())
    print("\n".join(outcome.events[-40:]))


if __name__ == "__main__":
    main()
