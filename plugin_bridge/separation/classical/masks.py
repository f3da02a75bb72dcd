"""Masks: which part of a time-frequency cell belongs to a source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Magnitudes = NDArray[np.float64]
"""Absolute values of spectra."""


def soft_mask(target: Magnitudes, rest: Magnitudes, power: float, undecided: float = 0.5) -> Magnitudes:
    """The share of `target` in each cell, `target^p / (target^p + rest^p)`; Wiener's for p = 2.

    Where both are zero it is `undecided`. Shape: any, the same for all.
    """
    wanted = target**power
    both = wanted + rest**power
    return np.divide(wanted, both, out=np.full_like(both, undecided), where=both > 0)


def repeating_mask(magnitudes: Magnitudes, repeating: Magnitudes) -> Magnitudes:
    """The share of what repeats, `min(V, W) / V`, one in empty cells (Rafii and Pardo 2013, eqs. 5, 6).

    Shape: any, the same for all.
    """
    share = np.minimum(magnitudes, repeating)
    return np.divide(share, magnitudes, out=np.ones_like(share), where=magnitudes > 0)
