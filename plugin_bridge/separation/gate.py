"""The one gate: what may enter a separator, and when silence ends its work (law 5).

Streams and whole signals pass the same door. A sample that is NaN, Inf or beyond `LOUDEST` is taken
as silence, so that no overflow can start; a block whose every sample is smaller than the smallest
normal float32 is digital silence, so that no denormal can slow a filter down.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio, Stems, Stream

LOUDEST = 1e9
"""Largest magnitude taken as audio (+180 dBFS); squares and sums of it stay finite in float32."""

_QUIETEST = float(np.finfo(np.float32).tiny)


class UngatedStream(Stream, Protocol):
    """A stream as an algorithm writes it: finite input only, and free to ring before frame 0."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""

    @property
    def channels(self) -> int:
        """The number of channels."""

    @property
    def tail(self) -> int:
        """Frames, beyond `latency`, for which an input may still sound in the output."""


def check_mix(mix: NDArray[np.floating], channels: int) -> None:
    """Raise unless `mix` is float audio of shape `(channels, frames)`.

    Raises `TypeError` for another type, `ValueError` for another shape.
    """
    if not isinstance(mix, np.ndarray) or mix.dtype not in (np.float32, np.float64):
        got = getattr(mix, "dtype", type(mix).__name__)
        raise TypeError(
            f"mix must be a float32 or float64 array, got {got}; convert it with astype('float32')"
        )
    if mix.ndim != 2 or mix.shape[0] != channels:
        raise ValueError(f"mix must have shape ({channels}, frames), got {mix.shape}; put channels first")


def finite(audio: NDArray[np.floating]) -> tuple[Audio, bool]:
    """Audio fit for a separator, and whether it is digital silence; copies only what it must mend.

    Shape: `(channels, frames)` to the same.
    """
    audio = np.asarray(audio, dtype=np.float32)
    # One pass over common audio: no sample can be too loud, or no number, if the sum of squares is in range.
    if _QUIETEST < np.einsum("ij,ij", audio, audio) <= LOUDEST**2:
        return audio, False
    if not audio.size:
        return audio, True
    peak = max(float(audio.max()), -float(audio.min()))
    if not peak <= LOUDEST:  # also true for NaN
        with np.errstate(invalid="ignore"):
            audio = np.where(np.abs(audio) <= LOUDEST, audio, np.float32(0))
        peak = max(float(audio.max()), -float(audio.min()))
    return audio, peak < _QUIETEST


def sounding(audio: Audio) -> slice:
    """The frames between the digital silence at both ends; empty for silence.

    Shape: `(channels, frames)`.
    """
    loud = np.flatnonzero((np.abs(audio) >= _QUIETEST).any(axis=0))
    return slice(int(loud[0]), int(loud[-1]) + 1) if loud.size else slice(0, 0)


class GatedStream:
    """A stream that keeps law 5 for the stream inside it.

    It mends the input, mutes what the inner stream gives for the time before frame 0 (so that an
    effect behind it hears the same live and offline), and, after silence longer than latency and
    tail, gives exact silence without running the inner stream and starts it anew.
    """

    def __init__(self, inner: UngatedStream) -> None:
        self._inner = inner
        self.hop, self.latency, self.tail = inner.hop, inner.latency, inner.tail
        self.sources, self.channels = inner.sources, inner.channels
        self._quiet = self.latency + self.tail
        self._fresh, self._age = True, 0

    def process(self, block: Audio) -> Stems:
        """Separate the next hop. Shape: `(channels, hop)` to `(sources, channels, hop)`.

        Raises `ValueError` for a block of another shape.
        """
        if block.shape != (self.channels, self.hop):
            raise ValueError(
                f"block must have shape ({self.channels}, {self.hop}), got {block.shape}; use Reblocked"
            )
        block, silent = finite(block)
        if silent and self._quiet >= self.latency + self.tail:
            if not self._fresh:
                self.reset()
            return np.zeros((len(self.sources), self.channels, self.hop), np.float32)
        self._quiet = self._quiet + self.hop if silent else 0
        self._fresh = False
        stems = self._inner.process(block)
        if self._age < self.latency:
            stems[..., : self.latency - self._age] = 0
            self._age += self.hop
        return stems

    def reset(self) -> None:
        """Forget everything, as if the stream were new."""
        self._inner.reset()
        self._quiet = self.latency + self.tail
        self._fresh, self._age = True, 0
