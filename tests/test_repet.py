"""REPET: a loop under a voice, and each step against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.repet import (
    Repet,
    beat_spectrum,
    repeating_period,
    repeating_spectrogram,
)

RATE = 8000
PERIOD_SECONDS = 1.024  # 64 frames of the grid


def small(**settings: object) -> Repet:
    return Repet(sample_rate=RATE, channels=1, window=512, hop=128, **settings)  # type: ignore[arg-type]


def loop(seed: int, seconds: float = 10.24) -> NDArray[np.float64]:
    """Drum-like bursts of noise at uneven places, repeated."""
    random = np.random.default_rng(seed)
    once = np.zeros(round(PERIOD_SECONDS * RATE))
    for start, level in ((0, 0.5), (1700, 0.2), (3300, 0.35), (6100, 0.25)):
        once[start : start + 1200] += level * random.normal(size=1200) * np.exp(-np.arange(1200) / 300)
    return np.resize(once, round(seconds * RATE))[None]


def voice(seed: int, seconds: float = 10.24) -> NDArray[np.float64]:
    """A gliding tone with overtones that never takes the same way twice."""
    frames = round(seconds * RATE)
    turns_hz = np.random.default_rng(seed + 1).uniform(300, 900, round(seconds * 4) + 2)
    pitch_hz = np.interp(np.arange(frames) / RATE, np.arange(len(turns_hz)) / 4, turns_hz)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    return sum(0.06 / k * np.sin(k * phase) for k in (1, 2, 3))[None]  # type: ignore[index,no-any-return]


def sdr_db(truth: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))


def test_a_voice_over_a_loop_gains_over_half_the_mix(seed: int) -> None:
    accompaniment, vocals = loop(seed), voice(seed)
    mix = (accompaniment + vocals).astype(np.float32)
    stems = small(highpass_hz=0.0).separate(mix)
    assert sdr_db(vocals, stems[0]) > sdr_db(vocals, mix / 2) + 4
    assert sdr_db(accompaniment, stems[1]) > sdr_db(accompaniment, mix / 2) + 4


def test_a_loop_alone_is_all_accompaniment(seed: int) -> None:
    mix = loop(seed).astype(np.float32)
    stems = small().separate(mix)
    np.testing.assert_allclose(stems[1], mix, atol=1e-6)


def test_the_period_of_a_loop_is_found(seed: int) -> None:
    separator = small()
    magnitudes = np.abs(separator.stft.analyse(loop(seed) + voice(seed)))
    assert separator.period(magnitudes) == 64


def test_the_beat_spectrum_is_the_mean_autocorrelation_of_power(seed: int) -> None:
    magnitudes = np.random.default_rng(seed).random((2, 140, 21))
    power = (magnitudes**2).mean(axis=0)
    expected = [
        np.mean([(row[: 21 - lag] * row[lag:]).sum() / (21 - lag) for row in power]) for lag in range(21)
    ]
    np.testing.assert_allclose(beat_spectrum(magnitudes), np.array(expected) / expected[0], rtol=1e-10)


def test_the_repeating_segment_is_the_median_of_the_periods(seed: int) -> None:
    magnitudes = np.random.default_rng(seed).random((1, 3, 11))
    repeated = repeating_spectrogram(magnitudes, 4)
    for time in range(11):
        expected = np.median(magnitudes[..., time % 4 :: 4], axis=-1)
        np.testing.assert_array_equal(repeated[..., time], expected)


def test_the_shortest_true_period_wins_over_its_multiples() -> None:
    lags = np.arange(400)
    beat = 0.1 + 0.9 * (lags % 20 == 0)
    assert repeating_period(beat, 10, 90) == 20


def test_a_flat_beat_spectrum_has_no_period() -> None:
    assert repeating_period(np.ones(400), 10, 90) is None
    assert repeating_period(np.ones(20), 10, 90) is None


def test_too_short_for_three_periods_is_all_accompaniment(seed: int) -> None:
    mix = voice(seed, 2.0).astype(np.float32)
    np.testing.assert_array_equal(small().separate(mix)[0], 0)


def test_below_the_high_pass_nothing_is_voice(seed: int) -> None:
    time = np.arange(8 * RATE) / RATE
    hum = np.sin(2 * np.pi * 50 * time) * np.sin(2 * np.pi * 0.3 * time**1.5)
    mix = (loop(seed, 8) + 0.3 * hum).astype(np.float32)
    with_it, without = (small(highpass_hz=hz).separate(mix)[0] for hz in (200.0, 0.0))
    below_100_hz = slice(0, 8 * 100)  # the whole signal of 8 s has a bin for each 1 / 8 Hz
    energy = [(np.abs(np.fft.rfft(stem[0]))[below_100_hz] ** 2).sum() for stem in (with_it, without)]
    assert energy[0] < 1e-3 * energy[1]


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"shortest_period_seconds": 0.0}, "shortest_period_seconds"),
        ({"longest_period_seconds": 0.5}, "longest_period_seconds"),
        ({"highpass_hz": -1.0}, "highpass_hz"),
        ({"hop": 300}, "window"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Repet(**settings)  # type: ignore[arg-type]
