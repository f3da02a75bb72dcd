"""REPET-SIM: what comes again, periodic or not, is the accompaniment.

Z. Rafii, B. Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugin_bridge.separation.classical.limits import check_limits
from plugin_bridge.separation.classical.masks import Magnitudes, repeating_mask
from plugin_bridge.separation.classical.voice_method import VoiceMethod

_BLOCK = 256
"""Rows of the similarity matrix held at once."""


@dataclass(frozen=True)
class RepetSim(VoiceMethod):
    """Voice over an accompaniment that comes again somewhere.

    Each frame is compared with all others; the median of the most similar ones is what repeats.
    The defaults of `most_similar`, `least_similarity` and `distance_seconds` are the paper's, for whole
    songs; short signals need a smaller distance, or too few frames are found for a median.

    Raises `ValueError` for settings out of range.
    """

    most_similar: int = 100
    """How many similar frames are taken at most."""
    least_similarity: float = 0.0
    """Cosine below which a frame is not similar."""
    distance_seconds: float = 1.0
    """Smallest distance between similar frames."""
    highpass_hz: float = 100.0
    """Below it everything is accompaniment, as in the paper's evaluation; 0 turns it off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits("most_similar", self.most_similar, 1)
        check_limits("least_similarity", self.least_similarity, -1, 1)
        check_limits("distance_seconds", self.distance_seconds, 0)
        check_limits("highpass_hz", self.highpass_hz, 0, self.sample_rate / 2)

    def features(self, magnitudes: Magnitudes) -> NDArray[np.float64]:
        """What frames are compared by: their spectra.

        Shape: `(channels, bins, times)` to `(times, features)`.
        """
        return np.ascontiguousarray(magnitudes.mean(axis=0).T)

    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The voice: all that exceeds the repeating part.

        Shape: `(channels, frames)` to `(1, channels, frames)`.
        """
        stft = self.stft
        spectra = stft.analyse(mix)
        magnitudes = np.abs(spectra)
        distance = max(1, round(self.distance_seconds * self.sample_rate / self.hop))
        similar = similar_frames(
            self.features(magnitudes), distance, self.most_similar, self.least_similarity
        )
        spectra *= 1 - repeating_mask(magnitudes, median_of_similar(magnitudes, similar))
        spectra[:, stft.frequencies_hz(self.sample_rate) < self.highpass_hz] = 0
        return stft.synthesise(spectra, mix.shape[-1])[None]


def similar_frames(
    features: NDArray[np.float64], distance: int, most: int, least: float
) -> list[NDArray[np.intp]]:
    """For each frame the indices of the frames most similar to it, itself included (eq. 1 and section 2.2).

    Similarity is the cosine; only its maxima within `distance` frames on both sides count.
    Shape: `(times, features)`.
    """
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    directions = np.divide(features, norms, out=np.zeros_like(features), where=norms > 0)
    similar: list[NDArray[np.intp]] = []
    for first in range(0, len(directions), _BLOCK):
        similarity = directions[first : first + _BLOCK] @ directions.T
        highest = ndimage.maximum_filter1d(similarity, 2 * distance + 1, axis=1, mode="nearest")
        peaks = (similarity == highest) & (similarity >= least)
        for row, (values, found) in enumerate(zip(similarity, peaks, strict=True)):
            similar.append(_largest(values, np.flatnonzero(found), most, first + row))
    return similar


def _largest(
    values: NDArray[np.float64], found: NDArray[np.intp], most: int, itself: int
) -> NDArray[np.intp]:
    if not found.size:
        return np.array([itself], np.intp)
    if found.size <= most:
        return found
    return found[np.argsort(-values[found], kind="stable")[:most]]


def median_of_similar(magnitudes: Magnitudes, similar: list[NDArray[np.intp]]) -> Magnitudes:
    """The median of each frame's similar frames (eq. 2). Shape: `(channels, bins, times)` to the same."""
    channels, bins, times = magnitudes.shape
    frames = np.ascontiguousarray(magnitudes.reshape(channels * bins, times).T)
    repeating = np.empty_like(frames)
    for time, indices in enumerate(similar):
        # Sorting along memory is several times faster than `np.median` across it.
        ordered = np.sort(np.ascontiguousarray(frames[indices].T), axis=1)
        low, high = (len(indices) - 1) // 2, len(indices) // 2
        repeating[time] = (ordered[:, low] + ordered[:, high]) / 2
    return repeating.T.reshape(channels, bins, times)
