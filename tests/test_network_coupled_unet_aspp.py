"""The coupled U-Net with ASPP: what each part costs, what order 1 saves, any length, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.aspp import AtrousPyramid
from plugin_bridge.separation.layers.separable import SeparableConvolution
from plugin_bridge.separation.networks import coupled_unet_aspp
from tests.network_trials import four_stems, overfitted, parameters

torch.set_num_threads(1)
TINY = coupled_unet_aspp.PRESETS["tiny"]


def tiny(**changes: object) -> coupled_unet_aspp.CoupledUNet:
    torch.manual_seed(0)
    return coupled_unet_aspp.build(replace(TINY, **changes))


def held_for_the_gradient(network: nn.Module, mix: Tensor) -> int:
    """Bytes that one forward pass stores for the backward pass, each storage once, weights left out."""
    stored: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        stored[tensor.untyped_storage().data_ptr()] = tensor  # kept alive, so that no address comes twice
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(mix)
    return sum(tensor.untyped_storage().nbytes() for at, tensor in stored.items() if at not in weights)


def kept_for_later(network: coupled_unet_aspp.CoupledUNet, mix: Tensor) -> int:
    """The most bytes of features that any U-Net is given from those before it."""
    seen: list[int] = []
    for unet in network.stacks:
        unet.register_forward_pre_hook(
            lambda unet, given: seen.append(sum(feature.nbytes for made in given[1] for feature in made))
        )
    network(mix)
    return max(seen)


def test_the_paper_states_no_size_and_the_tiny_one_is_tiny() -> None:
    assert parameters("coupled_unet_aspp", "paper") == pytest.approx(0.66e6, rel=0.01)
    assert parameters("coupled_unet_aspp", "no_separable") == pytest.approx(2.08e6, rel=0.01)
    assert parameters("coupled_unet_aspp", "tiny") < 100_000


def test_order_1_keeps_a_third_of_what_full_coupling_of_four_keeps() -> None:
    mix = torch.randn(1, 1, 2000)
    kept = [kept_for_later(tiny(stacks=4, order=order), mix) for order in range(4)]
    assert kept[0] == 0
    assert kept[1:] == [kept[1], 2 * kept[1], 3 * kept[1]]


def test_order_1_trains_in_less_memory_than_full_coupling() -> None:
    mix = torch.randn(1, 1, 2000)
    none, nearest, full = (held_for_the_gradient(tiny(stacks=4, order=order), mix) for order in (0, 1, 3))
    assert none < nearest < 0.95 * full


def test_a_block_sees_the_same_place_of_as_many_unets_as_the_order_says() -> None:
    network = tiny(stacks=3, order=1).eval()
    features = torch.randn(1, 1, 65, 32)
    seen: list[list[Tensor]] = []
    made: list[list[Tensor]] = []
    for unet in network.stacks:
        unet.register_forward_hook(
            lambda unet, given, features: (seen.append(given[1]), made.append(features))[1]
        )
    network.refined(features)
    assert [len(kept) for kept in seen] == [0, 1, 1]
    assert all(a is b for a, b in zip(seen[2][0], made[1], strict=True))


def test_separable_convolutions_learn_fewer_weights() -> None:
    separable = sum(weight.numel() for weight in SeparableConvolution(64, 32).parameters())
    assert separable == 64 * (9 + 32)
    assert not any(isinstance(layer, SeparableConvolution) for layer in tiny(separable=False).modules())


def test_the_pyramid_can_be_left_out() -> None:
    assert sum(isinstance(layer, AtrousPyramid) for layer in tiny().modules()) == 2
    plain = tiny(rates=())
    assert not any(isinstance(layer, AtrousPyramid) for layer in plain.modules())
    assert plain(torch.randn(1, 1, 500)).shape == (1, 2, 1, 500)


def test_the_pyramid_sees_as_far_as_its_rates_and_all_of_it_by_its_mean() -> None:
    torch.manual_seed(0)
    pyramid = AtrousPyramid(2, 8, (2, 5), separable=True).eval()
    x = torch.randn(1, 2, 31, 31, requires_grad=True)
    pyramid(x)[0, :, 15, 15].sum().backward()
    assert x.grad is not None
    strength = x.grad[0].abs().sum(0)
    offsets = {abs(int(at) - 15) for at in (strength > 1.5 * strength.median()).nonzero().flatten()}
    assert offsets == {0, 2, 5}
    assert bool((strength > 0).all())


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2)(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert bool(torch.isfinite(estimates).all())


@pytest.mark.parametrize("wrong", [{"stacks": 0}, {"depth": 0}, {"order": -1}])
def test_sizes_that_make_no_network_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="stacks and depth must be at least 1 and order at least 0"):
        replace(TINY, **wrong)


def test_it_overfits_one_example() -> None:
    stems = four_stems(frames=1000, channels=1)
    stems = torch.stack((stems[:, 0], stems[:, 2]), dim=1)
    assert overfitted(tiny(), stems, learning_rate=1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network, mix = tiny(stacks=3).eval(), torch.randn(1, 1, 3000)
    assert torch.equal(torch.jit.script(network)(mix), network(mix))
