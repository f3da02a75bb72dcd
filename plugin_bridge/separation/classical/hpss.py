"""Harmonic and percussive sound, told apart by medians.

D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010: a harmonic sound is
a ridge along time, which a median along time keeps; a percussive one is a ridge along frequency.
J. Driedger, M. Müller, S. Disch, "Extending harmonic-percussive separation of audio signals", ISMIR
2014: with a margin (their separation factor beta) a cell must be clearly one of the two, and what is
neither is a third stem. One pass on one grid of frames; their second pass on another grid is not made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plugin_bridge.separation.classical.limits import check_format, check_limits, check_odd
from plugin_bridge.separation.classical.masks import Magnitudes, soft_mask
from plugin_bridge.separation.spectral import FrameSeparator, SpectralSeparator, Spectrum, Stft


@dataclass(frozen=True)
class Hpss(SpectralSeparator):
    """Harmonic, percussive and, with a margin above 1, residual sound; streaming.

    The median along time is centred, so that half of it shows as latency; `centred=False` looks only
    back, which costs harmonic sound its beginnings. Channels are masked one by one.

    Raises `ValueError` for settings out of range.
    """

    sources = ("harmonic", "percussive")

    sample_rate: int = 44100
    channels: int = 2
    window: int = 2048
    hop: int = 512
    time_frames: int = 17
    """Length of the median along time, in frames of the grid (17 are 0.2 s)."""
    frequency_bins: int = 17
    """Length of the median along frequency, in bins (17 are 366 Hz)."""
    margin: float = 1.0
    """How many times stronger than the other a component must be; above 1 there is a residual."""
    power: float = 2.0
    """Exponent of the soft masks; 2 gives Wiener's."""
    binary: bool = False
    """Give each cell to one stem whole, as Driedger et al. do (eqs. 6 to 8)."""
    centred: bool = True

    def __post_init__(self) -> None:
        check_format(self.sample_rate, self.channels)
        check_odd("time_frames", self.time_frames)
        check_odd("frequency_bins", self.frequency_bins)
        check_limits("frequency_bins", self.frequency_bins, 1, self.stft.bins)
        check_limits("margin", self.margin, 1, 1000)
        check_limits("power", self.power, 0.1, 8)
        if self.margin > 1:  # what follows from a setting is no setting itself, hence no field
            object.__setattr__(self, "sources", (*self.sources, "residual"))

    @property
    def stft(self) -> Stft:
        """The grid of frames."""
        return Stft(self.window, self.hop)

    @property
    def lookahead(self) -> int:
        """Frames of future that a frame needs: half the median along time."""
        return self.time_frames // 2 if self.centred else 0

    @property
    def memory(self) -> int:
        """Frames of past that a frame depends on."""
        return self.time_frames - 1 - self.lookahead

    def frame_separator(self) -> FrameSeparator:
        """A fresh state."""
        return _MedianMasking(self)


class _MedianMasking:
    """The last frames, and the masks of the one in their middle."""

    def __init__(self, config: Hpss) -> None:
        self._config = config
        bins = config.stft.bins
        # The median's axis is the last one: partitioning neighbours in memory is the fastest.
        self._magnitudes = np.zeros((config.channels, bins, config.time_frames))
        self._spectra = np.zeros((config.lookahead + 1, config.channels, bins), np.complex128)
        self._age = 0

    def process(self, spectrum: Spectrum) -> Spectrum:
        self._magnitudes[..., self._age % self._config.time_frames] = np.abs(spectrum)
        self._spectra[self._age % len(self._spectra)] = spectrum
        self._age += 1
        centre = self._spectra[self._age % len(self._spectra)]
        middle = self._config.time_frames // 2
        harmonic = np.partition(self._magnitudes, middle, axis=-1)[..., middle]
        percussive = median_over_bins(np.abs(centre), self._config.frequency_bins)
        separated: Spectrum = self._masks(harmonic, percussive) * centre
        return separated

    def _masks(self, harmonic: Magnitudes, percussive: Magnitudes) -> Magnitudes:
        """Shape: `(channels, bins)` to `(sources - 1, channels, bins)`."""
        config = self._config
        if config.binary:
            masks = [harmonic > config.margin * percussive, percussive >= config.margin * harmonic]
            return np.array(masks[: len(config.sources) - 1], np.float64)
        if config.margin == 1:
            return soft_mask(harmonic, percussive, config.power)[None]
        return np.stack(
            (
                soft_mask(harmonic, config.margin * percussive, config.power, undecided=0),
                soft_mask(percussive, config.margin * harmonic, config.power, undecided=0),
            )
        )

    def reset(self) -> None:
        self._magnitudes.fill(0)
        self._spectra.fill(0)
        self._age = 0


def median_over_bins(magnitudes: Magnitudes, length: int) -> Magnitudes:
    """The running median along frequency, mirrored at both ends. Shape: `(channels, bins)` to the same."""
    # One channel at a time: scipy has a fast running median for one axis only.
    return np.stack([ndimage.median_filter(channel, size=length, mode="mirror") for channel in magnitudes])
