"""REPET-MFCC: cepstra against their formula, and what comparing timbres means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.cepstrum import mel_bands, mfcc
from plugin_bridge.separation.classical.repet_mfcc import RepetMfcc

RATE = 8000
FREQUENCIES_HZ = np.arange(129) * RATE / 256


def literal_mfcc(power: list[float], bands: int, coefficients: int, loudest: float) -> list[float]:
    """Cepstra of one spectrum, written out sum by sum."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = [700 * (10 ** (top * k / (bands + 1) / 2595) - 1) for k in range(bands + 2)]
    logarithms = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for frequency, value in zip(FREQUENCIES_HZ, power, strict=True):
            if low < frequency <= centre:
                total += value * (frequency - low) / (centre - low)
            elif centre < frequency < high:
                total += value * (high - frequency) / (high - centre)
        logarithms.append(math.log(max(total / loudest, 1e-10)))
    scale = math.sqrt(2 / bands)
    return [
        scale * sum(x * math.cos(math.pi * k * (2 * n + 1) / (2 * bands)) for n, x in enumerate(logarithms))
        for k in range(1, coefficients + 1)
    ]


def test_cepstra_equal_their_formula(seed: int) -> None:
    power = np.random.default_rng(seed).random((129, 6)) ** 8
    loudest = float((mel_bands(FREQUENCIES_HZ, 24) @ power).max())
    found = mfcc(power, FREQUENCIES_HZ, bands=24, coefficients=12)
    expected = [literal_mfcc(list(power[:, time]), 24, 12, loudest) for time in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_cepstra_do_not_depend_on_level(seed: int) -> None:
    power = np.random.default_rng(seed).random((129, 4)) + 0.01
    levels = np.array([1.0, 0.1, 0.01, 1e-3])
    one, other = (mfcc(p, FREQUENCIES_HZ, 24, 12) for p in (power, power * levels))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_cepstra_of_silence_are_zero() -> None:
    np.testing.assert_array_equal(mfcc(np.zeros((129, 3)), FREQUENCIES_HZ, 24, 12), np.zeros((3, 12)))


def bursts(seed: int) -> NDArray[np.float64]:
    """Two kinds of noise burst, in an order without a period and at changing levels."""
    random = np.random.default_rng(seed)
    kinds = [np.convolve(random.normal(size=4000), taps, "same") for taps in ([1, 1, 1, 1], [1, -1])]
    order = (0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0)
    levels = random.uniform(0.7, 1.0, len(order))
    fade = np.exp(-np.arange(4000) / 1500)
    return (
        0.15 * np.concatenate([kinds[k] * fade * level for k, level in zip(order, levels, strict=True)])[None]
    )


def test_a_voice_over_returning_timbres_gains_over_half_the_mix(seed: int) -> None:
    accompaniment = bursts(seed)
    time = np.arange(accompaniment.shape[1]) / RATE
    phase = 2 * np.pi * np.cumsum(500 + 250 * np.sin(2 * np.pi * 0.37 * time)) / RATE
    vocals = (0.2 * np.sin(phase))[None]
    mix = (accompaniment + vocals).astype(np.float32)
    separator = RepetMfcc(sample_rate=RATE, channels=1, window=512, hop=128, distance_seconds=0.3)
    found = separator.separate(mix)

    def sdr_db(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
        return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))

    assert sdr_db(vocals, found[0]) > sdr_db(vocals, mix / 2) + 2
    assert sdr_db(accompaniment, found[1]) > sdr_db(accompaniment, mix / 2) + 2


@pytest.mark.parametrize(
    ("settings", "word"), [({"mel_bands": 1}, "mel_bands"), ({"coefficients": 40}, "coefficients")]
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        RepetMfcc(**settings)  # type: ignore[arg-type]
