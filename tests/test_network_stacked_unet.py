"""The stacked U-Net: what its second stage may do to the first's stems, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks import stacked_unet
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> stacked_unet.StackedUnet:
    torch.manual_seed(0)
    network = networks.build("stacked_unet", {"preset": "tiny", **changes})
    assert isinstance(network, stacked_unet.StackedUnet)
    return network


def last_bias(stage: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in stage.named_parameters()
        if name.endswith("decoder.1.grow.convolution.bias")
    ]


def test_it_is_twice_the_best_of_the_six() -> None:
    assert parameters("stacked_unet", "paper") == 2 * parameters("six_unets", "demucs_2d")
    assert parameters("stacked_unet", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 127, 128, 1000, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny().eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 4, 2, frames)
    assert torch.isfinite(estimates).all()


def test_a_second_stage_that_lets_all_through_leaves_the_first() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 3000)
    biases = last_bias(network.refinement)
    assert len(biases) == 4
    for bias in biases:
        nn.init.constant_(bias, 100.0)
    first = networks.build("six_unets", {"preset": "tiny"}).eval()
    first.masks.load_state_dict(network.separation.state_dict())
    assert torch.allclose(network(mix), first(mix), atol=1e-5)


def test_each_stem_is_refined_by_itself() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 3000)
    before = network(mix)
    nn.init.constant_(last_bias(network.refinement)[1], -100.0)
    after = network(mix)
    assert after[:, 1].abs().max() < 1e-6
    assert torch.equal(after[:, [0, 2, 3]], before[:, [0, 2, 3]])


def test_the_second_stage_only_takes_away() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 3000)
    magnitudes = Stft(256, 128).analyse(mix)[:, None, :, :128].abs()
    masks = network.separation(magnitudes)
    refined = masks * network.refinement(masks * magnitudes)
    assert (refined < masks).all() and (refined > 0).all()


def test_waveforms_are_refused() -> None:
    with pytest.raises(ValueError, match="dimensions of a stacked U-Net must be 2, got 1"):
        tiny(dimensions=1)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(sources=["vocals", "bass"], channels=1), two_stems(), 100, 1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
