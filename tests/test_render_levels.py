"""Loudness, peak and true peak, measured in blocks."""

import numpy as np
import pyloudnorm
import pytest

from plugin_bridge.render.loudness import LevelMeter, LoudnessMeter
from tests.halves_board import noise


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_in_blocks_is_pyloudnorms(rate, channels):
    audio = noise(channels, 5 * rate) * np.repeat([0.001, 1.0, 0.3, 0.0, 0.1], rate).astype(np.float32)
    meter = LoudnessMeter(rate, channels)
    for start in range(0, audio.shape[-1], 7919):
        meter.add(audio[:, start : start + 7919])
    expected = pyloudnorm.Meter(rate).integrated_loudness(audio.T.astype(np.float64))
    assert meter.integrated_lufs == pytest.approx(expected, abs=0.1)


def test_loudness_of_a_reference_tone():
    meter = LevelMeter(48000, 2)
    tone = 10 ** (-23 / 20) * np.sin(2 * np.pi * 997 * np.arange(48000 * 5) / 48000)
    meter.add(np.stack([tone, tone]).astype(np.float32))
    meter.finish()
    assert meter.integrated_lufs == pytest.approx(-23.0, abs=0.1)  # EBU Tech 3341, case 1
    assert meter.peak_dbfs == pytest.approx(-23.0, abs=0.02)


def test_true_peak_lies_between_the_samples():
    meter = LevelMeter(48000, 1)
    quarter = np.sin(2 * np.pi * 12000 * np.arange(48000) / 48000 + np.pi / 4)
    meter.add(0.5 * (quarter * np.hanning(48000))[None].astype(np.float32))
    meter.finish()
    assert meter.peak_dbfs == pytest.approx(-9.03, abs=0.02)
    assert meter.true_peak_dbtp == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize(("frames", "level"), [(0, 0.0), (19000, 0.5), (48000, 0.0)])
def test_what_cannot_be_measured_is_none(frames, level):
    meter = LevelMeter(48000, 2)
    meter.add(np.full((2, frames), level, np.float32))
    meter.finish()
    assert meter.integrated_lufs is None
    assert (meter.peak_dbfs is None) == (level == 0)
