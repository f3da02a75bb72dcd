"""The deep recurrent networks: their size, their masks, and that they learn."""

from __future__ import annotations

import pytest
import torch

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.drnn import Context, Highway
from plugin_bridge.separation.networks.network import Network
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def small(preset: str = "tiny", **changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build("drnn", {"preset": preset, **changes})


def test_the_size_follows_from_the_papers_layers() -> None:
    # Three steps of 513 bins, three layers of 1000, the second recurrent, two sources.
    first, second, third = (3 * 513 + 1) * 1000, (1000 + 1000 + 2) * 1000, 1001 * 1000
    assert parameters("drnn", "drnn_2") == first + second + third + 1001 * 2 * 513
    assert parameters("drnn", "efn") == pytest.approx(5.32e6, rel=0.01)
    assert max(parameters("drnn", preset) for preset in ("tiny", "tiny_efn")) < 100_000


@pytest.mark.parametrize("preset", ["tiny", "tiny_efn"])
@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 3001])
def test_any_number_of_frames_comes_back(preset: str, frames: int) -> None:
    estimates = small(preset, channels=2)(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert bool(torch.isfinite(estimates).all())


@pytest.mark.parametrize("preset", ["tiny", "tiny_efn"])
def test_masks_of_all_sources_sum_to_one(preset: str) -> None:
    mix = torch.randn(1, 1, 2000)
    assert torch.allclose(small(preset)(mix).sum(1), mix, atol=1e-4)


def test_a_step_is_seen_with_its_neighbours() -> None:
    steps = torch.arange(1.0, 5.0).reshape(1, 4, 1)
    assert Context(1)(steps)[0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    assert torch.equal(Context(0)(steps), steps)


def test_a_closed_highway_passes_what_it_is_given() -> None:
    highway, x = Highway(3), torch.randn(2, 5, 3)
    highway.gate.bias.data.fill_(-100.0)
    assert torch.allclose(highway(x), x)


@pytest.mark.parametrize("preset", ["tiny", "tiny_efn"])
def test_it_overfits_one_example(preset: str) -> None:
    assert overfitted(small(preset), two_stems(), steps=100) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("preset", ["tiny", "tiny_efn"])
def test_it_scripts(preset: str) -> None:
    network, mix = small(preset).eval(), torch.randn(1, 1, 3000)
    with torch.inference_mode():
        assert torch.allclose(torch.jit.script(network)(mix), network(mix), atol=1e-6)
