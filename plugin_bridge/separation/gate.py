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


def silent_for(audio: Audio, before: int) -> NDArray[np.int64]:
    """For how many frames there has been digital silence, at each frame; `before` is the count so far.

    Shape: `(channels, frames)` to `(frames,)`.
    """
    at = np.arange(audio.shape[1])
    loud = (np.abs(audio) >= _QUIETEST).any(axis=0)
    return at - np.maximum.accumulate(np.where(loud, at, -1 - before))


class GatedStream:
    """A stream that keeps law 5 for the stream inside it.

    It mends the input, mutes what the inner stream gives for the time before frame 0 (so that an
    effect behind it hears the same live and offline), and, after silence longer than latency and
    tail, gives exact silence without running the inner stream and starts it anew.

    `many_hops` says that the inner stream's `process` also takes several hops at once, and gives the
    same bits then.
    """

    def __init__(self, inner: UngatedStream, *, many_hops: bool = False) -> None:
        self._inner, self._many = inner, many_hops
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
        return self._heard(block)

    def process_hops(self, block: Audio) -> Stems:
        """Separate several hops, to the same bits as one by one, in less time where the stream can.

        Shape: `(channels, n * hop)` to `(sources, channels, n * hop)`.
        """
        hop = self.hop
        if self._many and self._all_sound(block):
            self._quiet = 0
            return self._heard(block)
        stems = np.empty((len(self.sources), *block.shape), np.float32)
        for at in range(0, block.shape[1], hop):
            stems[..., at : at + hop] = self.process(block[:, at : at + hop])
        return stems

    def _all_sound(self, block: Audio) -> bool:
        """Whether every hop is common audio: in range, and not digital silence."""
        hops = block.reshape(len(block), -1, self.hop)
        energies = np.einsum("cnh,cnh->n", hops, hops)
        return bool(((energies > _QUIETEST) & (energies <= LOUDEST**2)).all())

    def _heard(self, block: Audio) -> Stems:
        """What the inner stream makes of a block, without what lies before frame 0."""
        self._fresh = False
        stems = self._inner.process(block)
        if self._age < self.latency:
            stems[..., : self.latency - self._age] = 0
            self._age += block.shape[1]
        return stems

    def reset(self) -> None:
        """Forget everything, as if the stream were new."""
        self._inner.reset()
        self._quiet = self.latency + self.tail
        self._fresh, self._age = True, 0
