"""What holds for every method without weights, at a size that tests fast."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.hpss import Hpss
from plugin_bridge.separation.classical.nmf import Nmf
from plugin_bridge.separation.classical.repet import Repet
from plugin_bridge.separation.classical.repet_mfcc import RepetMfcc
from plugin_bridge.separation.classical.repet_sim import RepetSim
from plugin_bridge.separation.classical.rpca import Rpca
from plugin_bridge.separation.classical.spectral_subtraction import SpectralSubtraction
from plugin_bridge.separation.separator import Separator

RATE = 8000
GRID = {"sample_rate": RATE, "window": 256, "hop": 64}

METHODS: dict[str, Separator] = {
    "hpss": Hpss(**GRID),
    "hpss with a margin": Hpss(**GRID, margin=2.0),
    "hpss, binary": Hpss(**GRID, margin=2.0, binary=True),
    "repet": Repet(**GRID, shortest_period_seconds=0.1),
    "repet_sim": RepetSim(**GRID, distance_seconds=0.2),
    "repet_mfcc": RepetMfcc(**GRID, distance_seconds=0.2, mel_bands=24),
    "nmf": Nmf(**GRID, components=6, sung_components=3, iterations=20),
    "nmf by timbre": Nmf(**GRID, components=6, sung_components=3, iterations=20, grouping="timbre"),
    "spectral_subtraction": SpectralSubtraction(**GRID),
    "rpca": Rpca(**GRID, iterations=30),
    "rpca with a soft mask": Rpca(**GRID, iterations=30, binary=False, highpass_hz=100.0),
}


@pytest.fixture(params=METHODS.values(), ids=METHODS.keys())
def separator(request: pytest.FixtureRequest) -> Separator:
    chosen: Separator = request.param
    return chosen


def music(seed: int, frames: int = 12000) -> NDArray[np.float32]:
    """Clicks, a chord and hiss, different in both channels."""
    random = np.random.default_rng(seed)
    time = np.arange(frames) / RATE
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 330.0, 495.0))
    clicks = np.where(np.arange(frames) % 2000 < 40, random.normal(size=frames), 0)
    left, right = 0.1 * chord + 0.4 * clicks, 0.05 * chord + 0.5 * clicks
    return (np.stack((left, right)) + random.normal(0, 0.01, (2, frames))).astype(np.float32)


def assert_sums_to(stems: NDArray[np.float32], mix: NDArray[np.float32]) -> None:
    assert stems.dtype == np.float32
    assert np.isfinite(stems).all()
    scale = max(1.0, float(np.abs(mix).max(initial=0)))
    np.testing.assert_allclose(stems.sum(axis=0, dtype=np.float64) / scale, mix / scale, atol=1e-6)


def test_the_stems_sum_to_the_mix(separator: Separator, seed: int) -> None:
    mix = music(seed)
    before = mix.copy()
    stems = separator.separate(mix)
    assert stems.shape == (len(separator.sources), 2, 12000)
    assert_sums_to(stems, mix)
    np.testing.assert_array_equal(mix, before)


def test_every_stem_has_sound_and_none_is_the_mix(separator: Separator, seed: int) -> None:
    mix = music(seed)
    energy = (separator.separate(mix).astype(np.float64) ** 2).sum(axis=(1, 2)) / (mix**2).sum()
    assert (energy > 1e-4).all()
    assert (energy < 0.9999).all()


@pytest.mark.parametrize("frames", [0, 1, 10, 63, 255, 257])
def test_short_signals_are_no_exception(separator: Separator, seed: int, frames: int) -> None:
    mix = music(seed)[:, :frames]
    assert_sums_to(separator.separate(mix), mix)


def test_silence_stays_silence(separator: Separator, seed: int) -> None:
    np.testing.assert_array_equal(separator.separate(np.zeros((2, 5000), np.float32)), 0)
    one_sided = music(seed)
    one_sided[1] = 0
    stems = separator.separate(one_sided)
    assert_sums_to(stems, one_sided)
    assert np.abs(stems[:, 1]).max() < 1e-6


@pytest.mark.parametrize("level", [1e-37, 1e-20, 1e9])
def test_any_level_gives_finite_stems(separator: Separator, seed: int, level: float) -> None:
    mix = (music(seed, 4000) * np.float32(level)).astype(np.float32)
    assert_sums_to(separator.separate(mix), np.where(np.abs(mix) <= 1e9, mix, np.float32(0)))


def test_level_only_scales(separator: Separator, seed: int) -> None:
    mix = music(seed, 4000)
    one, quarter = separator.separate(mix), separator.separate(mix / 4)
    np.testing.assert_allclose(quarter * 4, one, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_what_is_no_audio_is_silence(separator: Separator, seed: int, value: float) -> None:
    mix = music(seed, 4000)
    mix[0, 1000:1100] = value
    mended = mix.copy()
    mended[0, 1000:1100] = 0
    stems = separator.separate(mix)
    assert_sums_to(stems, mended)


@pytest.mark.parametrize("kind", ["constant", "impulse", "square at full scale"])
def test_signals_with_empty_spectra_are_no_exception(separator: Separator, kind: str) -> None:
    mix = np.zeros((2, 4000), np.float32)
    if kind == "impulse":
        mix[:, 2000] = 1
    else:
        mix[:] = 1 if kind == "constant" else np.sign(np.sin(np.arange(4000) / 5 + 0.1))
    assert_sums_to(separator.separate(mix), mix)


def test_the_same_input_gives_the_same_output(separator: Separator, seed: int) -> None:
    mix = music(seed, 6000)
    np.testing.assert_array_equal(separator.separate(mix), separator.separate(mix))


def test_other_formats_are_refused(separator: Separator) -> None:
    with pytest.raises(ValueError, match="mix must have shape"):
        separator.separate(np.zeros((3, 100), np.float32))
    with pytest.raises(TypeError, match="mix must be"):
        separator.separate(np.zeros((2, 100), np.int16))  # type: ignore[arg-type]
