"""Estimates split as BSSEval does: by projection on shifted references.

Févotte, Gribonval and Vincent, "BSS_EVAL toolbox user guide", 2005; Vincent et al., "First stereo audio
source separation evaluation campaign", 2007; version 4: Stöter, Liutkus and Ito, LVA/ICA 2018.

museval and mir_eval are what this is held to by tests; two things differ. They factor the references' Gram
matrix (4096 by 4096 for four stereo stems) anew for each estimate; here it is factored once for a song and
serves every estimate of it, raw, consistent and the mix alike. And museval cuts frames out of the references
before it filters them. Coded or filtered music has bands with next to nothing in them, where filters may
have enormous gains; the cuts' broad spectra meet these, and an ideal Wiener mask of 8 dB SDR then has -27 dB
SIR and 0 dB SAR on a Vorbis-coded song. Here the song is filtered as one piece, and the frames are cut out of
the result. SDR is the same to the last digit either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg

TAPS = 512
"""Length of the distortion filters that count as no artefact, as in every version of BSSEval."""

_RIDGE = 1e-10
"""Added to the diagonal of references of unit energy: two equal channels make the matrix singular."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Energies:
    """Energies of the parts of each estimate in each frame, `(sources, frames)` each.

    `true` is the reference, `target` what filtering it explains of the estimate, `all` what filtering all
    references explains; the others are of differences.
    """

    true: Array
    target: Array
    all: Array
    estimate_minus_true: Array
    target_minus_true: Array
    all_minus_target: Array
    estimate_minus_target: Array
    estimate_minus_all: Array


class Projection:
    """The references of one song, factored so that many estimates can be projected on them.

    Shape: `references` is `(sources, channels, frames)`, none of the sources silent.
    """

    def __init__(self, references: NDArray[np.floating], taps: int = TAPS) -> None:
        self.references = np.asarray(references, np.float64)
        self.taps = taps
        self._sources, self._channels, self._frames = self.references.shape
        flat = self.references.reshape(-1, self._frames)
        norms = np.sqrt(np.sum(flat**2, axis=1))
        scales = 1 / np.where(norms > 0, norms, 1.0)
        self._size = fft.next_fast_len(self._frames + taps - 1, real=True)
        self._spectra = fft.rfft(flat * scales[:, None], self._size, axis=-1)

    @cached_property
    def _factors(self) -> tuple[list[tuple[Array, bool]], tuple[Array, bool]]:
        """Cholesky factors of each source's own Gram matrix, and of all sources' together."""
        gram, wide = self._gram(), self._channels * self.taps
        own = [
            linalg.cho_factor(gram[at : at + wide, at : at + wide], lower=True, check_finite=False)
            for at in range(0, len(gram), wide)
        ]
        return own, linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)

    def _gram(self) -> Array:
        """Products of all references at all shifts: `r_ij(a - b)` for reference i by a, j by b frames."""
        signals, taps = len(self._spectra), self.taps
        gram = np.empty((signals * taps, signals * taps), order="F")
        for i in range(signals):
            for j in range(i + 1):
                r = fft.irfft(self._spectra[i].conj() * self._spectra[j], self._size)
                block = linalg.toeplitz(r[:taps], np.concatenate((r[:1], r[:-taps:-1])))
                gram[i * taps : (i + 1) * taps, j * taps : (j + 1) * taps] = block
                gram[j * taps : (j + 1) * taps, i * taps : (i + 1) * taps] = block.T
        gram[np.diag_indices_from(gram)] += _RIDGE
        return gram

    def energies(self, estimates: NDArray[np.floating], frame: int | None = None) -> Energies:
        """Energies in whole frames of `frame` samples, or of the whole signal with the filters' ringing.

        Shape: `estimates` as the references.
        """
        found = [self._of_source(source, estimates[source], frame) for source in range(self._sources)]
        return Energies(*(np.stack(part) for part in zip(*found, strict=True)))

    def _of_source(self, source: int, estimate: NDArray[np.floating], frame: int | None) -> list[Array]:
        spectrum = fft.rfft(np.asarray(estimate, np.float64), self._size, axis=-1)
        # Products of every shifted reference with every channel of the estimate: (signals, taps, channels).
        # One reference at a time, here and below: spectra of a whole song are large.
        products = np.stack(
            [fft.irfft(one.conj() * spectrum, self._size)[:, : self.taps].T for one in self._spectra]
        )
        own, every = self._factors
        mine = slice(source * self._channels, (source + 1) * self._channels)
        ringing = ((0, 0), (0, self.taps - 1))
        true = np.pad(self.references[source], ringing)
        heard = np.pad(np.asarray(estimate, np.float64), ringing)
        target = self._projected(own[source], products[mine], self._spectra[mine])
        whole = self._projected(every, products, self._spectra)
        parts = (
            true,
            target,
            whole,
            heard - true,
            target - true,
            whole - target,
            heard - target,
            heard - whole,
        )
        return [self._framed(part, frame) for part in parts]

    def _projected(
        self, factor: tuple[Array, bool], products: Array, spectra: NDArray[np.complex128]
    ) -> Array:
        """What the least-squares filters make of the references. Shape: `(channels, frames + taps - 1)`."""
        flat = products.reshape(-1, products.shape[-1])
        solved = linalg.cho_solve(factor, flat, check_finite=False).reshape(products.shape)
        total = np.zeros((products.shape[-1], spectra.shape[-1]), np.complex128)
        for one, taps in zip(spectra, solved, strict=True):
            total += one * fft.rfft(taps.T, self._size, axis=-1)
        made: Array = fft.irfft(total, self._size)
        return made[:, : self._frames + self.taps - 1]

    def _framed(self, part: Array, frame: int | None) -> Array:
        if frame is None:
            return np.sum(part**2).reshape(1)
        frame = min(frame, self._frames)
        kept = part[:, : self._frames // frame * frame]
        return np.asarray(np.sum(kept.reshape(len(kept), -1, frame) ** 2, axis=(0, 2)))
