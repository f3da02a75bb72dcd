"""Robust PCA: exact recovery where theory promises it, and singular values against the true SVD."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.rpca import Rpca, _shrink_singular_values, principal_component_pursuit

RATE = 8000


def low_rank_and_sparse(
    seed: int, rows: int, columns: int, rank: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    low_rank = random.normal(size=(rows, rank)) @ random.normal(size=(rank, columns)) / rank
    sparse = random.uniform(-5, 5, (rows, columns)) * (random.random((rows, columns)) < 0.05)
    return low_rank, sparse


@pytest.mark.parametrize(("rows", "columns"), [(100, 150), (150, 100)])
def test_a_low_rank_and_a_sparse_matrix_are_recovered(seed: int, rows: int, columns: int) -> None:
    low_rank, sparse = low_rank_and_sparse(seed, rows, columns, rank=5)
    found = principal_component_pursuit(low_rank + sparse, 1 / np.sqrt(150))
    for part, truth in zip(found, (low_rank, sparse), strict=True):
        assert np.linalg.norm(part - truth) < 1e-3 * np.linalg.norm(truth)
    assert np.linalg.matrix_rank(found[0], tol=1e-3) == 5


def test_the_parts_sum_to_the_whole_within_the_tolerance(seed: int) -> None:
    matrix = np.abs(np.random.default_rng(seed).normal(size=(60, 80)))
    for tolerance in (1e-3, 1e-6):
        low_rank, sparse = principal_component_pursuit(matrix, 0.1, tolerance)
        assert np.linalg.norm(matrix - low_rank - sparse) < tolerance * np.linalg.norm(matrix)


def test_singular_values_are_shrunk_as_the_svd_would(seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(40, 90))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    for by in (0.0, float(values[20]), 2 * float(values[0])):
        expected = (left * np.maximum(values - by, 0)) @ right
        np.testing.assert_allclose(_shrink_singular_values(matrix, by), expected, atol=1e-10)


def test_a_voice_over_one_held_chord_gains_over_half_the_mix() -> None:
    time = np.arange(4 * RATE) / RATE
    beat = 0.6 + 0.4 * np.cos(2 * np.pi * 2 * time)
    accompaniment = (beat * sum(0.15 * np.sin(2 * np.pi * f * time) for f in (250, 375, 500)))[None]
    phase = 2 * np.pi * np.cumsum(1200 + 500 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    vocals = (0.2 * np.sin(phase))[None]
    mix = (accompaniment + vocals).astype(np.float32)
    stems = Rpca(sample_rate=RATE, channels=1, window=512, hop=128).separate(mix)

    def sdr_db(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
        return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))

    assert sdr_db(vocals, stems[0]) > sdr_db(vocals, mix / 2) + 5
    assert sdr_db(accompaniment, stems[1]) > sdr_db(accompaniment, mix / 2) + 5


def test_a_soft_mask_shares_cells_and_a_high_pass_takes_the_lowest(seed: int) -> None:
    mix = np.random.default_rng(seed).normal(0, 0.1, (1, RATE)).astype(np.float32)
    grid = {"sample_rate": RATE, "channels": 1, "window": 512, "hop": 128}
    hard, soft, high = (
        Rpca(**grid, **more).separate(mix)[0, 0]  # type: ignore[arg-type]
        for more in ({}, {"binary": False}, {"highpass_hz": 1000.0})
    )
    assert 0 < (soft**2).sum() != (hard**2).sum() > 0
    below_900_hz = slice(0, 900)  # the second has a bin for each Hz
    energy = [(np.abs(np.fft.rfft(stem))[below_900_hz] ** 2).sum() for stem in (high, hard)]
    assert energy[0] < 1e-3 * energy[1]


def test_more_gain_gives_the_voice_less(seed: int) -> None:
    mix = np.random.default_rng(seed).normal(0, 0.1, (1, RATE)).astype(np.float32)
    energies = [
        (Rpca(sample_rate=RATE, channels=1, window=512, hop=128, gain=gain).separate(mix)[0] ** 2).sum()
        for gain in (0.2, 1.0, 5.0)
    ]
    assert energies[0] > energies[1] > energies[2]


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"sparsity": 0.0}, "sparsity"), ({"gain": -1.0}, "gain"), ({"tolerance": 0.0}, "tolerance")],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Rpca(**settings)  # type: ignore[arg-type]
