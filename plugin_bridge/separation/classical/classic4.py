"""Vocals, drums, bass and the rest, from four classic observations and no weights.

Each source k is given a power in every cell of the spectrogram, and a mask that is its share of them all
(the generalised Wiener filter, the MMSE estimate for independent Gaussian sources). The logarithm of
that power is a sum of evidence: where in the spectrum the source usually lies, how centred, sustained,
spread, decaying and noisy the cell is (`cell_evidence.py`: Avendano 2003, Fitzgerald 2010), and how much
of it is a repetition (`repetition_memory.py`: Rafii and Pardo 2013). So each weight is the exponent of
one classic soft mask, and the masks are multiplied and normalised together, because stems that sum to the
mix pay for each other's errors.

Mid and side have masks of their own, that differ by how wide each source usually is: a voice in the
centre gives nothing to the side. A second pass multiplies each power by what the source held in this
bin over the last second by the masks of the first pass, so that the masks follow the song; the second
pass does not feed itself.

The 37 numbers (19 exponents, and 18 points of the curves over frequency) were fitted together by gradient
descent (Adam) on the mean SDR in dB over all stems and songs, on 94 training excerpts of 7 s of MUSDB18,
whose mixes are the sums of their stems; every third frame was used. Which evidence to keep was decided by
fitting 56 of these songs and looking at the other 38. The songs of the card's scores were scored once,
afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.classical.cell_evidence import CellEvidence, log_ratio
from plugin_bridge.separation.classical.limits import check_limits, check_odd
from plugin_bridge.separation.classical.repetition_memory import RepetitionMemory
from plugin_bridge.separation.spectral import FrameSeparator, SpectralSeparator, Spectrum, Stft

Curve = tuple[float, float, float, float]
"""Values at `Classic4.prior_hz`."""

Claims = tuple[float, float, float]
"""One weight each for vocals, drums and bass, relative to the rest."""

_LEAST_SHARE = 1e-4

_SPREAD_HZ, _DECAYING_HZ, _NOISY_HZ = 200.0, 97.0, 334.0
"""Widths of the bands in which cells are compared with their neighbours."""


@dataclass(frozen=True)
class Classic4(SpectralSeparator):
    """Vocals, drums, bass and the rest, by soft masks of centre, medians and repetition; streaming.

    All weights are exponents of amplitude ratios, natural logarithms are what they multiply.

    Raises `ValueError` for settings out of range.
    """

    sources = ("vocals", "drums", "bass", "other")
    sample_rate = 44100
    channels = 2

    window: int = 4096
    hop: int = 1024
    lookahead_frames: int = 2
    """Frames of future: half of what the centre is averaged over, a third of the median along time."""
    past_seconds: float = 5.0
    """How far back repetitions are looked for."""
    gap_seconds: float = 0.15
    """How far back a frame must lie to be a repetition and not a continuation."""
    similar_frames: int = 9
    """Of how many similar frames the median is taken."""
    habit_seconds: float = 1.0
    """The time constant of the second pass."""

    prior_hz: Curve = (60.0, 250.0, 1000.0, 5000.0)
    """Where the prior curves have their corners; straight in between, over the logarithm of frequency."""
    vocals_prior: Curve = (-3.51, -1.19, -1.05, -1.15)
    """Logarithm of the usual power of the voice, relative to the rest."""
    drums_prior: Curve = (0.74, -1.62, -4.19, -1.27)
    bass_prior: Curve = (0.48, -1.02, -4.37, -2.38)
    width_hz: tuple[float, float] = (200.0, 4000.0)
    """Corners of the width curves."""
    vocals_width: tuple[float, float] = (-0.13, 0.32)
    """Logarithm of the usual power in the side over that in the mid, relative to the rest."""
    drums_width: tuple[float, float] = (-0.15, 2.13)
    bass_width: tuple[float, float] = (-1.11, -1.31)

    centred: Claims = (0.31, 0.23, 0.38)
    sustained: Claims = (-0.62, -1.40, 0.03)
    spread: Claims = (-0.04, 0.38, -0.04)
    decaying: Claims = (0.03, 0.85, -0.15)
    noisy: Claims = (-0.50, -0.25, -0.27)
    repeated: Claims = (-0.24, 0.16, 0.15)
    habit: float = 1.30
    """Exponent of what a source held here in the last second; 0 turns the second pass off."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(field.default, tuple):
                numbers = _numbers(field.name, getattr(self, field.name), len(field.default))
                object.__setattr__(self, field.name, numbers)
        self.stft  # noqa: B018  # refuses window and hop
        check_limits("lookahead_frames", self.lookahead_frames, 1, 64)
        check_limits("gap_seconds", self.gap_seconds, 0)
        check_limits("past_seconds", self.past_seconds, self.gap_seconds + 0.5, 60)
        check_odd("similar_frames", self.similar_frames)
        check_limits("similar_frames", self.similar_frames, 1, self.memory - self.gap_frames)
        check_limits("habit_seconds", self.habit_seconds, 0.01, 60)
        check_limits("habit", self.habit, 0, 4)

    @property
    def stft(self) -> Stft:
        """The grid of frames."""
        return Stft(self.window, self.hop)

    @property
    def lookahead(self) -> int:
        """Frames of future that a frame needs."""
        return self.lookahead_frames

    @property
    def memory(self) -> int:
        """Frames of past that a frame is compared with; the second pass fades faster."""
        return round(self.past_seconds * self.sample_rate / self.hop)

    @property
    def gap_frames(self) -> int:
        """Frames of past that are no repetition yet."""
        return round(self.gap_seconds * self.sample_rate / self.hop)

    def frame_separator(self) -> FrameSeparator:
        """A fresh state."""
        return _SharedPowers(self)

    def prior(self) -> NDArray[np.float64]:
        """Logarithms of the usual powers, relative to the rest. Shape: `(3, bins)`."""
        return self._curves(self.prior_hz, (self.vocals_prior, self.drums_prior, self.bass_prior))

    def width(self) -> NDArray[np.float64]:
        """Logarithms of side over mid power, relative to the rest. Shape: `(3, bins)`."""
        return self._curves(self.width_hz, (self.vocals_width, self.drums_width, self.bass_width))

    def claims(self) -> NDArray[np.float64]:
        """The weights, `(3, kinds of evidence)`: `CellEvidence.names`, then repetition."""
        kinds = (*(getattr(self, name) for name in CellEvidence.names), self.repeated)
        return np.array(kinds, np.float64).T

    def _curves(
        self, corners_hz: tuple[float, ...], curves: tuple[tuple[float, ...], ...]
    ) -> NDArray[np.float64]:
        frequencies = np.log(np.maximum(self.stft.frequencies_hz(self.sample_rate), 1.0))
        return np.stack([np.interp(frequencies, np.log(corners_hz), curve) for curve in curves])


