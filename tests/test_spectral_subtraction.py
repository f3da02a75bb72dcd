"""Spectral subtraction: steady noise goes by the amount that the formula foretells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.spectral_subtraction import SpectralSubtraction
from plugin_bridge.separation.spectral import Stft

RATE = 8000
STFT = Stft(512, 128)


def small(**settings: object) -> SpectralSubtraction:
    return SpectralSubtraction(sample_rate=RATE, channels=1, window=512, hop=128, **settings)  # type: ignore[arg-type]


def noise(seed: int, seconds: float = 8) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.1, (1, round(seconds * RATE)))


def level_db(audio: NDArray[np.floating]) -> float:
    return float(10 * np.log10((audio.astype(np.float64) ** 2).mean()))


@pytest.mark.parametrize("settings", [{}, {"quantile": 0.2}, {"reference_seconds": (1.0, 7.0)}])
def test_steady_noise_is_measured_without_bias(seed: int, settings: dict[str, object]) -> None:
    power = np.abs(STFT.analyse(noise(seed))) ** 2
    measured = small(**settings).interference(power, 8 * RATE)[0, 1:-1].mean()
    true = 0.1**2 * (STFT.analysis**2).sum()
    assert abs(measured / true - 1) < 0.05


@pytest.mark.parametrize(("alpha", "floor"), [(1.0, 0.0), (2.0, 0.01), (4.0, 0.05)])
def test_noise_is_reduced_by_the_expected_power(seed: int, alpha: float, floor: float) -> None:
    power = np.random.default_rng(seed).exponential(1.0, (1, 200, 2000))
    separator = small(oversubtraction=alpha, floor=floor, follow_snr=False)
    left = (separator.gain(power, np.ones((1, 200, 1))) ** 2 * power).mean()
    # The mean of max(P - alpha, floor), but of P where P is below the floor, for P of an exponential law.
    expected = floor + math.exp(-alpha - floor) - (floor - 1 + math.exp(-floor))
    assert abs(left / expected - 1) < 0.05


def test_the_floor_is_respected_and_nothing_is_amplified(seed: int) -> None:
    power = np.random.default_rng(seed).exponential(1.0, (1, 50, 100))
    gain = small(oversubtraction=50.0, floor=0.1).gain(power, np.ones((1, 50, 1)))
    assert gain.max() <= 1
    np.testing.assert_array_less(np.minimum(power, 0.1) * (1 - 1e-12), gain**2 * power)


def test_less_is_subtracted_from_frames_that_stand_out() -> None:
    interference = np.ones((1, 10, 1))
    for snr_db, alpha in ((-10, 4.75), (0, 4.0), (10, 2.5), (20, 1.0), (40, 1.0)):
        power = np.full((1, 10, 1), 10 ** (snr_db / 10))
        assert small()._alpha(power, interference).item() == pytest.approx(alpha)


def test_a_tone_that_comes_and_goes_is_freed_from_noise(seed: int) -> None:
    time = np.arange(8 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 1000 * time) * (np.sin(2 * np.pi * 0.5 * time) > 0.5))[None]
    hiss = noise(seed)
    vocals, accompaniment = small().separate((tone + hiss).astype(np.float32))
    assert level_db(vocals - tone) < level_db(hiss) - 8
    assert level_db(accompaniment - hiss) < level_db(hiss) - 8


def test_below_the_high_pass_nothing_is_voice(seed: int) -> None:
    hiss = noise(seed, 1).astype(np.float32)
    high, whole = (small(highpass_hz=hz).separate(hiss)[0, 0] for hz in (1000.0, 0.0))
    below_900_hz = slice(0, 900)  # the second has a bin for each Hz
    energy = [(np.abs(np.fft.rfft(stem))[below_900_hz] ** 2).sum() for stem in (high, whole)]
    assert energy[0] < 1e-3 * energy[1]


def test_a_reference_beyond_the_end_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="reference_seconds must end within the signal, got 9 s of 8 s"):
        small(reference_seconds=(8.5, 9.0)).separate(noise(seed).astype(np.float32))


def test_a_reference_may_be_a_list_as_in_a_card() -> None:
    assert small(reference_seconds=[1.0, 2.0]) == small(reference_seconds=(1.0, 2.0))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"oversubtraction": 0.5}, "oversubtraction"),
        ({"floor": -0.1}, "floor"),
        ({"quantile": 1.0}, "quantile"),
        ({"reference_seconds": (2.0, 1.0)}, "reference_seconds"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        SpectralSubtraction(**settings)  # type: ignore[arg-type]
