"""The band-split recurrent network: windows of low delay, bands, the deep filter, and steps of a stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.band_mixing import band_mixing
from plugin_bridge.separation.layers.band_split import BandMerge, BandSplit
from plugin_bridge.separation.layers.deep_filter import DeepFilter, complex_product
from plugin_bridge.separation.layers.short_synthesis import ShortSynthesis
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.networks.band_split_rnn import PRESETS, BandSplitRnn
from plugin_bridge.separation.networks.network import State
from plugin_bridge.separation.short_transform import window_pair
from tests.network_trials import RATE, four_stems, parameters

torch.set_num_threads(1)
SHIPPED = [preset for preset in PRESETS if preset != "tiny"]


def tiny(**changes: object) -> BandSplitRnn:
    torch.manual_seed(0)
    network = networks.build("band_split_rnn", {"preset": "tiny", **changes})
    assert isinstance(network, BandSplitRnn)
    return network


def in_steps(network: BandSplitRnn, mix: Tensor, hops: int = 1) -> tuple[Tensor, State]:
    """The stream of a mix, some hops at a time, latency still in, and the state behind it."""
    state, parts = network.state(mix.shape[0]), []
    with torch.inference_mode():
        for block in mix.split(hops * network.hop, dim=-1):
            stems, state = network.continued(block, state)
            parts.append(stems)
    return torch.cat(parts, dim=-1), state


@pytest.mark.parametrize(
    ("window", "synthesis", "hop"), [(2048, 1024, 512), (2048, 512, 256), (1024, 1024, 256), (96, 48, 8)]
)
def test_what_goes_through_both_windows_comes_out_unchanged(window: int, synthesis: int, hop: int) -> None:
    transform = ShortSynthesis(window, synthesis, hop)
    audio = torch.rand(2, 12 * hop) * 2 - 1
    spectra = transform.analyse(nn.functional.pad(audio, (transform.past, 0)))
    assert spectra.shape == (2, 12, window // 2 + 1)
    out, begun = transform.synthesise(spectra, torch.zeros(2, transform.latency))
    assert begun.shape == (2, synthesis - hop)
    assert (out[:, transform.latency :] - audio[:, : -transform.latency]).abs().max() < 1e-6
    assert out[:, : transform.latency].abs().max() < 1e-6


def test_windows_rise_and_fall_and_their_product_is_one_when_overlapped() -> None:
    analysis, synthesis = map(torch.from_numpy, window_pair(2048, 1024))
    assert int(analysis.argmax()) == 1536
    assert analysis.min() >= 0
    assert synthesis.min() >= 0
    product = analysis[1024:] * synthesis
    assert torch.allclose(product[:512] + product[512:], torch.ones(512, dtype=torch.float64), atol=1e-12)


def test_a_full_scale_sine_is_near_one() -> None:
    transform = ShortSynthesis(2048, 1024, 512)
    sine = torch.sin(2 * torch.pi * 100 / 2048 * torch.arange(2048.0))
    assert float(transform.analyse(sine).abs().max()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("sizes", [(64, 128, 32), (64, 40, 16), (64, 16, 16), (63, 32, 16)])
def test_windows_that_do_not_fit_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="synthesis must be even, a multiple of hop"):
        ShortSynthesis(*sizes)


@pytest.mark.parametrize("preset", SHIPPED)
def test_latency_is_as_promised(preset: str) -> None:
    with torch.device("meta"):
        network = networks.build("band_split_rnn", {"preset": preset})
    assert isinstance(network, BandSplitRnn)
    assert network.hop + network.latency == (512 if preset == "low_latency" else 1024)
    assert network.sample_rate == 44100
    assert network.channels == 2
    assert network.estimated == ("vocals", "drums", "bass")


def test_sizes() -> None:
    assert parameters("band_split_rnn", "live") == pytest.approx(1.82e6, rel=0.01)
    assert parameters("band_split_rnn", "low_latency") == parameters("band_split_rnn", "small")
    assert parameters("band_split_rnn", "small") == pytest.approx(1.16e6, rel=0.01)
    assert parameters("band_split_rnn", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 31, 32, 33, 1111])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=1, sources=("a", "b", "c")).eval()(torch.randn(2, 1, frames))
    assert estimates.shape == (2, 2, 1, frames)
    assert torch.isfinite(estimates).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixing": "mlp"},
        {"mixing": "gru"},
        {"filter_ranges": 0},
        {"filter_frames": 3, "filter_reach": 0, "layers": 2},
        {"hop": 16},
        {"ranges": ((8, 4),), "filter_ranges": 1},
    ],
    ids=str,
)
def test_steps_give_what_the_whole_gives(changes: dict[str, object]) -> None:
    network, mix = tiny(**changes).eval(), 0.3 * torch.randn(2, 2, 20 * 64)
    nn.init.normal_(network.masker.filter.merge.bias) if network.masker.filter else None
    whole, after = in_steps(network, mix, 20 * 64 // network.hop)
    with torch.inference_mode():
        offline = network(mix)
    assert whole.abs().max() > 0.01
    assert (offline[..., : -network.latency] - whole[..., network.latency :]).abs().max() < 1e-5
    for hops in (1, 3):
        stepped, state = in_steps(network, mix, hops)
        assert (whole - stepped).abs().max() < 1e-5
        assert set(state) == set(after)
        assert all(torch.allclose(after[name], state[name], atol=1e-5) for name in state)


def test_a_step_leaves_the_given_state_alone() -> None:
    network = tiny().eval()
    _, state = in_steps(network, torch.randn(2, 2, 5 * network.hop))
    before = {name: past.clone() for name, past in state.items()}
    with torch.inference_mode():
        _, after = network.step(torch.randn(2, 2, network.hop), state)
    assert set(after) == set(state)
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert all(after[name].shape == state[name].shape == network.state(2)[name].shape for name in before)


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    network, mix = tiny().eval(), torch.randn(2, 2, 1000)
    with torch.inference_mode():
        together = network(mix)
        assert torch.allclose(together[1:], network(mix[1:]), atol=1e-6)


@pytest.mark.parametrize("hop", [32, 16])
def test_no_gradient_comes_from_later_hops(hop: int) -> None:
    network, mix = tiny(hop=hop), torch.randn(1, 2, 2000).requires_grad_(True)
    at = 9 * hop + 5
    network(mix)[..., at].sum().backward()
    assert mix.grad is not None
    end = (at + network.latency) // hop * hop + hop
    assert end <= at + hop + network.latency
    assert mix.grad[..., :end].any()
    assert not mix.grad[..., end:].any()


def test_silence_gives_silence_whatever_the_weights_are() -> None:
    network = tiny().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
        mix = torch.cat((torch.randn(1, 2, 640), torch.zeros(1, 2, 1280)), dim=-1)
        stems, _ = in_steps(network, mix)
    assert stems[..., :640].abs().max() > 0.01
    rest = network.latency + network.sizes.window + network.sizes.filter_frames * network.hop
    assert not stems[..., 640 + rest :].any()


def test_nothing_grows_in_a_long_stream() -> None:
    network, audio = tiny().eval(), 10 * torch.randn(1, 2, 100 * 64)
    state, levels = network.state(1), []
    with torch.inference_mode():
        for _ in range(10):
            stems, state = network.continued(audio, state)
            levels.append(float(stems.square().mean()))
            assert state["hidden"].abs().max() <= 1
    assert max(levels[1:]) == pytest.approx(min(levels[1:]), rel=1e-3)


def test_level_alone_changes_little_above_the_quietest() -> None:
    split, x = BandSplit(((4, 4),), 1, 6), torch.randn(1, 3, 16, 2)
    with torch.no_grad():
        split.level.zero_()
        assert torch.allclose(split(x), split(0.01 * x), atol=1e-3)
    assert split(0 * x).isfinite().all()


def test_bands_are_told_powers_of_channels_sum_and_difference() -> None:
    split = BandSplit(((1, 4),), 2, 3, magnitudes=True)
    x = torch.randn(1, 1, 4, 4)
    turned = torch.view_as_real(torch.view_as_complex(x.reshape(1, 1, 4, 2, 2)) * 1j).reshape(1, 1, 4, 4)
    with torch.no_grad():
        for weights in split.weights:
            weights.reshape(4, 8, 3)[:, :4] = 0  # leaves the powers, which no turn of the phase changes
        assert torch.allclose(split(x), split(turned), atol=1e-5)
        swapped = x[..., [2, 3, 0, 1]]
        assert not torch.allclose(split(x), split(swapped), atol=1e-2)
    assert split(0 * x).isfinite().all()


def test_bands_see_their_own_bins_only() -> None:
    split, x = BandSplit(((2, 3), (1, 5)), 2, 6), torch.randn(1, 2, 12, 4)
    before, x[:, :, 7] = split(x), 9.0
    changed = (split(x) - before).abs().amax(dim=(0, 1, 3)) > 0
    assert before.shape == (1, 2, 3, 6)
    assert changed.tolist() == [False, False, True]


def test_bins_hear_their_own_band_and_source_only() -> None:
    merge, x = BandMerge(((2, 3), (1, 5)), 2, 6, 4), torch.randn(1, 2, 3, 2, 6)
    before = merge(x)
    x[:, :, 1, 1] = 9.0
    changed = (merge(x) - before).abs().amax(dim=(0, 1, 4)) > 0
    assert before.shape == (1, 2, 2, 11, 4)
    assert not changed[0].any()
    assert changed[1].nonzero().flatten().tolist() == [3, 4, 5]


@pytest.mark.parametrize("kind", ["attention", "mlp", "gru"])
def test_every_band_hears_every_other_of_its_step(kind: str) -> None:
    layer, x = band_mixing(kind, 5, 8, 2), torch.randn(3, 5, 8).requires_grad_(True)
    made = layer(x)
    assert made.shape == x.shape
    made[1, 2].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().amax(dim=2).gt(0).tolist() == [[False] * 5, [True] * 5, [False] * 5]


def test_the_deep_filter_sums_weighted_neighbours() -> None:
    layer, spectra = DeepFilter(((3, 2),), 1, 4, frames=2, reach=1), torch.randn(1, 7, 6, 2, 2)
    features = torch.randn(1, 5, 3, 1, 4)
    assert not layer(features, spectra).any()
    assert (0, 0) in layer.offsets and (2, 1) not in layer.offsets and len(layer.offsets) == 8
    for number, (frame, moved) in enumerate(layer.offsets):
        with torch.no_grad():
            layer.merge.bias.zero_()[..., 2 * number + 1] = 0.5  # half of the neighbour, a quarter turn on
        seen = torch.view_as_complex(spectra[:, frame : frame + 5])
        wanted = np.tanh(0.5) * 1j * nn.functional.pad(seen, (0, 0, 1, 1))[:, :, moved : moved + 6]
        made = torch.view_as_complex(layer(features, spectra)[:, :, 0].contiguous())
        assert torch.allclose(made, wanted, atol=1e-6)


def test_pairs_of_reals_multiply_as_complex_numbers() -> None:
    one, other = torch.randn(2, 5, 2)
    product = torch.view_as_complex(one) * torch.view_as_complex(other)
    assert torch.allclose(complex_product(one, other), torch.view_as_real(product))


def test_what_is_above_the_bands_is_left_to_the_rest() -> None:
    network = tiny(ranges=((8, 4),), filter_ranges=0)
    t = torch.arange(2000) / RATE
    high = torch.sin(2 * torch.pi * 3000 * t).float().numpy()
    stems = NetworkSeparator(network).separate(np.stack((high, high)))
    inside = slice(300, -300)  # where it begins and ends, it is in every band
    assert np.abs(stems[:-1, :, inside]).max() < 1e-3
    assert np.abs(stems[-1] - high)[:, inside].max() < 1e-3


def test_it_learns_one_example() -> None:
    stems, network = four_stems(), tiny()
    mix, optimiser = stems.sum(dim=1), torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        loss = (network(mix) - stems[:, :-1]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] / losses[-1] > 10


@pytest.mark.parametrize("mixing", ["attention", "mlp", "gru"])
def test_all_parameters_learn(mixing: str) -> None:
    network = tiny(mixing=mixing)
    network(torch.randn(1, 2, 1000)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


class Step(nn.Module):
    """One step as a module's call."""

    def __init__(self, network: BandSplitRnn) -> None:
        super().__init__()
        self.network = network

    def forward(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        return self.network.step(block, state)


@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")  # of torch's GRU
def test_the_graph_of_a_step_can_be_exported() -> None:
    network = tiny().eval()
    block, state = torch.randn(1, 2, network.hop), network.state(1)
    exported = torch.export.export(Step(network), (block, state)).module()
    for _ in range(3):
        (one, after), (other, state) = exported(block, state), network.step(block, state)
        assert torch.allclose(one, other, atol=1e-6)
        assert all(torch.allclose(after[name], state[name], atol=1e-6) for name in state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranges": ((40, 4),)}, "ranges must have the window's 129 bins at most, got 160"),
        ({"ranges": ()}, "ranges must be pairs of bands and bins"),
        ({"width": 25}, "width must be even and a multiple of heads, got 25 and 2 heads"),
        ({"hop": 48}, "synthesis must be even, a multiple of hop"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes)
