"""Sample formats of the stems, and the way there from float: rounding, dither, one common gain.

PCM is rounded here and handed on as integers, because libsndfile floors (a mean error of half an LSB).
Reduction to 16 bit adds triangular dither of ±1 LSB (Lipshitz, Wannamaker and Vanderkooy, 1992); at 24
bit the source's own noise is far above the LSB.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio

Samples = NDArray[np.float32] | NDArray[np.int32]
"""What a file holds: float32, or integers of the encoding's range in int32."""


@dataclass(frozen=True)
class Encoding:
    """One sample format: its name, its bits, and whether it is float or dithered."""

    name: str
    bits: int
    is_float: bool = False
    is_dithered: bool = False

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample of one channel."""
        return self.bits // 8

    @property
    def steps(self) -> int:
        """LSBs from zero to full scale."""
        return 1 << (self.bits - 1)

    def pack(self, samples: Samples) -> bytes:
        """Little-endian interleaved bytes. Shape: `(channels, frames)`."""
        interleaved = np.ascontiguousarray(samples.T)
        if self.is_float:
            return interleaved.astype("<f4", copy=False).tobytes()
        if self.bits == 16:
            return interleaved.astype("<i2").tobytes()
        as_bytes = interleaved.astype("<i4", copy=False).view(np.uint8)
        return as_bytes.reshape(-1, 4)[:, : self.bytes_per_sample].tobytes()

    def common_gain(self, highest: float, lowest: float) -> float:
        """The gain, at most 1, with which samples from `lowest` to `highest` fit without clipping."""
        if self.is_float:
            return 1.0
        return 1.0 / max(1.0, highest * self.steps / (self.steps - 1), -lowest)


FLOAT32 = Encoding("float32", 32, is_float=True)
PCM24 = Encoding("pcm24", 24)
PCM16 = Encoding("pcm16", 16, is_dithered=True)
ENCODINGS = {encoding.name: encoding for encoding in (FLOAT32, PCM24, PCM16)}


class Quantiser:
    """Brings one signal from float into its encoding, block by block, with a repeatable dither.

    The result depends on the signal and on `seed` alone, never on how the signal is cut into blocks.
    """

    def __init__(self, encoding: Encoding, *, gain: float = 1.0, seed: str = "") -> None:
        self._encoding = encoding
        self._gain = gain
        self._random = np.random.default_rng(list(hashlib.sha256(seed.encode()).digest()))

    def quantise(self, audio: Audio) -> Samples:
        """Samples as the file holds them. Shape: `(channels, frames)` to the same."""
        if self._encoding.is_float:
            return audio
        steps = self._encoding.steps
        scaled = audio.astype(np.float64) * (self._gain * steps)
        if self._encoding.is_dithered:
            # A zero has no error to decorrelate: digital silence stays digital silence.
            scaled += np.where(audio == 0, 0.0, self._dither(audio.shape))
        return np.clip(np.rint(scaled), -steps, steps - 1).astype(np.int32)

    def heard(self, samples: Samples) -> Audio:
        """Samples as a player reads them, ±1 being full scale. Shape: `(channels, frames)` to the same."""
        if self._encoding.is_float:
            return samples.astype(np.float32, copy=False)
        return (samples * (1.0 / self._encoding.steps)).astype(np.float32)

    def _dither(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Triangular noise within ±1 LSB, drawn frame by frame. Shape: `(channels, frames)`."""
        channels, frames = shape
        uniform = self._random.random((frames, channels, 2))
        return (uniform[..., 0] - uniform[..., 1]).T