class _SharedPowers:
    """The frames that are waiting for their future, the evidence, and what each source held before."""

    def __init__(self, config: Classic4) -> None:
        bins = config.stft.bins
        bin_hz = config.sample_rate / config.window
        self._evidence = CellEvidence(
            bins,
            config.lookahead,
            spread_bins=_odd(_SPREAD_HZ / bin_hz),
            decaying_bins=_odd(_DECAYING_HZ / bin_hz),
            noisy_bins=_odd(_NOISY_HZ / bin_hz),
        )
        self._repetition = RepetitionMemory(bins, config.memory, config.gap_frames, config.similar_frames)
        self._prior, self._width, self._claims = config.prior(), config.width(), config.claims()
        self._habit = config.habit
        self._keep = float(np.exp(-config.hop / (config.habit_seconds * config.sample_rate)))
        self._held = np.zeros((len(config.sources), bins))
        self._waiting = np.zeros((config.lookahead + 1, 2, bins), np.complex128)
        self._age = 0

    def process(self, spectrum: Spectrum) -> Spectrum:
        """Shape: `(2, bins)`, left and right, to `(3, 2, bins)`."""
        mid_side = np.stack((spectrum[0] + spectrum[1], spectrum[0] - spectrum[1])) / np.sqrt(2)
        self._evidence.push(mid_side.real**2 + mid_side.imag**2)
        self._waiting[:-1] = self._waiting[1:]
        self._waiting[-1] = mid_side
        self._age += 1
        if self._age < len(self._waiting):
            return np.zeros((3, 2, spectrum.shape[-1]), np.complex128)
        mid, side = (self._masks() * self._waiting[0]).swapaxes(0, 1)
        separated: Spectrum = np.stack((mid + side, mid - side), axis=1) / np.sqrt(2)
        return separated

    def gather(self) -> NDArray[np.float64]:
        """All evidence on the frame whose turn it is. Shape: `(6, bins)`."""
        amplitude = np.ascontiguousarray(self._evidence.amplitude)
        repeated = log_ratio(self._repetition.recall(amplitude), amplitude)
        return np.concatenate((self._evidence.gather(), repeated[None]))

    def _masks(self) -> NDArray[np.float64]:
        """Shape: `(3, 2, bins)`."""
        powers = self._prior + self._claims @ self.gather()
        powers = np.stack((powers, powers + self._width), axis=1)
        shares = _shares(powers)
        if self._habit:
            shares = _shares(powers + self._habit * self._habits(shares)[:, None])
        return shares[:3]

    def _habits(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithms of what vocals, drums and bass held, relative to the rest.

        Shape: `(4, 2, bins)` to `(3, bins)`.
        """
        frame = self._waiting[0].real ** 2 + self._waiting[0].imag ** 2
        self._held *= self._keep
        self._held += (shares * frame).sum(axis=1)
        held = self._held + _LEAST_SHARE * self._held.sum(axis=0) + np.finfo(np.float64).tiny
        relative: NDArray[np.float64] = np.log(held[:3] / held[3])
        return relative

    def reset(self) -> None:
        self._evidence.reset()
        self._repetition.reset()
        self._held.fill(0)
        self._waiting.fill(0)
        self._age = 0


def _numbers(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    """A tuple, also from a list as cards have it.

    Raises `ValueError` unless it holds `count` finite numbers.
    """
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} must have {count} finite numbers, got {values}")
    return numbers


def _odd(bins: float) -> int:
    return round(bins) | 1


def _shares(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each source's share of the cell, given log powers relative to the last source.

    Shape: `(3, ...)` to `(4, ...)`.
    """
    powers = np.concatenate((powers, np.zeros_like(powers[:1])))
    powers = np.exp(powers - powers.max(axis=0))
    shares: NDArray[np.float64] = powers / powers.sum(axis=0)
    return shares
