"""Deep clustering: its size, its loss, its clusters, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from plugin_bridge.separation.layers.cell_embedding import (
    NamedCentres,
    cells,
    dominant,
    loudness,
    masks_of,
    soft_k_means,
)
from plugin_bridge.separation.networks import deep_clustering
from tests.network_trials import own_losses, parameters, two_stems

torch.set_num_threads(1)
TINY = deep_clustering.PRESETS["tiny"]


def tiny(**changes: object) -> deep_clustering.DeepClustering:
    torch.manual_seed(0)
    return deep_clustering.build(replace(TINY, **changes))


def lstm(given: int, hidden: int) -> int:
    """Weights of one bidirectional layer."""
    return 2 * 4 * hidden * (given + hidden + 2)


def test_the_size_follows_from_the_papers_layers() -> None:
    embed = (1200 + 1) * 129 * 40
    assert parameters("deep_clustering", "paper") == lstm(129, 600) + lstm(1200, 600) + embed
    assert parameters("deep_clustering", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2).eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert bool(torch.isfinite(estimates).all())


def test_masks_of_all_sources_sum_to_one() -> None:
    mix = torch.randn(1, 1, 2000)
    assert torch.allclose(tiny().eval()(mix).sum(1), mix, atol=1e-5)


def test_the_loss_is_that_of_the_matrices_it_does_not_make() -> None:
    points, belongs = torch.randn(2, 50, 4), torch.nn.functional.one_hot(torch.arange(100) % 3, 3).float()
    belongs = belongs.reshape(2, 50, 3)
    apart = points @ points.transpose(1, 2) - belongs @ belongs.transpose(1, 2)
    found = deep_clustering.affinity_loss(points, belongs, torch.tensor([50.0, 50.0]))
    assert float(found) == pytest.approx(float(apart.square().mean()), rel=1e-5)


def test_points_of_their_own_source_have_no_loss() -> None:
    belongs = torch.nn.functional.one_hot(torch.arange(60) % 3, 3).float()[None]
    assert float(deep_clustering.affinity_loss(belongs, belongs, torch.tensor([60.0]))) == pytest.approx(0)


def test_clusters_are_found_from_places_nearby_and_keep_their_order() -> None:
    torch.manual_seed(0)
    middles = torch.nn.functional.normalize(torch.randn(3, 8), dim=-1)
    points = torch.nn.functional.normalize(middles.repeat(100, 1) + 0.05 * torch.randn(300, 8), dim=-1)[None]
    start = torch.nn.functional.normalize(middles + 0.2 * torch.randn(3, 8), dim=-1)[None]
    centres = soft_k_means(points, torch.ones(1, 300), start, 8.0, 20, unit=True)
    assert bool((centres[0] * middles).sum(-1).gt(0.95).all())


def test_a_cluster_without_cells_stays_where_it_is() -> None:
    points, centres = torch.randn(1, 40, 4), torch.randn(1, 2, 4)
    assert torch.allclose(soft_k_means(points, torch.zeros(1, 40), centres, 1.0, 5, unit=False), centres)


def test_cells_go_to_points_and_back_in_one_order() -> None:
    magnitudes = torch.rand(2, 3, 5, 7)  # (batch, sources, bins, steps)
    assert torch.equal(masks_of(cells(magnitudes).transpose(1, 2), 5), magnitudes)
    loudest = masks_of(dominant(magnitudes), 5)
    assert torch.equal(loudest, (magnitudes == magnitudes.amax(dim=1, keepdim=True)).float())


def test_cells_far_below_the_loudest_count_for_nothing() -> None:
    magnitudes = torch.tensor([[[1.0, 0.02], [0.009, 0.0]]])
    assert loudness(magnitudes).tolist() == [[1.0, 0.0, 1.0, 0.0]]
    assert not loudness(torch.zeros(1, 2, 2)).any()


def test_names_follow_the_stems_and_a_silent_source_keeps_its_place() -> None:
    torch.manual_seed(0)
    centres = NamedCentres(2, 4)
    before, points = centres.places.clone(), torch.randn(1, 30, 4)
    belongs = torch.zeros(1, 30, 2)
    belongs[:, :, 0] = 1
    for _ in range(200):
        centres.follow(points, belongs)
    assert torch.allclose(centres.places[0], points.mean(dim=(0, 1)), atol=1e-3)
    assert torch.equal(centres.places[1], before[1])


def test_silence_has_a_finite_loss() -> None:
    network, stems = tiny(), torch.zeros(1, 2, 1, 500)
    loss = network.own_loss(stems.sum(1), stems)
    loss.backward()
    assert bool(torch.isfinite(loss.detach()))


def test_it_overfits_one_example_and_names_its_stems() -> None:
    network, stems = tiny(), two_stems()
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
