"""A complementary crossover bank: the weightless instrument that everything else is tested with."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from plugin_bridge.separation.gate import GatedStream
from plugin_bridge.separation.separator import Audio, Stems, Stream
from plugin_bridge.separation.stream import run_through


@dataclass(frozen=True)
class Bands:
    """Frequency bands split by linear-phase low-passes, each band the difference of two neighbours.

    The bands sum to the delayed input by construction (Vaidyanathan, *Multirate Systems and Filter
    Banks*, 1993, section 4.2: a low-pass and its delay-complement). `taps` sets the slope: each
    crossover is about `5.5 * sample_rate / taps` Hz wide (Blackman window).

    Raises `ValueError` for crossovers that do not rise between 0 Hz and half the sample rate, for an
    even number of taps, or for a hop below 16 frames.
    """

    crossovers_hz: tuple[float, ...] = (250.0, 2500.0)
    taps: int = 1025
    hop: int = 256
    sample_rate: int = 44100
    channels: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "crossovers_hz", tuple(self.crossovers_hz))
        edges = (0.0, *self.crossovers_hz, self.sample_rate / 2)
        if not 1 <= len(self.crossovers_hz) <= 3 or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(
                f"crossovers_hz must be one to three rising values below {edges[-1]:g} Hz, "
                f"got {self.crossovers_hz}"
            )
        if self.taps < 3 or self.taps % 2 == 0:
            raise ValueError(
                f"taps must be odd and at least 3, got {self.taps}; an odd number delays by whole frames"
            )
        if self.hop < 16:
            raise ValueError(f"hop must be at least 16 frames, got {self.hop}")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the bands, from low to high."""
        return {2: ("low", "high"), 3: ("low", "mid", "high"), 4: ("low", "low_mid", "high_mid", "high")}[
            len(self.crossovers_hz) + 1
        ]

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(_BandStream(self), many_hops=True)

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))

    def band_filters(self) -> NDArray[np.float64]:
        """Impulse responses of all bands but the last, `(sources - 1, taps)`."""
        lows = [
            signal.firwin(self.taps, f, window="blackman", fs=self.sample_rate) for f in self.crossovers_hz
        ]
        return np.diff(np.stack([np.zeros(self.taps), *lows]), axis=0)


class _BandStream:
    """Overlap-save convolution with every band at once."""

    def __init__(self, bands: Bands) -> None:
        self.sources, self.channels, self.hop = bands.sources, bands.channels, bands.hop
        self.latency = self.tail = (bands.taps - 1) // 2
        self._size = fft.next_fast_len(bands.taps - 1 + bands.hop, real=True)
        # (sources - 1, 1, 1, frequencies): every band meets every channel and every hop
        response = fft.rfft(bands.band_filters().astype(np.float32), self._size, axis=-1)
        self._response = response[:, None, None]
        self._past = np.zeros((self.channels, self._size), np.float32)

    def process(self, block: Audio) -> Stems:
        frames, hop = block.shape[1], self.hop
        heard = np.concatenate((self._past, block), axis=1)
        self._past = heard[:, frames:]
        stems = np.empty((len(self.sources), self.channels, frames // hop, hop), np.float32)
        filtered = fft.irfft(fft.rfft(self._windows(heard), axis=-1) * self._response, self._size, axis=-1)
        stems[:-1] = filtered[..., -hop:]
        flat = stems.reshape(len(stems), self.channels, frames)
        start = self._size - self.latency
        np.subtract(heard[:, start : start + frames], flat[:-1].sum(axis=0), out=flat[-1])
        return flat

    def _windows(self, heard: Audio) -> Audio:
        """A view of one window for each hop, which ends where the hop does: `(channels, hops, size)`."""
        hops = (heard.shape[1] - self._size) // self.hop
        row, item = heard.strides
        shape, strides = (self.channels, hops, self._size), (row, self.hop * item, item)
        return np.ndarray(shape, np.float32, heard, self.hop * item, strides)

    def reset(self) -> None:
        self._past = np.zeros((self.channels, self._size), np.float32)
