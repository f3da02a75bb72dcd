"""The BiLSTM attention U-Net: what its paper says of each part, any length, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.attention_gate import AttentionGate
from plugin_bridge.separation.networks import bilstm_attention_unet
from plugin_bridge.separation.networks.network import Network
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build("bilstm_attention_unet", {"preset": "tiny", **changes})


def test_it_has_the_size_that_its_docstring_states() -> None:
    assert parameters("bilstm_attention_unet", "paper") == pytest.approx(15.13e6, rel=0.001)
    assert parameters("bilstm_attention_unet", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 127, 128, 1000, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny().eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 4, 2, frames)
    assert torch.isfinite(estimates).all()


def test_masks_of_all_sources_sum_to_one() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 2000)
    assert torch.allclose(network(mix).sum(dim=1), mix, atol=1e-5)


def test_the_bottleneck_keeps_frequencies_apart_and_joins_all_steps() -> None:
    torch.manual_seed(0)
    bottleneck = bilstm_attention_unet.FrequencywiseRecurrence(6, layers=1)
    features = torch.randn(1, 6, 5, 9)
    changed = features.clone()
    changed[:, :, 2, 4] += 1.0
    moved = (bottleneck(changed) - bottleneck(features)).abs().amax(dim=(0, 1))  # (bins, steps)
    assert (moved[2] > 0).all()
    assert moved[[0, 1, 3, 4]].max() == 0
    rows = features[:, :, :1].expand(-1, -1, 5, -1)
    assert torch.allclose(bottleneck(rows)[:, :, 0], bottleneck(rows)[:, :, 4], atol=1e-6)


def test_a_gate_weighs_each_place_of_a_skip_between_nothing_and_all() -> None:
    torch.manual_seed(0)
    decoded, skip = torch.randn(1, 6, 4, 5), torch.randn(1, 8, 4, 5)
    weights = AttentionGate(6, 8)(decoded, skip) / skip
    assert weights.shape == skip.shape
    assert weights.min() > 0 and weights.max() < 1
    assert torch.allclose(weights, weights[:, :1].expand_as(weights), atol=1e-5)
    assert weights.std() > 0.05


def test_features_are_resized_bilinearly_where_sizes_differ() -> None:
    slope = torch.arange(34.0)[None, None, :, None].expand(1, 1, 34, 6)
    resized = bilstm_attention_unet.aligned(slope, torch.zeros(1, 3, 33, 5))
    assert resized.shape == (1, 1, 33, 5)
    assert torch.allclose(resized[0, 0, 1:, 0].diff(), torch.tensor(34 / 33), atol=1e-4)
    assert bilstm_attention_unet.aligned(slope, slope) is slope


def test_the_first_three_decoder_blocks_drop_half_in_training() -> None:
    with torch.device("meta"):
        network = networks.build("bilstm_attention_unet", {"preset": "paper"})
    shares = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout2d)]
    assert shares == [0.5, 0.5, 0.5, 0.0, 0.0]


def test_encoder_and_decoder_normalise_each_example_by_itself() -> None:
    network, mix = tiny().train(), torch.randn(2, 2, 1500)
    assert torch.allclose(network(mix)[:1], network(mix[:1]), atol=1e-5)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(sources=["vocals", "bass"], channels=1), two_stems(), 100, 1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
