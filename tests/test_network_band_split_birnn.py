"""The band-split network for offline work: windows, both directions of time, a causal network's weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.band_split_birnn import BandSplitBirnn
from plugin_bridge.separation.networks.band_split_rnn import BandSplitRnn
from tests.network_trials import RATE, four_stems, overfitted, parameters

torch.set_num_threads(1)


def tiny(**changes: object) -> BandSplitBirnn:
    torch.manual_seed(0)
    network = networks.build("band_split_birnn", {"preset": "tiny", **changes})
    assert isinstance(network, BandSplitBirnn)
    return network


def causal() -> BandSplitRnn:
    torch.manual_seed(1)
    network = networks.build("band_split_rnn", {"preset": "tiny", "magnitudes": True})
    assert isinstance(network, BandSplitRnn)
    return network


def test_sizes() -> None:
    assert parameters("band_split_birnn", "studio") == pytest.approx(1.59e6, rel=0.01)
    assert parameters("band_split_birnn", "large") > parameters("band_split_birnn", "studio")
    assert parameters("band_split_birnn", "tiny") < 120_000


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 2001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=1, sources=("a", "b", "c")).eval()(torch.randn(2, 1, frames))
    assert estimates.shape == (2, 2, 1, frames)
    assert torch.isfinite(estimates).all()


def test_it_begins_with_shares_of_the_mix() -> None:
    network, mix = tiny().eval(), four_stems().sum(dim=1)
    nn.init.zeros_(network.masker.heads.weight)
    nn.init.zeros_(network.masker.heads.bias)
    for source in range(3):
        assert torch.allclose(network(mix)[:, source], mix / 4, atol=1e-3)  # the highest bin is in no band


def test_a_full_scale_sine_is_near_one() -> None:
    network = tiny()
    sine = torch.sin(2 * torch.pi * 16 / 256 * torch.arange(2048.0))
    assert float(network.stft.analyse(sine).abs().max() * network.scale) == pytest.approx(1, abs=0.02)


def test_with_a_causal_networks_weights_it_begins_with_its_masks() -> None:
    theirs, ours = causal().eval(), tiny().eval()
    given = ours.masker.load_state_dict(theirs.masker.state_dict(), strict=False)
    assert not given.unexpected_keys
    assert all(".later." in name or ".join_later." in name for name in given.missing_keys)
    spectra = torch.randn(2, 12, 129, 2, 2)
    hidden, before = theirs.state(2)["hidden"], theirs.state(2)["spectra"]
    wanted, _, _ = theirs.masker(spectra, hidden, before)
    made, _, _ = ours.masker(spectra, hidden, before)
    assert wanted.abs().max() > 0.1
    assert torch.allclose(made, wanted, atol=1e-6)


def test_it_hears_what_comes_after_once_it_has_learned_to() -> None:
    network, mix = tiny(), torch.randn(1, 2, RATE // 4).requires_grad_(True)
    reach = 2 * 256  # of windows alone

    def heard_ahead() -> float:
        (gradient,) = torch.autograd.grad(network(mix)[..., 100].sum(), mix)
        return float(gradient[..., 100 + reach :].abs().max())

    assert heard_ahead() == 0
    nn.init.normal_(network.masker.layers[0].join_later.weight)
    assert heard_ahead() > 0


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    network, mix = tiny().eval(), torch.randn(2, 2, 1000)
    with torch.inference_mode():
        assert torch.allclose(network(mix)[1:], network(mix[1:]), atol=1e-6)


def test_it_overfits_one_example() -> None:
    class Completed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny()

        def forward(self, mix):
            made = self.network(mix)
            return torch.cat((made, mix[:, None] - made.sum(1, keepdim=True)), dim=1)

    assert overfitted(Completed(), four_stems(), 150) > 5
