"""The rate adapter: exact length, alignment inside the model's band, and the polyphase filter itself."""

from fractions import Fraction

import numpy as np
import pytest

from plugin_bridge.separation import catalogue
from plugin_bridge.separation.classical.bands import Bands
from plugin_bridge.separation.polyphase import Polyphase
from plugin_bridge.separation.rate import HOP_GRID, at_rate
from plugin_bridge.separation.whole_signal import WholeSignalSeparator

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 47999, 48000, 88200, 96000, 176400, 192000]


class Everything(WholeSignalSeparator):
    """Gives the whole mix to its first source: what comes out of it is the trip through the rates."""

    sources, sample_rate, channels = ("all", "rest"), 44100, 2

    def estimate(self, mix: np.ndarray) -> np.ndarray:
        return mix[None]


def delay_frames(one: np.ndarray, other: np.ndarray, rate: int, frequency_hz: float) -> float:
    """How much later `other` is, from the phase of one frequency."""
    t = np.arange(one.size) / rate
    probe = np.exp(-2j * np.pi * frequency_hz * t) * np.hanning(one.size)
    phase = np.angle((probe @ other) / (probe @ one))
    return float(-phase / (2 * np.pi * frequency_hz) * rate)


def passband(separator, rate: int) -> np.ndarray:
    """Noise that lies well inside both the model's band and the middle band of `bands`."""
    rng = np.random.default_rng(3)
    t = np.arange(rate) / rate
    mix = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (700.0, 1000.0, 1400.0))
    return np.stack([mix, 0.5 * mix]).astype(np.float32) * 0.2


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", [Bands, Everything])
def test_stems_stay_aligned_and_keep_their_length(kind, rate: int) -> None:
    separator = at_rate(kind(), rate)
    mix = passband(separator, rate)
    stems = separator.separate(mix)
    assert stems.shape == (len(separator.sources), *mix.shape)
    stem = stems[1 if kind is Bands else 0]
    for frequency_hz in (700.0, 1000.0, 1400.0):
        assert abs(delay_frames(mix[0], stem[0], rate, frequency_hz)) < 0.1
    middle = slice(rate // 4, -rate // 4)
    assert np.abs(stem[:, middle] - mix[:, middle]).max() < 2e-3


@pytest.mark.parametrize("rate", [48000, 96000])
def test_what_lies_above_the_models_band_goes_to_the_last_stem(rate: int) -> None:
    t = np.arange(rate // 2) / rate
    mix = np.stack([np.sin(2 * np.pi * 23500 * t)] * 2).astype(np.float32)
    stems = at_rate(Everything(), rate).separate(mix)
    middle = slice(rate // 8, -rate // 8)
    assert np.abs(stems[0][:, middle]).max() < 1e-2
    assert np.abs(stems[1][:, middle] - mix[:, middle]).max() < 1e-2


@pytest.mark.parametrize("rate", RATES)
def test_the_stream_never_runs_dry_and_keeps_no_more_than_it_must(rate: int) -> None:
    stream = at_rate(Bands(taps=65, hop=48), rate).stream()
    if rate != 44100:
        assert stream.hop % HOP_GRID == 0
        inner = stream._inner
        rng = np.random.default_rng(0)
        for _ in range(4000 if rate == 47999 else 400):
            block = rng.standard_normal((2, stream.hop)).astype(np.float32)
            inner.process(block)  # raises if the stems ran dry, since they would not fit the mix
        assert inner._delayed.shape[1] == stream.latency


@pytest.mark.parametrize("rate", [0, -44100, 999, 2_000_000, float("nan")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="sample_rate must be between 1000 and 1000000 Hz"):
        at_rate(Bands(), rate)


def test_the_models_own_rate_needs_no_adapter() -> None:
    separator = catalogue.load("bands")
    assert at_rate(separator, separator.sample_rate) is separator


@pytest.mark.parametrize("step", [Fraction(147, 160), Fraction(160, 147), Fraction(1, 2), Fraction(320, 147)])
def test_polyphase_equals_its_definition_for_any_block(step: Fraction) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3000)).astype(np.float32)
    whole = Polyphase(step, 2).process(x)
    parts, at, resampler = [], 0, Polyphase(step, 2)
    while at < x.shape[1]:
        size = int(rng.integers(1, 200))
        parts.append(resampler.process(x[:, at : at + size]))
        at += size
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    # A sine comes out as the same sine, read at the positions j * step.
    n = np.arange(3000)
    sine = Polyphase(step, 1).process(np.sin(0.05 * n)[None].astype(np.float32))[0]
    wanted = np.sin(0.05 * float(step) * np.arange(sine.size))
    assert np.abs(sine - wanted)[200:].max() < 3e-4
