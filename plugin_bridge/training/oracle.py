"""Ideal masks: what masks on a spectrogram could reach if they knew the stems, and one song's on another.

The masks are of mix and stems on the grid of `spectral.Stft` with its usual sizes. Polimeno et al. (section
3.1) compute Wiener and binary masks on one track and apply them to another.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.separation.spectral import Stft

MaskKind = Literal["wiener", "binary", "ratio"]
KINDS: tuple[MaskKind, ...] = get_args(MaskKind)

_SMALLEST = 1e-20
"""Power below which a cell holds nothing; its mask is an equal share."""


def ideal_masks(stems: Stems, kind: MaskKind, stft: Stft | None = None) -> NDArray[np.float32]:
    """The masks of the stems, summing to one in every cell.

    `wiener`: each source's power over the sum of powers. `ratio`: its magnitude over the sum of magnitudes.
    `binary`: 1 for the loudest source, 0 for the others. Cells without any sound are shared equally.
    Shape: `(sources, channels, frames)` to `(sources, channels, bins, times)`. Raises `ValueError` for
    another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"a mask must be one of {', '.join(KINDS)}, got '{kind}'")
    powers = np.abs((stft or Stft()).analyse(stems)) ** 2
    sounding = powers.sum(axis=0) > _SMALLEST
    if kind == "binary":
        shares = (powers.argmax(axis=0) == np.arange(len(powers)).reshape(-1, 1, 1, 1)).astype(np.float64)
    else:
        shares = powers if kind == "wiener" else np.sqrt(powers)
        shares = shares / np.where(sounding, shares.sum(axis=0), 1.0)
    return np.where(sounding, shares, 1 / len(powers)).astype(np.float32)


def masked(mix: Audio, masks: NDArray[np.floating], stft: Stft | None = None) -> Stems:
    """The mix through masks; masks that sum to one give stems that sum to the mix.

    Masks shorter than the mix are repeated, longer ones cut. Shape: `(channels, frames)` and
    `(sources, channels, bins, times)` to `(sources, channels, frames)`.
    """
    grid = stft or Stft()
    spectra = grid.analyse(mix)
    times = np.arange(spectra.shape[-1]) % masks.shape[-1]
    return np.stack([grid.synthesise(mask[..., times] * spectra, mix.shape[-1]) for mask in masks]).astype(
        np.float32
    )
