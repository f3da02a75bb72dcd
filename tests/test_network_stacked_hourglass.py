"""The stacked hourglass: the published code's layers, its sizes, and that it learns."""

from __future__ import annotations

import pytest
import torch

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks import stacked_hourglass
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> stacked_hourglass.StackedHourglass:
    torch.manual_seed(0)
    network = networks.build("stacked_hourglass", {"preset": "tiny", **changes})
    assert isinstance(network, stacked_hourglass.StackedHourglass)
    return network


def test_the_size_follows_from_the_published_layers() -> None:
    def layer(given: int, made: int, kernel: int) -> int:
        return (given * kernel**2 + 1) * made

    enter = layer(1, 64, 7) + layer(64, 128, 3) + 2 * layer(128, 128, 3) + layer(128, 256, 3)
    hourglass = (3 * 4 + 1) * layer(256, 256, 3)
    masks = layer(256, 256, 3) + layer(256, 256, 1) + layer(256, 2, 1)
    onward = layer(256, 256, 1) + layer(2, 256, 1)
    assert parameters("stacked_hourglass", "paper") == enter + 4 * (hourglass + masks) + 3 * onward
    assert parameters("stacked_hourglass", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 1000, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2).eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert torch.isfinite(estimates).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (16, 16), (31, 2)])
def test_an_hourglass_keeps_any_size(size: tuple[int, int]) -> None:
    assert stacked_hourglass.Hourglass(4, depth=4)(torch.randn(1, 4, *size)).shape == (1, 4, *size)


def test_what_the_next_hourglass_sees_holds_the_masks() -> None:
    network = tiny()
    x = torch.randn(1, 16, 8, 8)
    onward, masks = network.stacks[0](x)
    network.stacks[0].masks.bias.data += 1.0
    moved, more = network.stacks[0](x)
    assert torch.allclose(more, masks + 1, atol=1e-5)
    assert not torch.allclose(moved, onward)
    last, _ = network.stacks[-1](x)
    assert last is x


def test_masks_below_zero_count_as_zero_once_trained() -> None:
    network, mix = tiny(), torch.randn(1, 1, 1000)
    with torch.no_grad():
        network.stacks[-1].masks.weight.zero_()
        network.stacks[-1].masks.bias.fill_(-1.0)
    assert network.train()(mix).abs().max() > 0.1
    assert network.eval()(mix).abs().max() == 0


def test_level_changes_nothing_but_the_level() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 1000)
    assert torch.allclose(network(100 * mix), 100 * network(mix), rtol=1e-3, atol=1e-3)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(), two_stems(), 120, 5e-3) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 1, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
