"""Unet-SE-BiSRU: its rows of Table 4.1, its weights S, and that it learns."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from plugin_bridge.separation.layers.normalisation import normalisation
from plugin_bridge.separation.layers.selective_kernel import SelectiveKernelConvolution
from plugin_bridge.separation.layers.squeeze_excitation import SqueezeExcitation, excitations
from plugin_bridge.separation.layers.sru import SRU
from plugin_bridge.separation.networks import unet_se_bisru
from tests.network_trials import four_stems, overfitted, parameters

torch.set_num_threads(1)
TINY = unet_se_bisru.PRESETS["tiny"]
VARIANTS: dict[str, dict[str, object]] = {
    "paper": {},
    "no SE": {"attention": "none"},
    "BiLSTM": {"recurrent": "lstm"},
    "BiGRU": {"recurrent": "gru"},
    "BN": {"normalisation": "batch"},
    "unnormalised": {"normalisation": "none"},
    "SK": {"attention": "sk"},
}


def tiny(**changes: object) -> unet_se_bisru.UnetSeBisru:
    torch.manual_seed(0)
    return unet_se_bisru.build(replace(TINY, **changes))


def count(preset: str) -> int:
    return parameters("unet_se_bisru", preset)


def test_the_size_is_the_published_one() -> None:
    assert count("paper") == pytest.approx(3.33e7, rel=0.01)
    assert count("paper") / count("bilstm") == pytest.approx(0.5, rel=0.01)  # "only half of BiLSTM"
    assert count("tiny") < 100_000


def test_every_row_of_the_table_differs_in_what_it_says() -> None:
    kinds = {
        "paper": (SqueezeExcitation, nn.GroupNorm, SRU),
        "no_se": (nn.GroupNorm, SRU),
        "bilstm": (SqueezeExcitation, nn.GroupNorm, nn.LSTM),
        "bigru": (SqueezeExcitation, nn.GroupNorm, nn.GRU),
        "batch_norm": (SqueezeExcitation, nn.BatchNorm1d, SRU),
        "no_norm": (SqueezeExcitation, SRU),
        "sk": (SelectiveKernelConvolution, nn.GroupNorm, SRU),
    }
    looked_for = {kind for row in kinds.values() for kind in row}
    for preset, expected in kinds.items():
        with torch.device("meta"):
            network = unet_se_bisru.build(unet_se_bisru.PRESETS[preset])
        assert {type(part) for part in network.modules()} & looked_for == set(expected), preset


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_any_number_of_frames_comes_back(changes: dict[str, object]) -> None:
    network = tiny(**changes).eval()
    for frames in (1, 2, 65, 4001):
        estimates = network(torch.randn(1, 2, frames))
        assert estimates.shape == (1, 4, 2, frames)
        assert torch.isfinite(estimates).all()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_learns(changes: dict[str, object]) -> None:
    network = tiny(**changes)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    assert overfitted(network, four_stems(1000), steps=60) > 1.5
    moved = [bool((a != b).any()) for a, b in zip(before, network.parameters(), strict=True)]
    assert all(moved)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(), four_stems()) > 10


def test_groups_are_the_greatest_common_divisor_with_32() -> None:
    assert [normalisation("group", channels).num_groups for channels in (8, 24, 64, 100)] == [8, 8, 32, 4]


def test_squeeze_and_excitation_is_its_equations() -> None:
    torch.manual_seed(0)
    block, x = SqueezeExcitation(8, reduction=4), torch.randn(2, 8, 30)
    squeezed = x.sum(dim=-1) / 30
    weights = 1 / (1 + torch.exp(-(block.excite[2].weight @ (block.excite[0].weight @ squeezed.T).relu())))
    assert torch.allclose(block(x), weights.T[:, :, None] * x, atol=1e-6)


def test_excitations_can_be_read_of_every_block() -> None:
    network = tiny().eval()
    with excitations(network) as seen:
        network(torch.randn(3, 2, 800))
    assert len(seen) == 2 * TINY.depth
    assert [seen[f"unet.encoder.{block}.6"].shape for block in range(3)] == [(3, 8), (3, 16), (3, 32)]
    assert all(float(weights.min()) > 0 and float(weights.max()) < 1 for weights in seen.values())
    first = {name: weights.clone() for name, weights in seen.items()}
    network(torch.randn(1, 2, 800))
    assert all(torch.equal(first[name], weights) for name, weights in seen.items())


def test_selective_kernel_chooses_between_its_branches() -> None:
    torch.manual_seed(0)
    block, x = SelectiveKernelConvolution(8, nn.Identity), torch.randn(2, 8, 30)
    views = [branch(x) for branch in block.branches]
    assert not torch.allclose(views[0], views[1])
    for chosen in (0, 1):
        with torch.no_grad():
            block.choose[2].bias.copy_(torch.cat([torch.full((8,), 80.0 * (b == chosen)) for b in (0, 1)]))
        assert torch.allclose(block(x), views[chosen], atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_it_scripts(changes: dict[str, object]) -> None:
    network = tiny(**changes).eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
