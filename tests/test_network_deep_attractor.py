"""The deep attractor network: its size, its attractors, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from plugin_bridge.separation.networks import deep_attractor
from tests.network_trials import own_losses, parameters, two_stems

torch.set_num_threads(1)
TINY = deep_attractor.PRESETS["tiny"]


def tiny(**changes: object) -> deep_attractor.DeepAttractor:
    torch.manual_seed(0)
    return deep_attractor.build(replace(TINY, **changes))


def lstm(given: int, hidden: int) -> int:
    """Weights of one bidirectional layer."""
    return 2 * 4 * hidden * (given + hidden + 2)


def test_the_size_follows_from_the_papers_layers() -> None:
    embed = (600 + 1) * 129 * 20
    assert parameters("deep_attractor", "paper") == lstm(129, 300) + 3 * lstm(600, 300) + embed
    assert parameters("deep_attractor", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2).eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert bool(torch.isfinite(estimates).all())


def test_masks_of_all_sources_sum_to_one() -> None:
    mix = torch.randn(1, 1, 2000)
    assert torch.allclose(tiny().eval()(mix).sum(1), mix, atol=1e-5)


def test_k_means_moves_the_attractors_that_training_left() -> None:
    mix = torch.randn(1, 1, 2000)
    with torch.inference_mode():
        fixed, moved = tiny().eval()(mix), tiny(iterations=5).eval()(mix)
    assert float((fixed - moved).abs().max()) > 1e-3


def test_attractors_follow_the_stems_in_training_only() -> None:
    network, stems = tiny(), two_stems()
    before = network.attractors.places.clone()
    network.eval().own_loss(stems.sum(1), stems)
    assert torch.equal(network.attractors.places, before)
    network.train().own_loss(stems.sum(1), stems)
    assert not torch.equal(network.attractors.places, before)


def test_silence_has_a_finite_loss() -> None:
    network, stems = tiny(), torch.zeros(1, 2, 1, 500)
    loss = network.own_loss(stems.sum(1), stems)
    loss.backward()
    assert bool(torch.isfinite(loss.detach()))


@pytest.mark.parametrize("iterations", [0, 5])
def test_it_overfits_one_example_and_names_its_stems(iterations: int) -> None:
    network, stems = tiny(iterations=iterations), two_stems()
    losses = own_losses(network, stems, steps=100)
    assert losses[0] / losses[-1] > 10
    with torch.inference_mode():
        estimates = network.eval()(stems.sum(1))
    assert float((estimates - stems).abs().mean() / stems.abs().mean()) < 0.1


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 3000)
    with torch.inference_mode():
        assert torch.allclose(torch.jit.script(network)(mix), network(mix), atol=1e-6)
