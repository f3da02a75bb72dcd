"""The dense U-Net: that its blocks are dense, any length, and that it learns."""

from __future__ import annotations

import pytest
import torch

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks import dense_unet
from plugin_bridge.separation.networks.network import Network
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build("dense_unet", {"preset": "tiny", **changes})


def test_it_has_the_size_that_its_docstring_states() -> None:
    assert parameters("dense_unet", "paper") == pytest.approx(1.43e6, rel=0.005)
    assert parameters("dense_unet", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 127, 128, 1000, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2).eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert torch.isfinite(estimates).all()


def test_every_layer_of_a_block_sees_all_before_it_and_all_are_given_on() -> None:
    torch.manual_seed(0)
    block = dense_unet.DenseBlock(given=5, growth=3, layers=4).eval()
    x = torch.randn(1, 5, 8, 8)
    once = block(x)
    assert once.shape == (1, 5 + 4 * 3, 8, 8) and block.made == 17
    assert torch.equal(once[:, :5], x)
    with torch.no_grad():
        block.layers[0][2].bias += 1.0
    moved = (block(x) - once).abs().amax(dim=(0, 2, 3))
    assert moved[:5].max() == 0  # the input
    assert (moved[5:] > 0).all()  # the first layer's own and all that look at it


def test_masks_lie_between_nothing_and_all() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 2000)
    with torch.no_grad():
        network.masks.bias.fill_(100.0)
        assert torch.allclose(network(mix), mix[:, None].expand(1, 2, 1, 2000), atol=1e-5)
        network.masks.bias.fill_(-100.0)
        assert network(mix).abs().max() < 1e-6


def test_level_changes_nothing_but_the_level() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 1000)
    assert torch.allclose(network(100 * mix), 100 * network(mix), rtol=1e-3, atol=1e-3)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(), two_stems(), 100, 1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 1, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
