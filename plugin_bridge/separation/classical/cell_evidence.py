"""What one frame of a stereo spectrogram tells about the instruments in its cells, from few neighbours.

Every kind of evidence is a natural logarithm of a ratio of amplitudes, so that none depends on the level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

QUIETEST = 1e-10
"""Power added to every cell, far below 24 bit audio: silence gives no evidence."""

_LEAST_SIDE = 2e-3
"""Share of a cell's power under which mid or side is not told from nothing."""
_LEAST_RATIO = 1e-3
_MOST_DECAY = 4.0


class CellEvidence:
    """The last frames of mid and side power, and the evidence for the frame of `lookahead` frames ago.

    - `centred`: how far mid exceeds side, over the frames within `lookahead`; a voice is mostly panned
      to the centre (C. Avendano, "Frequency-domain source identification and manipulation in stereo
      mixes for enhancement, suppression and re-panning applications", WASPAA 2003).
    - `sustained`: the median along time, against the cell, and `spread`: the median along frequency,
      against the cell (D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010).
    - `decaying`: how far a narrow band has fallen `lookahead` frames later.
    - `noisy`: the geometric against the arithmetic mean of a wider band (spectral flatness).
    """

    names = ("centred", "sustained", "spread", "decaying", "noisy")

    def __init__(
        self, bins: int, lookahead: int, spread_bins: int, decaying_bins: int, noisy_bins: int
    ) -> None:
        self._lookahead, self._spread_bins = lookahead, spread_bins
        self._decaying_bins, self._noisy_bins = decaying_bins, noisy_bins
        # The median's axis is the last one: partitioning neighbours in memory is the fastest.
        self._amplitude = np.zeros((bins, 3 * lookahead + 1), np.float32)
        self._mid_side = np.zeros((2 * lookahead + 1, 2, bins))
        self.reset()

    def push(self, mid_side: NDArray[np.float64]) -> None:
        """Take the newest frame's powers. Shape: `(2, bins)`."""
        self._mid_side[:-1] = self._mid_side[1:]
        self._mid_side[-1] = mid_side
        self._amplitude[:, :-1] = self._amplitude[:, 1:]
        self._amplitude[:, -1] = np.sqrt(mid_side.sum(axis=0) + QUIETEST)

    @property
    def amplitude(self) -> NDArray[np.float32]:
        """The amplitude of the frame that is looked at. Shape: `(bins,)`."""
        return self._amplitude[:, -1 - self._lookahead]

    def gather(self) -> NDArray[np.float64]:
        """All evidence, in the order of `names`. Shape: `(5, bins)`."""
        power = self._mid_side[self._lookahead].sum(axis=0) + QUIETEST
        later = self._mid_side[-1].sum(axis=0) + QUIETEST
        amplitude = self.amplitude
        return np.stack(
            (
                self._centred(),
                log_ratio(self._median_over_time(), amplitude),
                log_ratio(ndimage.median_filter(amplitude, self._spread_bins, mode="mirror"), amplitude),
                self._decaying(power, later),
                _flatness(power, self._noisy_bins),
            )
        )

    def _centred(self) -> NDArray[np.float64]:
        mid, side = self._mid_side.mean(axis=0)
        least = _LEAST_SIDE * (mid + side + QUIETEST)
        centred: NDArray[np.float64] = 0.5 * np.log((mid + least) / (side + least))
        return centred

    def _median_over_time(self) -> NDArray[np.float32]:
        middle = self._amplitude.shape[1] // 2
        median: NDArray[np.float32] = np.partition(self._amplitude, middle, axis=1)[:, middle]
        return median

    def _decaying(self, now: NDArray[np.float64], later: NDArray[np.float64]) -> NDArray[np.float64]:
        width = self._decaying_bins
        decay = 0.5 * np.log(_band_mean(now, width) / _band_mean(later, width))
        return np.clip(decay, -_MOST_DECAY, _MOST_DECAY)

    def reset(self) -> None:
        """Forget everything."""
        self._amplitude.fill(np.sqrt(QUIETEST))
        self._mid_side.fill(0)


def log_ratio(part: NDArray[np.floating], whole: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logarithm of `part / whole`, bounded below. Shape: any, the same for both."""
    ratio: NDArray[np.float64] = np.log(np.maximum(part / whole, _LEAST_RATIO), dtype=np.float64)
    return ratio


def _flatness(power: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    geometric = ndimage.uniform_filter1d(np.log(power), width, mode="nearest")
    return np.maximum(0.5 * (geometric - np.log(_band_mean(power, width))), np.log(_LEAST_RATIO))


def _band_mean(power: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    # scipy's running sum can fall below zero by rounding where a loud cell leaves it.
    return np.maximum(ndimage.uniform_filter1d(power, width, mode="nearest"), QUIETEST)
