"""REPET-MFCC: REPET-SIM that compares timbres instead of spectra.

A baseline in the literature on the singing voice (named so in comparisons with REPET and REPET-SIM)
without one agreed definition; here the similarity matrix of Rafii and Pardo (ISMIR 2012) is taken
between mel-frequency cepstra, and all that follows is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.classical.cepstrum import mfcc
from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.masks import Magnitudes
from plugin_bridge.separation.classical.repet_sim import RepetSim


@dataclass(frozen=True)
class RepetMfcc(RepetSim):
    """Voice over an accompaniment whose timbres come again.

    Raises `ValueError` for settings out of range.
    """

    mel_bands: int = 40
    coefficients: int = 20
    """Cepstral coefficients compared; the zeroth, the level, is not among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("mel_bands", self.mel_bands, 2, self.window // 2)
        check_limits("coefficients", self.coefficients, 1, self.mel_bands - 1)

    def features(self, magnitudes: Magnitudes) -> NDArray[np.float64]:
        """What frames are compared by: their cepstra.

        Shape: `(channels, bins, times)` to `(times, features)`.
        """
        frequencies_hz = self.stft.frequencies_hz(self.sample_rate)
        return mfcc((magnitudes**2).mean(axis=0), frequencies_hz, self.mel_bands, self.coefficients)
