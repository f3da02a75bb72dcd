"""The transform of `layers/short_synthesis.py`, hop by hop in numpy: long windows heard, short ones made.

Nothing is allocated from hop to hop but what numpy's transforms take for themselves.
"""

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio, Stems

_FAINT = np.float32(1e-18)
"""Real and imaginary parts under which a bin is silent: their squares would be denormal, which is slow."""


def window_pair(window: int, synthesis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Windows whose product over the last `synthesis` frames is a periodic Hann window.

    The first rises as a sine over all but the last half of `synthesis` and falls as a cosine there; so does
    the second, whose rise is what the first leaves of the product.
    Shape: `(window,)` and `(synthesis,)`.
    """
    half = synthesis // 2
    rise = window - half
    rising = np.sin(np.pi / 2 * np.arange(rise) / rise)
    analysis = np.concatenate((rising, np.cos(np.pi / 2 * np.arange(half) / half)))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(synthesis) / synthesis)
    # Windows of one length both begin at zero, which must not be divided by.
    return analysis, hann / np.maximum(analysis[window - synthesis :], 1e-9)


class ShortTransform:
    """One stream's windows: what was heard, and what is begun of the frames to come.

    Sizes are those of `ShortSynthesis`; `bins` are those that estimates have, the lowest ones.
    """

    def __init__(
        self, window: int, synthesis: int, hop: int, *, channels: int, estimated: int, bins: int
    ) -> None:
        analysis, short = window_pair(window, synthesis)
        scale = 2 / float(analysis.sum())
        self.hop, self.latency = hop, synthesis - hop
        self._window, self._bins = window, bins
        self._analysis = (analysis * scale).astype(np.float32)
        self._synthesis = (short * 2 * hop / (synthesis * scale)).astype(np.float32)
        self._heard = np.zeros((channels, window), np.float32)
        self._windowed = np.zeros((channels, window), np.float32)
        self._spectra = np.zeros((estimated, channels, window // 2 + 1), np.complex64)
        self._begun = np.zeros((estimated, channels, synthesis), np.float32)

    def analyse(self, block: Audio, spectra: NDArray[np.float32]) -> None:
        """Write the spectra of the last window.

        Shape: `(channels, hop)` and `(window // 2 + 1, channels, 2)`.
        """
        self._heard[:, : -self.hop] = self._heard[:, self.hop :]
        self._heard[:, -self.hop :] = block
        np.multiply(self._heard, self._analysis, out=self._windowed)
        spectra.view(np.complex64)[..., 0] = np.fft.rfft(self._windowed).T
        spectra[np.abs(spectra) < _FAINT] = 0

    def synthesise(self, estimates: NDArray[np.float32]) -> Stems:
        """The next hop of the estimates, `latency` frames late; the next call overwrites it.

        Shape: `(estimated, bins, channels, 2)` to `(estimated, channels, hop)`.
        """
        late = self.latency
        self._spectra[..., : self._bins] = estimates.view(np.complex64)[..., 0].swapaxes(1, 2)
        pieces = np.fft.irfft(self._spectra, self._window)[..., -len(self._synthesis) :]
        pieces *= self._synthesis
        self._begun[..., :late] = self._begun[..., self.hop :]
        self._begun[..., late:] = 0
        self._begun += pieces
        return self._begun[..., : self.hop]

    def reset(self) -> None:
        """Forget everything."""
        self._heard[:] = 0
        self._begun[:] = 0
