"""The live engine's one latency by model, rate and block."""

from __future__ import annotations

from benchmarks.tables import Table
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.live.latency import Latency, Need

name = "live_latency"

MODELS = ("bands", "live4", "live4_low_latency", "classic4")
RATES = (44100, 48000, 96000)
BLOCKS = (64, 128, 256, 512, 1024)
SAFETY_SECONDS = 0.005


def latency(model: str, rate: int, block: int) -> Latency:
    """What the engine would plan, with a fixed safety."""
    session = StemBoard(model).live_session(rate)
    need = Need(session.hop, session.stream_latency, session.strips_latency)
    return Latency.planned(need, block, round(SAFETY_SECONDS * rate))


def run() -> Table:
    """Every model at every rate and block."""
    rows = []
    for model in MODELS:
        for rate in RATES:
            totals = [latency(model, rate, block).total for block in BLOCKS]
            cells = (f"{total} ({1000 * total / rate:.1f} ms)" for total in totals)
            rows.append((f"`{model}`", f"{rate / 1000:g} kHz", *cells))
    return Table(
        title="Live latency in frames, by the host's block",
        columns=("model", "rate", *(str(block) for block in BLOCKS)),
        rows=tuple(rows),
        note="From input to output of the engine, converters and driver not counted: the host's block, the "
        f"wait for a whole hop, the model with its rate adapter, {1000 * SAFETY_SECONDS:g} ms of safety, 64 "
        "frames for a join. The tests measure it with impulses: it is exact to the frame, and with one frame "
        "less, some block is late.",
    )
