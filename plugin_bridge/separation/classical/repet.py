"""REPET: what repeats in time is the accompaniment.

Z. Rafii, B. Pardo, "REpeating Pattern Extraction Technique (REPET): a simple method for music/voice
separation", IEEE Transactions on Audio, Speech, and Language Processing 21(1), 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.masks import Magnitudes, repeating_mask
from plugin_bridge.separation.classical.voice_method import VoiceMethod

_SHIFT = 2
"""Lags by which a peak of the beat spectrum may miss a multiple of the period (delta, Algorithm 1)."""


@dataclass(frozen=True)
class Repet(VoiceMethod):
    """Voice over an accompaniment that repeats with one period.

    The paper searches all lags; here they are limited to those a bar can have. A signal shorter than
    four of the shortest has no period to find and goes to the accompaniment whole.

    Raises `ValueError` for settings out of range.
    """

    shortest_period_seconds: float = 0.8
    longest_period_seconds: float = 8.0
    highpass_hz: float = 100.0
    """Below it everything is accompaniment, as in the paper's evaluation; 0 turns it off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("shortest_period_seconds", self.shortest_period_seconds, 4 * self.hop / self.sample_rate)
        check_limits("longest_period_seconds", self.longest_period_seconds, self.shortest_period_seconds)
        check_limits("highpass_hz", self.highpass_hz, 0, self.sample_rate / 2)

    def period(self, magnitudes: Magnitudes) -> int | None:
        """The repeating period in frames of the grid, None where the signal is too short for one.

        Shape: `(channels, bins, times)`.
        """
        rate = self.sample_rate / self.hop
        shortest, longest = self.shortest_period_seconds * rate, self.longest_period_seconds * rate
        return repeating_period(beat_spectrum(magnitudes), round(shortest), round(longest))

    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The voice: all that exceeds the repeating part.

        Shape: `(channels, frames)` to `(1, channels, frames)`.
        """
        stft = self.stft
        spectra = stft.analyse(mix)
        magnitudes = np.abs(spectra)
        period = self.period(magnitudes)
        if period is None:
            return np.zeros((1, *mix.shape))
        spectra *= 1 - repeating_mask(magnitudes, repeating_spectrogram(magnitudes, period))
        spectra[:, stft.frequencies_hz(self.sample_rate) < self.highpass_hz] = 0
        return stft.synthesise(spectra, mix.shape[-1])[None]


def beat_spectrum(magnitudes: Magnitudes) -> NDArray[np.float64]:
    """How much the power spectra resemble themselves at each lag; 1 at lag 0 (eqs. 1, 2).

    The unbiased autocorrelation of each bin's power, averaged over the bins.
    Shape: `(channels, bins, times)` to `(times,)`, in frames of the grid.
    """
    times = magnitudes.shape[-1]
    length = fft.next_fast_len(2 * times - 1, real=True)
    spectrum = np.zeros(length // 2 + 1)
    for first in range(0, magnitudes.shape[1], 128):  # in parts, so that memory stays small
        power = (magnitudes[:, first : first + 128] ** 2).mean(axis=0)
        spectrum += (np.abs(fft.rfft(power, length, axis=-1)) ** 2).sum(axis=0)
    correlation = fft.irfft(spectrum, length)[:times] / np.arange(times, 0, -1)
    beat: NDArray[np.float64] = correlation / correlation[0] if correlation[0] > 0 else correlation
    return beat


def repeating_period(beat: NDArray[np.float64], shortest: int, longest: int) -> int | None:
    """The lag at whose multiples the beat spectrum peaks highest above its surroundings (Algorithm 1).

    The longest quarter of the lags is not looked at, and three periods must fit into the rest.
    """
    lags = len(beat) - len(beat) // 4
    candidates = range(max(shortest, _SHIFT + 1), min(longest, (lags - 1) // 3) + 1)
    heights = [_mean_peak(beat[:lags], lag) for lag in candidates]
    if not heights or max(heights) <= 0:
        return None
    return candidates[int(np.argmax(heights))]


def _mean_peak(beat: NDArray[np.float64], lag: int) -> float:
    """How far the multiples of `lag` rise above their surroundings, zero for those that are no peak."""
    around, height = 3 * lag // 4, 0.0
    for multiple in range(lag, len(beat), lag):
        near_start, far_start = multiple - _SHIFT, multiple - around
        near = near_start + int(np.argmax(beat[near_start : multiple + _SHIFT + 1]))
        surroundings = beat[far_start : multiple + around + 1]
        if near == far_start + int(np.argmax(surroundings)):
            height += float(beat[near] - surroundings.mean())
    return height / ((len(beat) - 1) // lag)


def repeating_spectrogram(magnitudes: Magnitudes, period: int) -> Magnitudes:
    """The median over the periods, repeated (eq. 4). Shape: `(channels, bins, times)` to the same."""
    times = magnitudes.shape[-1]
    whole, rest = divmod(times, period)
    segments = magnitudes[..., : whole * period].reshape(*magnitudes.shape[:-1], whole, period)
    segment = np.median(segments, axis=-2)
    if rest:  # the last, broken segment has a say where it has sound
        ends = np.concatenate((segments[..., :rest], magnitudes[..., None, whole * period :]), axis=-2)
        segment[..., :rest] = np.median(ends, axis=-2)
    return np.tile(segment, whole + 1)[..., :times]
