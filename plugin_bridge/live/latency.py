"""The engine's one latency: what it is made of, and what fits it."""

from dataclasses import dataclass
from math import ceil

FADE_FRAMES = 64
"""Frames of a join between wet and dry; as many wet ones are held back so that a join can always start."""


@dataclass(frozen=True)
class Need:
    """What a board asks for at a rate, in frames: its hop, and how late its stems are after a hop."""

    hop: int
    stream: int
    strips: int


@dataclass(frozen=True)
class Latency:
    """The constant delay of an engine, in frames, term by term.

    After a callback that ends at input frame n, the worker has had the frames before the callback's own
    block at least, in whole hops: the block, the wait for a whole hop, the board's own delay, the safety
    that the worker may take to compute, and the frames held back for a join.
    """

    block: int
    reblock: int
    stream: int
    strips: int
    safety: int
    fade: int
    reserve: int

    @classmethod
    def planned(cls, need: Need, block: int, safety: int, reserve: int = 0) -> "Latency":
        """The latency for a board, the largest host block and a safety; `reserve` frames stay free."""
        return cls(block, need.hop - 1, need.stream, need.strips, safety, FADE_FRAMES, reserve)

    @property
    def total(self) -> int:
        """Frames by which everything that leaves the engine is late."""
        return self.block + self.reblock + self.stream + self.strips + self.safety + self.fade + self.reserve

    def lacks(self, need: Need, block: int) -> int:
        """How many frames a board at a block size would need beyond this latency; 0 if it fits."""
        wanted = block + need.hop - 1 + need.stream + need.strips + self.safety + self.fade
        return max(0, wanted - self.total)

    def misfit(self, need: Need, block: int, sample_rate: int) -> str:
        """Why a board at a block size does not fit this latency, with the remedy; empty if it does."""
        lacking = self.lacks(need, block)
        if not lacking:
            return ""
        return (
            f"the board must fit the latency of {self.total} frames, got one that needs {lacking} more; "
            f"restart with --reserve-ms {ceil(1000 * lacking / sample_rate)}"
        )

    def frames(self) -> dict[str, int]:
        """Every term by a short name, for programs: `io` is the host's block, `model` the stream's delay."""
        return {
            "io": self.block,
            "reblock": self.reblock,
            "model": self.stream,
            "strips": self.strips,
            "safety": self.safety,
            "join": self.fade,
            "reserve": self.reserve,
            "total": self.total,
        }

    def terms(self, sample_rate: float) -> dict[str, str]:
        """Every term with its milliseconds, for people."""
        named = {
            "host block": self.block,
            "wait for a whole hop": self.reblock,
            "model and its rate adapter": self.stream,
            "effects": self.strips,
            "safety": self.safety,
            "join": self.fade,
            "reserve": self.reserve,
            "total": self.total,
        }
        return {
            key: f"{frames} frames, {1000 * frames / sample_rate:.1f} ms" for key, frames in named.items()
        }
