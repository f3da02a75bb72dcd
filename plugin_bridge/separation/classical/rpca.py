"""Robust PCA: the accompaniment is of low rank, the voice is sparse.

E. Candès, X. Li, Y. Ma, J. Wright, "Robust principal component analysis?", Journal of the ACM 58(3),
2011 (eq. 1.1); solved by the inexact augmented Lagrange multipliers of Z. Lin, M. Chen, Y. Ma, "The
augmented Lagrange multiplier method for exact recovery of corrupted low-rank matrices", 2010
(algorithm 5); used for singing as in P.-S. Huang, S. D. Chen, P. Smaragdis, M. Hasegawa-Johnson,
"Singing-voice separation from monaural recordings using robust principal component analysis", ICASSP
2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.masks import soft_mask
from plugin_bridge.separation.classical.voice_method import VoiceMethod

Matrix = NDArray[np.float64]

_GROWTH = 1.5
"""Factor by which the penalty grows in each iteration (rho)."""


@dataclass(frozen=True)
class Rpca(VoiceMethod):
    """Voice as the sparse part of the spectrogram.

    The mean of the channels' magnitudes is decomposed; one mask serves all channels. The defaults are
    Huang et al.'s. A soft mask and a high-pass, which they do not have, help much where drums and bass
    are sparse, too.

    Raises `ValueError` for settings out of range.
    """

    window_seconds = 24.0
    """What counts as sparse depends on the length; Huang et al. gave it clips of 4 to 13 s."""

    sparsity: float = 1.0
    """Weight of the sparse part, in units of 1 / sqrt(max(bins, times)) (k in Huang et al., section 2.2)."""
    gain: float = 1.0
    """How many times larger than the low-rank part the voice must be in a cell (Huang et al., eq. 4)."""
    binary: bool = True
    """Give each cell to one stem whole; else by Wiener's mask."""
    highpass_hz: float = 0.0
    """Below it everything is accompaniment."""
    tolerance: float = 1e-5
    """Relative Frobenius norm of what both parts may leave unexplained."""
    iterations: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("sparsity", self.sparsity, 0.01, 100)
        check_limits("gain", self.gain, 0, 100)
        check_limits("highpass_hz", self.highpass_hz, 0, self.sample_rate / 2)
        check_limits("tolerance", self.tolerance, 1e-9, 0.1)
        check_limits("iterations", self.iterations, 1)

    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The voice: what the sparse part claims.

        Shape: `(channels, frames)` to `(1, channels, frames)`.
        """
        stft = self.stft
        spectra = stft.analyse(mix)
        magnitudes = np.abs(spectra).mean(axis=0)
        weight = self.sparsity / np.sqrt(max(magnitudes.shape))
        low_rank, sparse = principal_component_pursuit(magnitudes, weight, self.tolerance, self.iterations)
        spectra *= self._mask(np.abs(sparse), self.gain * np.abs(low_rank))
        spectra[:, stft.frequencies_hz(self.sample_rate) < self.highpass_hz] = 0
        return stft.synthesise(spectra, mix.shape[-1])[None]

    def _mask(self, voice: Matrix, rest: Matrix) -> Matrix:
        return (voice > rest).astype(np.float64) if self.binary else soft_mask(voice, rest, 2, undecided=0)


def principal_component_pursuit(
    matrix: Matrix, weight: float, tolerance: float = 1e-7, iterations: int = 1000
) -> tuple[Matrix, Matrix]:
    """The low-rank and the sparse matrix that minimise nuclear norm + `weight` * sum of magnitudes.

    They sum to `matrix` but for `tolerance`, relative to its Frobenius norm, unless the iterations run
    out before. Shape: `(rows, columns)` to two of the same.
    """
    if matrix.shape[0] > matrix.shape[1]:
        low_rank, sparse = principal_component_pursuit(matrix.T, weight, tolerance, iterations)
        return low_rank.T, sparse.T
    norm = float(np.linalg.norm(matrix))
    low_rank, sparse = np.zeros_like(matrix), np.zeros_like(matrix)
    if norm == 0:
        return low_rank, sparse
    spectral_norm = float(np.sqrt(linalg.eigvalsh(matrix @ matrix.T)[-1]))
    penalty = 1.25 / spectral_norm
    multipliers = matrix / max(spectral_norm, float(np.abs(matrix).max()) / weight)
    for _ in range(iterations):
        shifted = matrix + multipliers / penalty
        sparse = _shrink(shifted - low_rank, weight / penalty)
        low_rank = _shrink_singular_values(shifted - sparse, 1 / penalty)
        unexplained = matrix - low_rank - sparse
        if np.linalg.norm(unexplained) < tolerance * norm:
            break
        multipliers += penalty * unexplained
        penalty = min(penalty * _GROWTH, 1e7 * 1.25 / spectral_norm)
    return low_rank, sparse


def _shrink(matrix: Matrix, by: float) -> Matrix:
    """Every entry moved towards zero by `by`."""
    return matrix - np.clip(matrix, -by, by)


def _shrink_singular_values(matrix: Matrix, by: float) -> Matrix:
    """Every singular value lowered by `by`, those below it dropped; no more rows than columns.

    U and the singular values come from the small Gram matrix A A', and
    U max(s - by, 0) V' = U (max(s - by, 0) / s) U' A needs no V. That squares the condition: exact to
    about 1e-8 of the largest singular value, far below any `by` that occurs.
    """
    # All eigenvectors: LAPACK finds a part of them faster only where it is less than a fifth.
    squares, left = linalg.eigh(matrix @ matrix.T, driver="evd")
    first = int(np.searchsorted(squares, by**2, side="right"))
    kept, left = 1 - by / np.sqrt(squares[first:]), left[:, first:]
    lowered: Matrix = (left * kept) @ (left.T @ matrix)
    return lowered
