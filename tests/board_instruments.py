"""What the board's tests measure with: noise, streams cut anywhere, the effects that are hard to stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pedalboard

from plugin_bridge import StemBoard, Strip
from plugin_bridge.separation.classical.bands import Bands
from plugin_bridge.separation.whole_signal import WholeSignalSeparator

RATE = 44100


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    """Noise at -20 dBFS, `(channels, frames)`."""
    return (np.random.default_rng(seed).standard_normal((channels, frames)) * 0.1).astype(np.float32)


def cut(audio: np.ndarray, sizes: Iterable[int]) -> list[np.ndarray]:
    """The audio in blocks of these sizes; the last size repeats until nothing is left."""
    blocks, at, size = [], 0, 1
    sizes = iter(sizes)
    while at < audio.shape[1]:
        size = next(sizes, size)
        blocks.append(audio[:, at : at + size])
        at += size
    return blocks


def streamed(board, blocks: Iterable[np.ndarray], rate: float = RATE) -> np.ndarray:
    """All that a board gives for blocks and a flush, whose every length is checked on the way."""
    blocks = list(blocks)
    # A first block of one frame would be taken for channels: the layout must be known, as in pedalboard.
    board(np.zeros((len(blocks[0]), 8), np.float32), rate)
    taken = given = 0
    out = []
    for block in blocks:
        out.append(board(block, rate, reset=False))
        taken += block.shape[1]
        given += out[-1].shape[1]
        assert out[-1].shape[1] <= block.shape[1]
        assert given == max(0, taken - board.reported_latency_samples)
    return np.concatenate([*out, board.flush()], axis=1)


# Each keeps a state, lags, or cuts the signal in its own way.
HARD_EFFECTS: dict[str, Callable[[], pedalboard.Plugin]] = {
    "Reverb": lambda: pedalboard.Reverb(room_size=0.4),
    "Compressor": lambda: pedalboard.Compressor(threshold_db=-30, ratio=4),
    "Delay": lambda: pedalboard.Delay(delay_seconds=0.01, feedback=0.3, mix=0.5),
    "HighpassFilter": lambda: pedalboard.HighpassFilter(cutoff_frequency_hz=200),
    "Chorus": pedalboard.Chorus,
    "PitchShift": lambda: pedalboard.PitchShift(semitones=3),
    "GSMFullRateCompressor": pedalboard.GSMFullRateCompressor,
    "MP3Compressor": pedalboard.MP3Compressor,
    "BrickwallLimiter": lambda: pedalboard.BrickwallLimiter(ceiling_db=-20),
}


@dataclass(frozen=True)
class FourBands(Bands):
    """Four bands under the names of four stems, so that shipped presets fit."""

    crossovers_hz: tuple[float, ...] = (200.0, 1000.0, 4000.0)

    @property
    def sources(self) -> tuple[str, ...]:
        return ("vocals", "drums", "bass", "other")


class Half(WholeSignalSeparator):
    """A whole-signal separator whose stems are known: half the mix each."""

    sources = ("one", "other")
    sample_rate = RATE
    channels = 2
    window_seconds = 8.0

    def estimate(self, mix):
        return 0.5 * mix[None]


def hard_board(hop=256):
    """Every effect that is hard to stream, spread over strips and master."""
    make = HARD_EFFECTS
    return StemBoard(
        Bands(hop=hop),
        {
            "low": [make["HighpassFilter"](), make["Chorus"](), make["GSMFullRateCompressor"]()],
            "mid": [make["PitchShift"](), make["Reverb"]()],
            "high": Strip([make["Delay"](), make["Compressor"]()], gain_db=-3, pan=0.5),
        },
        [make["MP3Compressor"](), make["BrickwallLimiter"]()],
    )
