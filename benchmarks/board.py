"""What a stem board costs beyond its parts: the separator, and the same effects in plain pedalboards."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from pedalboard import Compressor, PeakFilter, Pedalboard, Plugin, Reverb

from benchmarks.tables import Table, machine
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.separation.stream import whole_hops

name = "board"

RATE = 44100
ROUNDS = 60
BLOCKS = (256, 512, 2048)


def equaliser_and_compressor() -> list[Plugin]:
    """What most strips hold."""
    return [PeakFilter(1000.0, 3.0), Compressor(-20.0, 4.0)]


def with_reverb() -> list[Plugin]:
    """A strip with a heavier effect."""
    return [*equaliser_and_compressor(), Reverb(room_size=0.2)]


CHAINS = {"equaliser, compressor": equaliser_and_compressor, "equaliser, compressor, reverb": with_reverb}


def seconds(work: Callable[[], object], calls: int) -> float:
    """The processor time of so many calls, each; other processes on the machine do not count."""
    start = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - start) / calls


def compare(chain: Callable[[], list[Plugin]], block: int) -> tuple[float, float, float]:
    """Times of the parts, hop by hop and with hops at once, and of the board for one block.

    All alternate, so that all meet the same machine.
    """
    audio = (0.1 * np.random.default_rng(0).standard_normal((2, block))).astype(np.float32)
    board = StemBoard("bands", {source: chain() for source in ("low", "mid", "high")})
    stream = board.separator.stream()
    together = board.separator.stream()
    hops = [np.ascontiguousarray(audio[:, at : at + stream.hop]) for at in range(0, block, stream.hop)]
    native = [Pedalboard(chain()) for _ in board.sources]

    works: list[Callable[[], object]] = [
        lambda: [stream.process(hop) for hop in hops],
        partial(whole_hops, together, audio),
        lambda: [effects(audio, RATE, block, reset=False) for effects in native],
        partial(board, audio, RATE, reset=False),
    ]
    calls = max(10, 40 * 512 // block)
    rounds = [[seconds(work, calls) for work in works] for _ in range(ROUNDS)]
    separator, at_once, effects, whole = (statistics.median(column) for column in zip(*rounds, strict=True))
    return separator + effects, at_once + effects, whole


def run() -> Table:
    """Measure each chain at each block size."""
    rows = []
    for label, chain in CHAINS.items():
        for block in BLOCKS:
            parts, at_once, whole = compare(chain, block)
            ratios = (f"{whole / parts:.2f}", f"{whole / at_once:.2f}")
            share = whole / (block / RATE)
            rows.append((label, str(block), *ratios, f"{1e6 * whole:.0f} µs", f"{share:.1%}"))
    return Table(
        title="A StemBoard over `bands`, effects on three stems, against its parts run alone",
        columns=(
            "effects per stem",
            "block",
            "board / parts",
            "with hops at once",
            "board per block",
            "share of real time",
        ),
        rows=tuple(rows),
        note="Parts: the separator's stream (hops of 256 frames), and the same effects in plain native "
        "pedalboards, each timed by itself and added. A stream takes a hop a call; the board gives `bands` "
        "all hops of a block at once, and the second ratio is against a separator that is given them so "
        "too; "
        "medians of "
        f"{ROUNDS} alternating rounds, stereo noise at 44.1 kHz. {machine('pedalboard', 'numpy')}",
    )
