"""The Wave-U-Net: its published sizes, its context, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks import wave_unet
from plugin_bridge.training.network_figures import receptive_field
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> wave_unet.WaveUnet:
    torch.manual_seed(0)
    network = networks.build("wave_unet", {"preset": "tiny", **changes})
    assert isinstance(network, wave_unet.WaveUnet)
    return network


def test_the_size_follows_from_the_papers_layers() -> None:
    # Kernels of 15 down, 24 channels more each time; of 5 up, over the block below and the skip; a 1x1 layer.
    widths = [1, *range(24, 313, 24)]
    down = sum(15 * widths[i] * widths[i + 1] + widths[i + 1] for i in range(13))
    up = sum(5 * (widths[i] + widths[i + 1]) * widths[i] + widths[i] for i in range(1, 13))
    assert parameters("wave_unet", "m3") == down + up + (24 + 1) + 1
    assert parameters("wave_unet", "m3") == pytest.approx(10.26e6, rel=0.001)
    assert parameters("wave_unet", "tiny") < 100_000


def test_frames_taken_and_given_are_the_published_ones() -> None:
    with torch.device("meta"):
        network = wave_unet.build(wave_unet.PRESETS["m4"])
    assert network.room(16389) == (147443, 16389)
    taken, made = network.room(16390)
    assert made > 16390 and taken - made == 147443 - 16389


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 1000, 4001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 4, 2, frames)
    assert torch.isfinite(estimates).all()


def test_the_last_source_is_the_rest_of_the_mix() -> None:
    mix = torch.randn(1, 2, 500)
    estimates = tiny()(mix)
    assert torch.allclose(estimates.sum(dim=1), mix, atol=1e-6)
    assert estimates[:, :-1].abs().max() < 1


def test_an_estimate_does_not_depend_on_where_the_window_ends() -> None:
    """The padding stands for context: silence around a signal is as good as its end."""
    network, mix = tiny().eval(), torch.randn(1, 2, 400)
    with_silence = nn.functional.pad(mix, (64, 100))
    assert torch.allclose(network(with_silence)[..., 64:464], network(mix), atol=1e-5)


def test_it_looks_as_far_back_as_ahead() -> None:
    network, mix = tiny().double().eval(), torch.randn(1, 2, network_frames(), dtype=torch.float64)
    once = network(mix)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv1d):
                layer.weight.copy_(layer.weight.flip(-1))
    assert torch.allclose(network(mix.flip(-1)).flip(-1), once, atol=1e-12)


def network_frames() -> int:
    """A number of frames that the network gives exactly, so that no side is padded more."""
    return tiny().room(300)[1]


def test_it_sees_as_much_as_it_pads() -> None:
    """Though its stems sum to the mix, each depends on what lies around."""
    network = tiny()
    taken, made = network.room(1)
    context = (taken - made) // 2
    field = receptive_field(network)
    assert field.back is not None and context <= field.back < context + 8
    assert field.ahead is not None and context <= field.ahead < context + 8


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="kernels must be odd, got 14 and 5"):
        tiny(kernel_down=14)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(sources=["vocals", "bass"], channels=1), two_stems(), 120, 5e-3) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
