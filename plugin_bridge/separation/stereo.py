"""A mono network on stereo: two streams side by side, of left and right or of mid and side."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from plugin_bridge.separation.gate import GatedStream, UngatedStream, check_mix
from plugin_bridge.separation.separator import Audio, EstimatingSeparator, Stems, Stream
from plugin_bridge.separation.stream import run_through, whole_hops

By = Literal["left_right", "mid_side"]


@dataclass(frozen=True)
class InStereo:
    """A mono network's separator that takes and gives stereo, each of two mono signals by itself.

    By `mid_side` these are half the sum and half the difference of left and right, so that what is the same
    on both sides stays so. Raises `ValueError` for a separator that is not mono, or another word.
    """

    separator: EstimatingSeparator
    by: By

    def __post_init__(self) -> None:
        if self.separator.channels != 1:
            got = self.separator.channels
            raise ValueError(f"stereo must be made of a mono separator, got one of {got} channels")
        if self.by not in ("left_right", "mid_side"):
            raise ValueError(f"stereo must be left_right or mid_side, got '{self.by}'")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.separator.sources

    @property
    def sample_rate(self) -> int:
        """The rate in Hz."""
        return self.separator.sample_rate

    @property
    def channels(self) -> int:
        """Two."""
        return 2

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(_StereoStream(self), many_hops=True)

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))

    def raw_estimates(self, mix: Audio) -> Stems:
        """What the network gives before the stems are made to sum to the mix.

        Shape: `(channels, frames)` to `(sources, channels, frames)`.
        """
        check_mix(mix, self.channels)
        return joined([self.separator.raw_estimates(half) for half in split(mix, self.by)], self.by)


class _StereoStream:
    """A stream for each of the two signals; the gate around it mends what they are given."""

    def __init__(self, stereo: InStereo) -> None:
        one: UngatedStream = stereo.separator.stream()  # type: ignore[assignment]  # all of ours are gated
        self._streams, self._by = (one, stereo.separator.stream()), stereo.by
        self.sources, self.channels = stereo.sources, stereo.channels
        self.hop, self.latency, self.tail = one.hop, one.latency, one.tail

    def process(self, block: Audio) -> Stems:
        """Shape: `(2, n * hop)` to `(sources, 2, n * hop)`."""
        halves = zip(self._streams, split(block, self._by), strict=True)
        return joined([whole_hops(stream, half) for stream, half in halves], self._by)

    def reset(self) -> None:
        """Forget everything."""
        for stream in self._streams:
            stream.reset()


def split(stereo: Audio, by: By) -> tuple[Audio, Audio]:
    """Two mono signals of a stereo one. Shape: `(2, frames)` to twice `(1, frames)`."""
    left, right = stereo[:1], stereo[1:]
    if by == "left_right":
        return np.ascontiguousarray(left), np.ascontiguousarray(right)
    half = np.float32(0.5)
    return half * (left + right), half * (left - right)


def joined(halves: list[Stems], by: By) -> Stems:
    """Stereo stems of those of the two signals.

    Shape: twice `(sources, 1, frames)` to `(sources, 2, frames)`.
    """
    one, other = halves
    if by == "left_right":
        return np.concatenate((one, other), axis=1)
    return np.concatenate((one + other, one - other), axis=1)
