"""NMF: updates that never make things worse, and a choice of components that can be foretold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.nmf import (
    Nmf,
    divergence,
    factorise,
    nearer_to_first,
    sparseness,
    update,
)

RATE = 16000


def small(**settings: object) -> Nmf:
    return Nmf(sample_rate=RATE, channels=1, window=512, hop=128, components=8, sung_components=4, **settings)  # type: ignore[arg-type]


def voice() -> NDArray[np.float64]:
    time = np.arange(2 * RATE) / RATE
    notes = np.array([440.0, 550.0, 660.0])[(time * 1.5).astype(int)]
    sung = (time * 1.5) % 1 < 0.6
    return sum(0.2 / k * sung * np.sin(2 * np.pi * k * np.cumsum(notes) / RATE) for k in (1, 2, 3, 4))[None]  # type: ignore[index,no-any-return]


def bass_and_cymbals(seed: int) -> NDArray[np.float64]:
    time = np.arange(2 * RATE) / RATE
    hiss = np.random.default_rng(seed).normal(size=2 * RATE)
    spectrum = np.fft.rfft(hiss)
    spectrum[: 2 * 5000] = 0  # the 2 s have a bin for each half Hz
    hits = np.fft.irfft(spectrum) * np.exp(-((time * 4) % 1) * 6)
    bass = np.sin(2 * np.pi * 70 * time) * np.exp(-((time * 2.5) % 1) * 3)
    return (0.4 * bass + 0.4 * hits)[None]


def sdr_db(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))


def test_the_divergence_never_rises(seed: int) -> None:
    random = np.random.default_rng(seed)
    v = random.random((40, 30)) ** 3
    v[:, 5] = 0  # a silent frame
    v[7] = 0  # an empty bin
    w, h = random.random((40, 6)) + 0.1, random.random((6, 30)) + 0.1
    before = divergence(v, w, h)
    for _ in range(200):
        w, h = update(v, w, h)
        now = divergence(v, w, h)
        assert now <= before * (1 + 1e-9)
        before = now


def test_a_product_of_two_factors_is_found_again(seed: int) -> None:
    random = np.random.default_rng(seed)
    true_w = random.random((50, 3)) * (random.random((50, 3)) > 0.5)
    v = true_w @ (random.random((3, 60)) * (random.random((3, 60)) > 0.5))
    w, h = factorise(v, 3, 3000, 0.0, seed=1)
    assert np.linalg.norm(w @ h - v) < 0.02 * np.linalg.norm(v)
    np.testing.assert_allclose(w.sum(axis=0), 1)


def test_the_tolerance_ends_the_iterations(seed: int) -> None:
    v = np.random.default_rng(seed).random((30, 30))
    ended = factorise(v, 4, 1000, 1.0, seed=0)
    expected = factorise(v, 4, 20, 0.0, seed=0)  # the second look is the first that can compare
    np.testing.assert_array_equal(ended[0], expected[0])


def test_a_voice_between_bass_and_cymbals_gains_over_half_the_mix(seed: int) -> None:
    vocals, accompaniment = voice(), bass_and_cymbals(seed)
    mix = (vocals + accompaniment).astype(np.float32)
    stems = small().separate(mix)
    assert sdr_db(vocals, stems[0]) > sdr_db(vocals, mix / 2) + 5
    assert sdr_db(accompaniment, stems[1]) > sdr_db(accompaniment, mix / 2) + 5


def test_the_seed_alone_decides(seed: int) -> None:
    mix = (voice() + bass_and_cymbals(seed)).astype(np.float32)[:, :8000]
    one, same, other = (small(seed=s).separate(mix) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_components_sing_that_lie_in_the_band_and_rest() -> None:
    frequencies_hz = np.arange(257) * RATE / 512
    w = np.full((257, 4), 1e-6)
    for column, hz in enumerate((100.0, 1000.0, 6000.0, 1500.0)):
        w[np.abs(frequencies_hz - hz).argmin(), column] = 1
    h = np.ones((4, 50))
    h[1, ::2] = 0
    settings = {"sample_rate": RATE, "window": 512, "hop": 128, "components": 4}
    two, one = (Nmf(**settings, sung_components=count) for count in (2, 1))  # type: ignore[arg-type]
    np.testing.assert_array_equal(two.sings(w, h), [False, True, False, True])
    np.testing.assert_array_equal(one.sings(w, h), [False, True, False, False])


def test_components_of_one_timbre_sing_together() -> None:
    frequencies_hz = np.arange(257) * RATE / 512
    dark, bright = np.exp(-frequencies_hz / 200), np.exp(-((frequencies_hz - 2000) ** 2) / 1e6)
    w = np.stack([dark, bright, dark**1.1, bright**1.1, bright**0.9], axis=1)
    separator = Nmf(sample_rate=RATE, window=512, hop=128, components=5, sung_components=1, grouping="timbre")
    np.testing.assert_array_equal(separator.sings(w, np.ones((5, 9))), [False, True, False, True, True])


def test_sparseness_runs_from_all_alike_to_a_single_one() -> None:
    h = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(sparseness(h), [0, 1, 2 - np.sqrt(2)], atol=1e-12)


def test_two_clusters_are_found_from_one_point_in_each() -> None:
    points = np.array([[0.0], [0.2], [0.1], [5.0], [5.1], [2.0]])
    np.testing.assert_array_equal(nearer_to_first(points, 1, 3), [True, True, True, False, False, True])
    np.testing.assert_array_equal(nearer_to_first(points, 4, 0), [False, False, False, True, True, False])


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"components": 1}, "components"),
        ({"iterations": 0}, "iterations"),
        ({"grouping": "guess"}, "grouping"),
        ({"sung_components": 30}, "sung_components"),
        ({"band_high_hz": 100.0}, "band_high_hz"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Nmf(**settings)  # type: ignore[arg-type]
