"""The live engine's worker against the clock: how long a hop takes, and whose fault it is when it is late."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator, Sequence
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
    took = {part: status[f"worker_{part}_ms"] for part in ("p50", "p99", "p999", "worst")}
    times = " / ".join(f"{ms:.2f}" for ms in took.values())
    shares = " / ".join(f"{took[part] / status['hop_ms']:.0%}" for part in ("p50", "p99", "p999"))
    return (
        f"`{model}`",
        "a busy process" if neighbour else "nothing of ours",
        f"{status['hop_ms']:.1f}",
        times,
        shares,
        f"{status['load']:.1%}",
        f"{status['own_misses']} of {status['hops']}",
        str(status["machine_late"]),
        f"{status['late_blocks']} of {status['callbacks']}",
        f"{1000 * status['latency'] / RATE:.1f} ms",
    )


def usual() -> tuple[str, ...]:
    """The lightest model, the heaviest one, and every one that has an engine of its own."""
    engined = [model for model in catalogue.names() if catalogue.card(model).engine is not None]
    return tuple(dict.fromkeys(("bands", *engined, heaviest())))


def table(minutes: float, models: Sequence[str]) -> Table:
    """Measure models, alone and beside a busy process."""
    rows = []
    for model in models:
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
            "p50 / p99 / p99.9 of the hop",
            "load",
            "own misses",
            "late by the machine",
            "late blocks",
            "latency",
        ),
        rows=tuple(rows),
        note=f"Paced driver, noise at {RATE / 1000:g} kHz in blocks of {BLOCK}, {minutes:g} minutes each; "
        "safety as the engine measures it at its start. An own miss is a hop whose own processor time was "
        "longer than the hop; late by the machine is one that only waited. Models: the lightest, "
        "those with an engine of their own, and the heaviest that streams, or the one named. "
        "Other programs used the machine meanwhile. " + machine("numpy", "scipy"),
    )


def run() -> Table:
    """Measure what is usual for as long as usual."""
    return table(MINUTES, usual())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each run, two for a model")
    parser.add_argument("--model", action="append", default=[], help="only this one, and publish nothing")
    arguments = parser.parse_args()
    measured = table(arguments.minutes, arguments.model or usual())
    if not arguments.model:
        publish(name, measured, Path(__file__).resolve().parent.parent)
    print(measured.markdown())


if __name__ == "__main__":
    main()
