"""REPET-SIM: chords that come again at no fixed time, and the choice of similar frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.repet_sim import RepetSim, median_of_similar, similar_frames

RATE = 8000


def chords() -> NDArray[np.float64]:
    """Three chords in an order without a period, cut to the grid so that they return unchanged."""
    notes_hz = ((250, 500, 1250), (375, 625, 1000), (312.5, 750, 1500))
    time = np.arange(6400) / RATE
    sounds = [sum(0.15 * np.sin(2 * np.pi * f * time) for f in chord) for chord in notes_hz]
    return np.concatenate([sounds[index] for index in (0, 1, 0, 2, 1, 1, 0, 2, 0, 1, 2, 0, 2, 1, 0)])[None]


def voice(seed: int, frames: int) -> NDArray[np.float64]:
    """A tone that glides from one pitch to the next, and so never comes again."""
    turns_hz = np.random.default_rng(seed).uniform(400, 1400, frames // 2000 + 2)
    pitch_hz = np.interp(np.arange(frames) / 2000, np.arange(len(turns_hz)), turns_hz)
    return (0.08 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE))[None]


def sdr_db(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))


def test_a_voice_over_unevenly_returning_chords_gains_over_half_the_mix(seed: int) -> None:
    accompaniment = chords()
    vocals = voice(seed, accompaniment.shape[1])
    mix = (accompaniment + vocals).astype(np.float32)
    separator = RepetSim(
        sample_rate=RATE, channels=1, window=512, hop=128, distance_seconds=0.15, most_similar=9
    )
    stems = separator.separate(mix)
    assert sdr_db(vocals, stems[0]) > sdr_db(vocals, mix / 2) + 4
    assert sdr_db(accompaniment, stems[1]) > sdr_db(accompaniment, mix / 2) + 4


def test_similar_frames_are_the_highest_peaks_of_the_cosine(seed: int) -> None:
    features = np.random.default_rng(seed).random((600, 5))  # more than one block of the matrix
    distance, most, least = 4, 7, 0.8
    found = similar_frames(features, distance, most, least)
    norms = np.linalg.norm(features, axis=1)
    cosine = features @ features.T / np.outer(norms, norms)
    for frame in (0, 1, 255, 256, 599):
        row = cosine[frame]
        peaks = [k for k in range(600) if row[k] >= row[max(0, k - 4) : k + 5].max() and row[k] >= least]
        expected = sorted(peaks, key=lambda k: -row[k])[:most]
        assert sorted(found[frame]) == sorted(expected)
        assert frame in found[frame]
        assert np.diff(np.sort(found[frame])).min(initial=100) > distance


def test_a_frame_without_features_is_similar_to_itself() -> None:
    features = np.zeros((3, 4))
    assert [list(frames) for frames in similar_frames(features, 1, 5, 0.5)] == [[0], [1], [2]]


def test_the_repeating_frame_is_the_median_of_similar_ones(seed: int) -> None:
    magnitudes = np.random.default_rng(seed).random((2, 3, 5))
    similar = [np.array(frames) for frames in ([0, 2, 4], [1, 3], [0, 2, 4], [1, 3], [4])]
    repeating = median_of_similar(magnitudes, similar)
    np.testing.assert_array_equal(repeating[..., 0], np.median(magnitudes[..., [0, 2, 4]], axis=-1))
    np.testing.assert_array_equal(repeating[..., 1], magnitudes[..., [1, 3]].mean(axis=-1))
    np.testing.assert_array_equal(repeating[..., 4], magnitudes[..., 4])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"most_similar": 0}, "most_similar"),
        ({"least_similarity": 1.5}, "least_similarity"),
        ({"distance_seconds": float("nan")}, "distance_seconds"),
        ({"highpass_hz": 30000.0}, "highpass_hz"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        RepetSim(**settings)  # type: ignore[arg-type]
