"""Harmonic-percussive separation: what a median along time or frequency must keep."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.hpss import Hpss, median_over_bins

RATE = 16000
FRAMES = 16000


def small(**settings: object) -> Hpss:
    return Hpss(sample_rate=RATE, channels=1, window=512, hop=128, **settings)  # type: ignore[arg-type]


def tone() -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * 1000 * np.arange(FRAMES) / RATE))[None].astype(np.float32)


def clicks() -> NDArray[np.float32]:
    audio = np.zeros((1, FRAMES), np.float32)
    audio[0, 2000::4000] = 0.9
    return audio


def noise(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, (1, FRAMES)).astype(np.float32)


def energy_db(audio: NDArray[np.float32]) -> float:
    return float(10 * np.log10((audio[..., 3000:-3000].astype(np.float64) ** 2).sum() + 1e-20))


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("margin", [1.0, 2.0])
def test_a_tone_is_harmonic_and_clicks_are_percussive(binary: bool, margin: float) -> None:
    separator = small(binary=binary, margin=margin)
    of_tone, of_clicks = separator.separate(tone()), separator.separate(clicks())
    assert energy_db(of_tone[0]) > energy_db(of_tone[1]) + 20
    assert energy_db(of_clicks[1]) > energy_db(of_clicks[0]) + 20


def test_a_mix_of_both_comes_apart() -> None:
    stems = small().separate(tone() + clicks())
    for stem, truth in zip(stems, (tone(), clicks()), strict=True):
        assert energy_db(truth) - energy_db(stem - truth) > 10


def test_a_margin_leaves_noise_to_a_residual(seed: int) -> None:
    separator = small(margin=3.0)
    assert separator.sources == ("harmonic", "percussive", "residual")
    stems = separator.separate(noise(seed))
    assert energy_db(stems[2]) > max(energy_db(stems[0]), energy_db(stems[1])) + 3


def test_the_stream_gives_the_masks_of_whole_spectrograms(seed: int) -> None:
    separator, mix = small(), tone() + noise(seed)
    spectra = separator.stft.analyse(mix)
    magnitudes = np.abs(spectra[0])
    half = separator.time_frames // 2
    padded = np.pad(magnitudes, ((0, 0), (half, half)))
    mirrored = np.pad(magnitudes, ((half, half), (0, 0)), mode="reflect")
    harmonic, percussive = np.empty_like(magnitudes), np.empty_like(magnitudes)
    for bin_ in range(magnitudes.shape[0]):
        for time in range(magnitudes.shape[1]):
            harmonic[bin_, time] = np.median(padded[bin_, time : time + 17])
            percussive[bin_, time] = np.median(mirrored[bin_ : bin_ + 17, time])
    mask = harmonic**2 / (harmonic**2 + percussive**2)
    expected = separator.stft.synthesise(spectra * mask, FRAMES)
    np.testing.assert_allclose(separator.separate(mix)[0], expected, atol=1e-6)


def test_the_median_over_bins_is_mirrored_at_both_ends() -> None:
    row = np.array([[5.0, 1.0, 4.0, 2.0, 3.0]])
    # Neighbours of the first bin are 1, 5, 1; of the last 2, 3, 2.
    np.testing.assert_array_equal(median_over_bins(row, 3), [[1.0, 4.0, 2.0, 3.0, 2.0]])


def test_the_look_ahead_is_latency() -> None:
    assert Hpss().stream().latency == 2048 - 512 + 8 * 512
    assert Hpss(centred=False).stream().latency == 2048 - 512
    assert Hpss(time_frames=31).stream().latency == 2048 - 512 + 15 * 512


def test_looking_back_only_still_tells_tone_from_clicks() -> None:
    stems = small(centred=False).separate(tone() + clicks())
    assert energy_db(tone()) - energy_db(stems[0] - tone()) > 8


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"time_frames": 16}, "time_frames"),
        ({"frequency_bins": 0}, "frequency_bins"),
        ({"frequency_bins": 1027}, "frequency_bins"),
        ({"margin": 0.5}, "margin"),
        ({"power": float("nan")}, "power"),
        ({"hop": 500}, "window"),
        ({"channels": 0}, "channels"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Hpss(**settings)  # type: ignore[arg-type]
