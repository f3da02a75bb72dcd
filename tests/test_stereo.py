"""A mono separator on stereo: what it hears on each side, and as a model of the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import catalogue, networks
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.stereo import InStereo
from tests.model_folders import write_model

RATE = 8000


def noise(frames: int = RATE) -> NDArray[np.float32]:
    return (0.2 * np.random.default_rng(3).standard_normal((2, frames))).astype(np.float32)


def mono_network() -> NetworkSeparator:
    torch.manual_seed(2)
    return NetworkSeparator(networks.build("unet", {"preset": "tiny", "channels": 1}))


def test_left_and_right_are_separated_by_themselves() -> None:
    separator, mix = mono_network(), noise()
    stems = InStereo(separator, "left_right").separate(mix)
    for side in (0, 1):
        np.testing.assert_array_equal(stems[:, side : side + 1], separator.separate(mix[side : side + 1]))


def test_mid_and_side_are_separated_by_themselves() -> None:
    separator, mix = mono_network(), noise()
    stems = InStereo(separator, "mid_side").separate(mix)
    mid, side = separator.separate((mix[:1] + mix[1:]) / 2), separator.separate((mix[:1] - mix[1:]) / 2)
    np.testing.assert_allclose(stems[:, :1], mid + side, atol=1e-6)
    np.testing.assert_allclose(stems[:, 1:], mid - side, atol=1e-6)


def test_what_is_the_same_on_both_sides_stays_so() -> None:
    separator, mono = mono_network(), noise()[:1]
    stems = InStereo(separator, "mid_side").separate(np.repeat(mono, 2, axis=0))
    np.testing.assert_array_equal(stems[:, 0], stems[:, 1])
    np.testing.assert_array_equal(stems[:, :1], separator.separate(mono))


@pytest.mark.parametrize("by", ["left_right", "mid_side"])
def test_raw_estimates_are_those_of_the_two_signals(by: str) -> None:
    separator, mix = mono_network(), noise()
    raw = InStereo(separator, by).raw_estimates(mix)  # type: ignore[arg-type]
    one = mix[:1] if by == "left_right" else (mix[:1] + mix[1:]) / 2
    heard = raw[:, :1] if by == "left_right" else (raw[:, :1] + raw[:, 1:]) / 2
    np.testing.assert_allclose(heard, separator.raw_estimates(one), atol=1e-6)


def test_other_separators_and_words_are_refused() -> None:
    wide = NetworkSeparator(networks.build("unet", {"preset": "tiny", "channels": 2}))
    with pytest.raises(ValueError, match="must be made of a mono separator, got one of 2 channels"):
        InStereo(wide, "mid_side")
    with pytest.raises(ValueError, match="must be left_right or mid_side, got 'sides'"):
        InStereo(mono_network(), "sides")  # type: ignore[arg-type]


def test_a_mono_model_on_stereo_is_loaded_described_and_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    config = {"preset": "tiny", "channels": 1, "stereo": "mid_side"}
    network = mono_network().network
    write_model(tmp_path / "models" / "mine", network, config=config, channels=2)
    found = catalogue.load("mine")
    assert isinstance(found, InStereo)
    described = catalogue.describe(found)
    assert described["config"]["stereo"] == "mid_side"
    assert catalogue.build(described["architecture"], described["config"]) == found
    np.testing.assert_array_equal(
        found.separate(noise()), InStereo(mono_network(), "mid_side").separate(noise())
    )
    write_model(tmp_path / "models" / "other", network, config={**config, "stereo": "both"}, channels=2)
    with pytest.raises(ModelError, match="got: stereo must be left_right or mid_side"):
        catalogue.load("other")
