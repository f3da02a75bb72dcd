"""Spectral subtraction: what stays the same is taken away from what changes.

M. Berouti, R. Schwartz, J. Makhoul, "Enhancement of speech corrupted by acoustic noise", ICASSP 1979:
the interference's power is subtracted `alpha` times, and never more than down to `beta` times itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.voice_method import VoiceMethod

_LEAST_SNR_DB, _MOST_SNR_DB = -5.0, 20.0
"""The range in which over-subtraction follows the signal-to-noise ratio (Berouti et al., figure 2)."""


@dataclass(frozen=True)
class SpectralSubtraction(VoiceMethod):
    """Voice over an interference whose spectrum hardly changes.

    The interference's power is measured for each channel and bin: as the mean over
    `reference_seconds` where a stretch without voice is known, else as a quantile over all times,
    divided by what that quantile is for Gaussian noise of power 1, so that steady noise is measured
    without bias, while notes that come and go count little.

    Raises `ValueError` for settings out of range.
    """

    oversubtraction: float = 4.0
    """How many times the interference is subtracted at a signal-to-noise ratio of 0 dB (alpha)."""
    follow_snr: bool = True
    """Subtract less in frames that stand out, once at 20 dB and above; else always the same."""
    floor: float = 0.01
    """Least power left, relative to the interference's (beta)."""
    quantile: float = 0.5
    """The quantile over time that is taken as steady; 0.5 is the median."""
    highpass_hz: float = 0.0
    """Below it everything is accompaniment."""
    reference_seconds: tuple[float, float] | None = None
    """Start and stop of a stretch without voice, counted from the first frame that is not digital silence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("oversubtraction", self.oversubtraction, 1, 100)
        check_limits("floor", self.floor, 0, 1)
        check_limits("quantile", self.quantile, 0.01, 0.99)
        check_limits("highpass_hz", self.highpass_hz, 0, self.sample_rate / 2)
        if self.reference_seconds is not None:
            start, stop = self.reference_seconds  # a list where it comes from a card
            object.__setattr__(self, "reference_seconds", (start, stop))
            check_limits("reference_seconds' start", start, 0)
            check_limits("reference_seconds' stop", stop, start + self.window / self.sample_rate)

    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """What stands out of the interference. Shape: `(channels, frames)` to `(1, channels, frames)`.

        Raises `ValueError` when the signal ends before `reference_seconds` is over.
        """
        stft = self.stft
        spectra = stft.analyse(mix)
        power = np.abs(spectra) ** 2
        spectra *= self.gain(power, self.interference(power, mix.shape[-1])[..., None])
        spectra[:, stft.frequencies_hz(self.sample_rate) < self.highpass_hz] = 0
        return stft.synthesise(spectra, mix.shape[-1])[None]

    def gain(self, power: NDArray[np.float64], interference: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the spectra are multiplied by, at most 1 (Berouti et al., eq. 2).

        Shape: `(channels, bins, times)` and `(channels, bins, 1)` to `(channels, bins, times)`.
        """
        left = np.maximum(power - self._alpha(power, interference) * interference, self.floor * interference)
        # Where the floor is above the signal, the signal is kept: a stem is no louder than the mix.
        return np.sqrt(np.divide(left, power, out=np.ones_like(left), where=power > left))

    def interference(self, power: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
        """The power to subtract. Shape: `(channels, bins, times)` to `(channels, bins)`."""
        if self.reference_seconds is None:
            steady = np.quantile(power, self.quantile, axis=-1) / -np.log1p(-self.quantile)
            return np.asarray(steady, np.float64)
        start, stop = (round(edge * self.sample_rate) for edge in self.reference_seconds)
        if stop > frames:
            raise ValueError(
                f"reference_seconds must end within the signal, got {self.reference_seconds[1]:g} s of "
                f"{frames / self.sample_rate:g} s; choose an earlier stretch or None"
            )
        # Only the frames of the grid that lie in it whole: frame k ends at (k + 1) hop.
        first = -(-(start + self.window) // self.hop) - 1
        last = max(first, stop // self.hop - 1)
        mean: NDArray[np.float64] = power[..., first : last + 1].mean(axis=-1)
        return mean

    def _alpha(self, power: NDArray[np.float64], interference: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many times to subtract in each frame. Shape: `(channels, 1, times)`."""
        total = power.sum(axis=-2, keepdims=True)
        if not self.follow_snr:
            return np.full_like(total, self.oversubtraction)
        with np.errstate(divide="ignore", invalid="ignore"):
            snr_db = 10 * np.log10(total / interference.sum(axis=-2, keepdims=True))
        snr_db = np.clip(np.nan_to_num(snr_db, nan=0.0), _LEAST_SNR_DB, _MOST_SNR_DB)
        alpha: NDArray[np.float64] = self.oversubtraction - (self.oversubtraction - 1) * snr_db / _MOST_SNR_DB
        return alpha
