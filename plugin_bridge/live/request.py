"""What an engine is asked to be."""

from dataclasses import dataclass

from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.protocol import BoardPlan

SMALLEST_BLOCK, LARGEST_BLOCK = 16, 8192
"""Frames; what hosts use."""

_MOST_MS = 60_000.0


@dataclass(frozen=True)
class EngineRequest:
    """What an engine is to be: its audio, its board, and how much latency to plan beyond the least.

    `safety_ms` is the time a worker may be late, 0 to derive it from a hop's measured time; `reserve_ms`
    is kept free for models, presets and blocks that need more; `largest_block` is the largest host block
    planned for, 0 for the driver's own.

    Raises `ValueError` out of range.
    """

    audio: AudioRequest
    plan: BoardPlan
    safety_ms: float = 0.0
    reserve_ms: float = 0.0
    largest_block: int = 0

    def __post_init__(self) -> None:
        if self.audio.block:
            check_block("block", self.audio.block)
        if self.largest_block:
            check_block("largest_block", self.largest_block)
        for name, value in (("safety_ms", self.safety_ms), ("reserve_ms", self.reserve_ms)):
            if not 0 <= value <= _MOST_MS:
                raise ValueError(f"{name} must be between 0 and {_MOST_MS:g}, got {value:g}")


def check_block(name: str, frames: int) -> None:
    """Raise `ValueError` unless a block has a size that hosts use."""
    if not SMALLEST_BLOCK <= frames <= LARGEST_BLOCK:
        raise ValueError(f"{name} must be between {SMALLEST_BLOCK} and {LARGEST_BLOCK} frames, got {frames}")
