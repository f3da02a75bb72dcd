"""Multiple low-rank representation: its parts, its optimum, and that its dictionaries are learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from plugin_bridge.separation.layers.low_rank import low_rank_codes, shrink_singular_values, sparse_codes
from plugin_bridge.separation.networks import mlrr
from tests.network_trials import own_losses, parameters, two_stems

torch.set_num_threads(1)
TINY = mlrr.PRESETS["tiny"]


def tiny(**changes: object) -> mlrr.Mlrr:
    torch.manual_seed(0)
    return mlrr.build(replace(TINY, **changes))


def test_atoms_are_all_that_is_learned() -> None:
    assert parameters("mlrr", "paper") == 2 * 513 * 100
    assert parameters("mlrr", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    with torch.inference_mode():
        estimates = tiny(channels=2)(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert bool(torch.isfinite(estimates).all())


def test_examples_and_channels_of_a_batch_do_not_meet() -> None:
    network, mix = tiny(channels=2), torch.randn(2, 2, 700)
    with torch.inference_mode():
        together = network(mix)
        alone = torch.stack([tiny()(mix[1:, channel : channel + 1])[0, :, 0] for channel in range(2)], dim=1)
    assert torch.allclose(together[1], alone, atol=1e-4)


@pytest.mark.parametrize("gradients", [True, False])
def test_singular_values_are_lowered_and_dropped(gradients: bool) -> None:
    torch.manual_seed(0)
    matrix, by = torch.randn(2, 5, 9, dtype=torch.float64), torch.tensor([[[2.0]], [[2.5]]]).double()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    wanted = left @ torch.diag_embed((values - by[..., 0]).clamp(min=0)) @ right
    with torch.set_grad_enabled(gradients):
        assert torch.allclose(shrink_singular_values(matrix, by), wanted)


def test_the_gradient_of_the_shrinking_is_right_and_finite_for_equal_values() -> None:
    torch.manual_seed(0)
    matrix, by = torch.randn(4, 6, dtype=torch.float64, requires_grad=True), torch.tensor([[1.5]]).double()
    assert torch.autograd.gradcheck(lambda matrix: shrink_singular_values(matrix, by), matrix)
    equal = (3 * torch.eye(4, dtype=torch.float64)).requires_grad_()
    shrink_singular_values(equal, by).sum().backward()
    assert equal.grad is not None
    assert bool(torch.isfinite(equal.grad).all())


def objective(matrix: Tensor, dictionaries: Tensor, codes: Tensor, rest_weight: float) -> float:
    """What the representation makes small, with all that is not explained in E."""
    rest = matrix - (dictionaries @ codes).sum(dim=0)
    return float(
        sum(torch.linalg.matrix_norm(code, "nuc") for code in codes) + rest_weight * rest.abs().sum()
    )


def test_no_other_representation_costs_less() -> None:
    torch.manual_seed(0)
    dictionaries = torch.nn.functional.normalize(torch.rand(2, 20, 6, dtype=torch.float64), dim=1)
    spikes = 3.0 * (torch.rand(20, 30) > 0.97)
    matrix = (dictionaries @ torch.randn(2, 6, 30).double()).sum(dim=0) + spikes
    codes = low_rank_codes(matrix[None], dictionaries, 0.3, 100)[0]
    least = objective(matrix, dictionaries, codes, 0.3)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        for _ in range(20):
            other = codes + size * torch.randn_like(codes)
            assert objective(matrix, dictionaries, other, 0.3) > least
    for source in range(2):
        other = codes.clone()
        other[source] *= 0.98
        assert objective(matrix, dictionaries, other, 0.3) > least


def test_sparse_codes_are_where_the_penalty_balances_the_error() -> None:
    torch.manual_seed(0)
    dictionary = torch.nn.functional.normalize(torch.randn(15, 8, dtype=torch.float64), dim=0)
    columns = torch.randn(15, 10, dtype=torch.float64)
    codes = sparse_codes(columns, dictionary, 0.5, 500)
    pull = dictionary.T @ (columns - dictionary @ codes)
    assert bool((pull.abs() < 0.5 + 1e-6).all())
    used = codes != 0
    assert bool(used.any()) and not bool(used.all())
    assert torch.allclose(pull[used], 0.5 * codes[used].sign(), atol=1e-6)


def test_half_precision_around_it_changes_nothing() -> None:
    network, mix, stems = tiny(), torch.randn(1, 1, 700), two_stems()
    with torch.inference_mode():
        plain, loss = network(mix), network.own_loss(stems.sum(1), stems)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(network(mix), plain)
            assert torch.equal(network.own_loss(stems.sum(1), stems), loss)


def test_silence_has_a_finite_loss() -> None:
    network, stems = tiny(), torch.zeros(1, 2, 1, 500)
    loss = network.own_loss(stems.sum(1), stems)
    loss.backward()
    assert bool(torch.isfinite(loss.detach()))


def test_dictionaries_learn_one_example_and_separate_it() -> None:
    network, stems = tiny(), two_stems()
    losses = own_losses(network, stems, steps=120, learning_rate=3e-2)
    assert losses[0] / losses[-1] > 10
    with torch.inference_mode():
        estimates = network(stems.sum(1))
    assert float((estimates - stems).abs().mean() / stems.abs().mean()) < 0.2


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network, mix = tiny(), torch.randn(1, 1, 3000)
    with torch.inference_mode():
        # Eigenvectors of equal values may differ from run to run; what follows from them does not.
        assert torch.allclose(torch.jit.script(network)(mix), network(mix), atol=1e-4)
