"""The live engine's worker against the clock: how long a hop takes, and whose fault it is when it is late."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import Table, machine, publish
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.protocol import BoardPlan
from plugin_bridge.separation import catalogue

name = "live"

MINUTES = 5.0
RATE, BLOCK = 44100, 256
TICK_SECONDS = 0.02


def load(model: str) -> float:
    """Processor time of a hop over the hop's length, in a session like a worker's."""
    session = StemBoard(model).live_session(RATE)
    noise = (0.1 * np.random.default_rng(0).standard_normal((2, session.hop))).astype(np.float32)
    for _ in range(50):
        session.advance(noise)
    hops = max(50, 2 * RATE // session.hop)
    begin = time.process_time()
    for _ in range(hops):
        session.advance(noise)
    return (time.process_time() - begin) / (hops * session.hop / RATE)


def heaviest() -> str:
    """The streaming model that takes most of the processor."""
    return max((model for model in catalogue.names() if catalogue.card(model).streaming), key=load)


def busy() -> None:
    """A Python program that never rests."""
    while True:
        sum(range(1000))


@contextmanager
def beside(neighbour: bool) -> Iterator[None]:
    """With or without a busy process on the machine."""
    process = multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
    if neighbour:
        process.start()
    try:
        yield
    finally:
        if neighbour:
            process.kill()
            process.join()


def measure(model: str, seconds: float) -> dict[str, Any]:
    """Run the engine on noise and give its status at the end."""
    audio = AudioRequest("paced", block=BLOCK, sample_rate=RATE)
    engine = Engine(EngineRequest(audio, BoardPlan(model)))
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            engine.tick()
            time.sleep(TICK_SECONDS)
        return engine.status()
    finally:
        engine.stop()


def row(model: str, neighbour: bool, status: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    times = " / ".join(f"{status[f'worker_{part}_ms']:.2f}" for part in ("p50", "p99", "p999", "worst"))
    return (
        f"`{model}`",
        "a busy process" if neighbour else "nothing of ours",
        f"{status['hop_ms']:.1f}",
        times,
        f"{status['load']:.1%}",
        f"{status['own_misses']} of {status['hops']}",
        str(status["machine_late"]),
        f"{status['late_blocks']} of {status['callbacks']}",
        f"{1000 * status['latency'] / RATE:.1f} ms",
    )


def table(minutes: float) -> Table:
    """Measure the lightest and the heaviest model, alone and beside a busy process."""
    rows = []
    for model in dict.fromkeys(("bands", heaviest())):
        for neighbour in (False, True):
            with beside(neighbour):
                rows.append(row(model, neighbour, measure(model, 60 * minutes)))
    return Table(
        title="A worker's hops, live",
        columns=(
            "model",
            "beside",
            "hop, ms",
            "p50 / p99 / p99.9 / max, ms",
            "load",
            "own misses",
            "late by the machine",
            "late blocks",
            "latency",
        ),
        rows=tuple(rows),
        note=f"Paced driver, noise at {RATE / 1000:g} kHz in blocks of {BLOCK}, {minutes:g} minutes each; "
        "safety as the engine measures it at its start. An own miss is a hop whose own processor time was "
        "longer than the hop; late by the machine is one that only waited. The second model is the heaviest "
        "that streams. "
        "Other programs used the machine meanwhile. " + machine("numpy", "scipy"),
    )


def run() -> Table:
    """Measure for as long as usual."""
    return table(MINUTES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each of four runs")
    minutes = parser.parse_args().minutes
    measured = table(minutes)
    publish(name, measured, Path(__file__).resolve().parent.parent)
    print(measured.markdown())


if __name__ == "__main__":
    main()
