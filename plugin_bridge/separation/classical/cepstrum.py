"""Mel-frequency cepstral coefficients: the shape of a spectrum in a few numbers.

S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition",
IEEE Transactions on Acoustics, Speech, and Signal Processing 28(4), 1980.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_FLOOR = 1e-10
"""Smallest band power, relative to the loudest: 100 dB down, so that a gap weighs no more than silence."""


def mel_bands(frequencies_hz: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """Triangles equally spaced in mel (2595 log10(1 + f / 700)), from 0 Hz to the highest frequency.

    Shape: `(bins,)` to `(bands, bins)`; every peak is 1.
    """
    highest_mel = 2595 * np.log10(1 + frequencies_hz[-1] / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, highest_mel, bands + 2) / 2595) - 1)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising, falling = (frequencies_hz - low) / (centre - low), (high - frequencies_hz) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling))


def mfcc(
    power: NDArray[np.float64], frequencies_hz: NDArray[np.float64], bands: int, coefficients: int
) -> NDArray[np.float64]:
    """The first `coefficients` after the zeroth of the DCT-II (orthonormal) of the bands' logarithms.

    The zeroth, the level, is left out. Shape: `(bins, times)` to `(times, coefficients)`.
    """
    in_bands = power.T @ mel_bands(frequencies_hz, bands).T
    loudest = in_bands.max(initial=0)
    if loudest <= 0:
        return np.zeros((power.shape[1], coefficients))
    logarithms = np.log(np.maximum(in_bands / loudest, _FLOOR))
    cepstra: NDArray[np.float64] = fft.dct(logarithms, type=2, axis=1, norm="ortho")[:, 1 : coefficients + 1]
    return cepstra
