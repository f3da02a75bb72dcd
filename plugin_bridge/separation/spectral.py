"""Short-time spectra: one grid of frames, walked at once or hop by hop.

Frame k covers the samples `[(k + 1) hop - window, (k + 1) hop)`, with zeros before the signal and
after it, so that the frames of a stream and of a whole signal are the same frames.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from plugin_bridge.separation.gate import GatedStream
from plugin_bridge.separation.separator import Audio, Stems, Stream
from plugin_bridge.separation.stream import run_through

Spectrum = NDArray[np.complexfloating]
"""Complex spectra; the last two axes of a whole signal are `(bins, times)`."""


@dataclass(frozen=True)
class Stft:
    """Windowed analysis and synthesis with perfect reconstruction.

    Hann windows on both sides (periodic), normalised by their overlapping squares; Griffin and Lim,
    "Signal estimation from modified short-time Fourier transform", 1984, eq. 6.

    Raises `ValueError` unless `hop` divides `window` at least twice.
    """

    window: int = 2048
    hop: int = 512

    def __post_init__(self) -> None:
        if self.hop < 1 or self.window % self.hop or self.window < 2 * self.hop or self.window % 2:
            raise ValueError(
                f"window must be an even multiple of hop, at least twice, got {self.window} and {self.hop}"
            )

    @property
    def bins(self) -> int:
        """Frequencies from 0 Hz to half the sample rate."""
        return self.window // 2 + 1

    @cached_property
    def analysis(self) -> NDArray[np.float64]:
        """The analysis window, `(window,)`."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)

    @cached_property
    def synthesis(self) -> NDArray[np.float64]:
        """The synthesis window, `(window,)`: with `analysis` its overlapping products sum to one."""
        overlapped = (self.analysis**2).reshape(-1, self.hop).sum(axis=0)
        window: NDArray[np.float64] = self.analysis / np.tile(overlapped, self.window // self.hop)
        return window

    def analyse(self, audio: NDArray[np.floating]) -> NDArray[np.complex128]:
        """Spectra of a whole signal. Shape: `(..., frames)` to `(..., bins, times)`."""
        times = -(-(audio.shape[-1] + self.window - self.hop) // self.hop)
        padded = np.zeros((*audio.shape[:-1], (times - 1) * self.hop + self.window))
        padded[..., self.window - self.hop : self.window - self.hop + audio.shape[-1]] = audio
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=-1)[..., :: self.hop, :]
        spectra: NDArray[np.complex128] = fft.rfft(frames * self.analysis, axis=-1)
        return np.swapaxes(spectra, -1, -2)

    def synthesise(self, spectra: Spectrum, frames: int) -> NDArray[np.float64]:
        """The signal of `frames` samples whose spectra come closest.

        Shape: `(..., bins, times)` to `(..., frames)`.
        """
        times = spectra.shape[-1]
        blocks = fft.irfft(np.swapaxes(spectra, -1, -2), self.window, axis=-1) * self.synthesis
        padded = np.zeros((*spectra.shape[:-2], times + self.window // self.hop - 1, self.hop))
        for part in range(self.window // self.hop):
            padded[..., part : part + times, :] += blocks[..., part * self.hop : (part + 1) * self.hop]
        signal: NDArray[np.float64] = padded.reshape(*padded.shape[:-2], -1)
        return signal[..., self.window - self.hop : self.window - self.hop + frames]

    def frequencies_hz(self, sample_rate: int) -> NDArray[np.float64]:
        """The centre of each bin, `(bins,)`, in Hz."""
        return np.arange(self.bins) * sample_rate / self.window


class FrameSeparator(Protocol):
    """A method that works frame by frame, with all of its state."""

    def process(self, spectrum: Spectrum) -> Spectrum:
        """Separate the frame of `lookahead` frames ago, given the newest one.

        Shape: `(channels, bins)` to `(sources - 1, channels, bins)`; zeros for frames before the first.
        """

    def reset(self) -> None:
        """Forget everything."""


class SpectralStream:
    """A frame separator as a stream: analysis, separation, overlap-add, and the residual by subtraction."""

    def __init__(self, separator: "SpectralSeparator") -> None:
        stft = separator.stft
        self.sources, self.channels = separator.sources, separator.channels
        self.hop, self.tail = stft.hop, separator.memory * stft.hop + stft.window
        self.latency = stft.window - stft.hop + separator.lookahead * stft.hop
        self._analysis, self._synthesis = stft.analysis, stft.synthesis
        self._separator = separator.frame_separator()
        self._past = np.zeros((self.channels, stft.window))
        self._overlap = np.zeros((len(self.sources) - 1, self.channels, stft.window))
        self._delayed = np.zeros((self.channels, self.latency + self.hop), np.float32)

    def process(self, block: Audio) -> Stems:
        """Separate the next hop. Shape: `(channels, hop)` to `(sources, channels, hop)`."""
        hop = self.hop
        _shift_in(self._past, block, hop)
        _shift_in(self._delayed, block, hop)
        spectra = self._separator.process(fft.rfft(self._past * self._analysis, axis=-1))
        self._overlap += fft.irfft(spectra, self._past.shape[-1], axis=-1) * self._synthesis
        stems = np.empty((len(self.sources), self.channels, hop), np.float32)
        stems[:-1] = self._overlap[..., :hop]
        stems[-1] = self._delayed[:, :hop] - stems[:-1].sum(axis=0, dtype=np.float64)
        _shift_in(self._overlap, 0.0, hop)
        return stems

    def reset(self) -> None:
        """Forget everything."""
        self._separator.reset()
        for state in (self._past, self._overlap, self._delayed):
            state.fill(0)


def _shift_in(state: NDArray[np.floating], block: "Audio | float", hop: int) -> None:
    state[..., :-hop] = state[..., hop:]
    state[..., -hop:] = block


class SpectralSeparator(ABC):
    """A streaming separator made of a frame separator.

    A subclass states its `sources`, `sample_rate`, `channels`, `stft`, the frames it looks ahead, the
    frames of past that can still matter (`memory`), and how a fresh `frame_separator` is made.
    """

    sources: tuple[str, ...]
    sample_rate: int
    channels: int

    @property
    @abstractmethod
    def stft(self) -> Stft:
        """The grid of frames."""

    @property
    def lookahead(self) -> int:
        """Frames of future that a frame needs."""
        return 0

    @property
    @abstractmethod
    def memory(self) -> int:
        """Frames of past that a frame depends on."""

    @abstractmethod
    def frame_separator(self) -> FrameSeparator:
        """A fresh state."""

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(SpectralStream(self))

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))
