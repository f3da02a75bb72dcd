"""NMF: the spectrogram as a sum of a few spectra that come and go.

D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001: V is W H, with
the multiplicative updates for the Kullback-Leibler divergence (theorem 2). The factorisation is blind:
which components sing is a guess, made from where in frequency and how often in time each one sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from plugin_bridge.separation.classical.cepstrum import mfcc
from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.masks import soft_mask
from plugin_bridge.separation.classical.voice_method import VoiceMethod

Matrix = NDArray[np.float64]

_LEAST = 1e-12
"""Smallest factor, for data of mean 1: keeps divisions defined and denormals away."""

_LOOK_EVERY = 10
"""Iterations between two looks at the divergence."""


@dataclass(frozen=True)
class Nmf(VoiceMethod):
    """Voice as the components that sound where voices do, and not all the time.

    The mean of the channels' magnitudes is factorised; one soft mask serves all channels.
    `grouping="rank"` takes the `sung_components` most like a voice (`voice_likeness`).
    `grouping="timbre"` parts the components' cepstra in two by k-means (as M. Spiertz and V. Gnann,
    "Source-filter based clustering for monaural blind source separation", DAFx 2009), begun from the
    components most and least like a voice.

    Raises `ValueError` for settings out of range.
    """

    components: int = 30
    iterations: int = 100
    tolerance: float = 1e-4
    """Relative decrease of the divergence in ten iterations below which they end."""
    seed: int = 0
    grouping: Literal["rank", "timbre"] = "rank"
    sung_components: int = 15
    band_low_hz: float = 200.0
    band_high_hz: float = 4000.0
    power: float = 1.0
    """Exponent of the soft mask: 1 is the model's own (its terms add up as magnitudes), 2 is Wiener's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("components", self.components, 2, 1000)
        check_limits("iterations", self.iterations, 1)
        check_limits("tolerance", self.tolerance, 0, 1)
        check_limits("seed", self.seed, 0)
        check_limits("band_low_hz", self.band_low_hz, 0, self.sample_rate / 2)
        check_limits("band_high_hz", self.band_high_hz, self.band_low_hz)
        check_limits("sung_components", self.sung_components, 1, self.components - 1)
        check_limits("power", self.power, 0.1, 8)
        if self.grouping not in ("rank", "timbre"):
            raise ValueError(f"grouping must be 'rank' or 'timbre', got {self.grouping!r}")

    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The components that sing. Shape: `(channels, frames)` to `(1, channels, frames)`."""
        stft = self.stft
        spectra = stft.analyse(mix)
        w, h = factorise(
            np.abs(spectra).mean(axis=0), self.components, self.iterations, self.tolerance, self.seed
        )
        sings = self.sings(w, h)
        spectra *= soft_mask(w[:, sings] @ h[sings], w[:, ~sings] @ h[~sings], self.power, undecided=0)
        return stft.synthesise(spectra, mix.shape[-1])[None]

    def voice_likeness(self, w: Matrix, h: Matrix) -> NDArray[np.float64]:
        """How much each component is like a voice, among the others.

        Twice as much weighs the share of its energy in the band as its rests: what sounds all the time is
        no voice.
        Shape: `(bins, components)` and `(components, times)` to `(components,)`.
        """
        frequencies_hz = self.stft.frequencies_hz(self.sample_rate)
        in_band = (frequencies_hz >= self.band_low_hz) & (frequencies_hz <= self.band_high_hz)
        share = (w[in_band] ** 2).sum(axis=0) / (w**2).sum(axis=0)
        likeness: NDArray[np.float64] = standardised(share) + 0.5 * standardised(sparseness(h))
        return likeness

    def sings(self, w: Matrix, h: Matrix) -> NDArray[np.bool_]:
        """Which components are taken for the voice.

        Shape: `(bins, components)` and `(components, times)` to `(components,)`.
        """
        likeness = self.voice_likeness(w, h)
        if self.grouping == "rank":
            chosen = np.zeros(len(likeness), np.bool_)
            chosen[np.argsort(-likeness, kind="stable")[: self.sung_components]] = True
            return chosen
        cepstra = mfcc(w**2, self.stft.frequencies_hz(self.sample_rate), bands=40, coefficients=13)
        return nearer_to_first(cepstra, int(likeness.argmax()), int(likeness.argmin()))


def factorise(
    v: Matrix, components: int, iterations: int, tolerance: float, seed: int
) -> tuple[Matrix, Matrix]:
    """W (columns of sum 1) and H, such that W H comes close to `v`.

    Shape: `(bins, times)` to `(bins, components)` and `(components, times)`.
    """
    mean = v.mean()
    v = v / mean if mean > 0 else v
    random = np.random.default_rng(seed)
    w = random.uniform(0.1, 1.1, (v.shape[0], components))
    h = random.uniform(0.1, 1.1, (components, v.shape[1]))
    before = np.inf
    for iteration in range(iterations):
        w, h = update(v, w, h)
        if (iteration + 1) % _LOOK_EVERY == 0:
            now = divergence(v, w, h)
            if before - now <= tolerance * before < np.inf:
                break
            before = now
    sums = w.sum(axis=0)
    return w / sums, h * (sums * mean)[:, None]


def update(v: Matrix, w: Matrix, h: Matrix) -> tuple[Matrix, Matrix]:
    """One round of multiplicative updates, H then W; the divergence never rises (theorem 2)."""
    h = np.maximum(h * (w.T @ (v / (w @ h))) / w.sum(axis=0)[:, None], _LEAST)
    w = np.maximum(w * ((v / (w @ h)) @ h.T) / h.sum(axis=1), _LEAST)
    return w, h


def divergence(v: Matrix, w: Matrix, h: Matrix) -> float:
    """D(V || W H) = sum of V log(V / W H) - V + W H (Lee and Seung, eq. 3)."""
    return float(special.kl_div(v, w @ h).sum())


def sparseness(h: Matrix) -> NDArray[np.float64]:
    """How few of the times make up a row: 0 for all alike, 1 for a single one.

    P. O. Hoyer, "Non-negative matrix factorization with sparseness constraints", 2004, section 3.1.
    Shape: `(components, times)` to `(components,)`.
    """
    most = np.sqrt(h.shape[1])
    few: NDArray[np.float64] = (most - h.sum(axis=1) / np.sqrt((h**2).sum(axis=1))) / (most - 1)
    return few


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of mean 0 and deviation 1; all 0 where they do not differ. Shape: `(values,)` to the same."""
    centred = values - values.mean()
    deviation = float(centred.std())
    return centred / deviation if deviation > 1e-9 else np.zeros_like(centred)


def nearer_to_first(points: Matrix, first: int, second: int) -> NDArray[np.bool_]:
    """The points in the first of two clusters found by k-means from two points to begin with.

    Shape: `(points, dimensions)` to `(points,)`.
    """
    centres = points[[first, second]]
    chosen = np.zeros(len(points), np.bool_)
    for _ in range(100):
        to_first, to_second = (((points - centre) ** 2).sum(axis=1) for centre in centres)
        previous, chosen = chosen, to_first < to_second
        if np.array_equal(previous, chosen) or chosen.all() or not chosen.any():
            break
        centres = np.stack((points[chosen].mean(axis=0), points[~chosen].mean(axis=0)))
    return chosen
