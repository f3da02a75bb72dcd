"""Levels of one signal, measured block by block: peak, true peak, integrated loudness.

Loudness is ITU-R BS.1770-4 with the K-weighting filters of pyloudnorm; its gates need only the energies
of the 400 ms blocks, ten sums a second. True peak is the peak at four times the rate (BS.1770-4, annex 2).
"""

import math
from array import array

import numpy as np
import pyloudnorm
import soxr
from numpy.typing import NDArray
from scipy.signal import lfilter

from plugin_bridge.separation.separator import Audio

_STEPS_PER_BLOCK = 4  # a gating block is 400 ms long and starts every 100 ms
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OVERSAMPLING = 4


class LoudnessMeter:
    """Integrated loudness of a mono or stereo signal (both channel weights are 1)."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sample_rate = sample_rate
        stages = pyloudnorm.Meter(sample_rate)._filters.values()
        self._stages = [(stage.passband_gain * stage.b, stage.a) for stage in stages]
        self._states = [np.zeros((channels, 2)) for _ in self._stages]
        self._frames = 0
        self._unfinished = 0.0
        self._energies = array("d")  # of each 100 ms, channels summed

    def add(self, audio: Audio) -> None:
        """Measure the next block. Shape: `(channels, frames)`."""
        if not audio.shape[-1]:
            return
        power = np.square(self._weighted(audio)).sum(axis=0)
        end = self._frames + power.shape[0]
        step = len(self._energies) + 1
        edges = []
        while (edge := step * self._sample_rate // 10) <= end:
            edges.append(edge - self._frames)
            step += 1
        for part in np.split(power, edges)[:-1]:
            self._energies.append(self._unfinished + float(part.sum()))
            self._unfinished = 0.0
        self._unfinished += float(power[edges[-1] if edges else 0 :].sum())
        self._frames = end

    @property
    def integrated_lufs(self) -> float | None:
        """LUFS of everything so far; None for less than 400 ms, and where the gates leave nothing."""
        steps = np.frombuffer(self._energies)
        if len(steps) < _STEPS_PER_BLOCK:
            return None
        sums = np.convolve(steps, np.ones(_STEPS_PER_BLOCK), "valid")
        blocks = np.maximum(sums, 0.0) / (0.4 * self._sample_rate)
        loud = blocks[blocks >= _mean_square(_ABSOLUTE_GATE_LUFS)]
        if not loud.size:
            return None
        gate = _lufs(float(loud.mean())) + _RELATIVE_GATE_LU
        return _lufs(float(loud[loud > _mean_square(gate)].mean()))

    def _weighted(self, audio: Audio) -> NDArray[np.float64]:
        weighted = audio.astype(np.float64)
        for index, (b, a) in enumerate(self._stages):
            weighted, self._states[index] = lfilter(b, a, weighted, axis=-1, zi=self._states[index])
        return weighted


class TruePeakMeter:
    """Largest magnitude of the signal between its samples too."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._channels = channels
        self._resampler = soxr.ResampleStream(
            sample_rate, _OVERSAMPLING * sample_rate, channels, dtype="float32", quality="HQ"
        )
        self.peak = 0.0

    def add(self, audio: Audio, *, last: bool = False) -> None:
        """Measure the next block; `last` ends the signal. Shape: `(channels, frames)`."""
        finer = self._resampler.resample_chunk(np.ascontiguousarray(audio.T), last=last)
        # The samples themselves count as well: the interpolation ripples by some thousandths of a dB.
        self.peak = max(self.peak, largest(finer), largest(audio))

    def finish(self) -> None:
        """Measure what the interpolation still holds."""
        self.add(np.zeros((self._channels, 0), np.float32), last=True)


class LevelMeter:
    """The three figures of one stem: `peak_dbfs`, `true_peak_dbtp` and `integrated_lufs`."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._loudness = LoudnessMeter(sample_rate, channels)
        self._true_peak = TruePeakMeter(sample_rate, channels)
        self._peak = 0.0

    def add(self, audio: Audio) -> None:
        """Measure the next block. Shape: `(channels, frames)`."""
        self._peak = max(self._peak, largest(audio))
        self._loudness.add(audio)
        self._true_peak.add(audio)

    def finish(self) -> None:
        """End the signal; call once, before reading the true peak."""
        self._true_peak.finish()

    @property
    def peak_dbfs(self) -> float | None:
        """Sample peak in dBFS, None for digital silence."""
        return decibels(self._peak)

    @property
    def true_peak_dbtp(self) -> float | None:
        """True peak in dBTP, None for digital silence."""
        return decibels(self._true_peak.peak)

    @property
    def integrated_lufs(self) -> float | None:
        """Integrated loudness in LUFS, None where there is none to measure."""
        return self._loudness.integrated_lufs


def largest(audio: NDArray[np.floating]) -> float:
    """The largest magnitude, 0 of nothing."""
    return max(float(audio.max()), -float(audio.min())) if audio.size else 0.0


def decibels(amplitude: float) -> float | None:
    """dB relative to 1, None of zero."""
    return 20 * math.log10(amplitude) if amplitude > 0 else None


def _lufs(mean_square: float) -> float:
    return -0.691 + 10 * math.log10(mean_square)


def _mean_square(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))
