"""Gradients in half precision: lost without a larger loss, right with it."""

from __future__ import annotations

import torch
from torch import Tensor

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.network import Network
from plugin_bridge.training.loss_scale import FIRST, LARGEST, STEADY, LossScale
from tests.network_trials import four_stems

torch.set_num_threads(1)
EXAMPLES = 1024
"""As if the mean were over so many examples as long as ours, as it is over seconds at 44.1 kHz."""


def gradient(scale: LossScale, half: torch.dtype | None) -> Tensor:
    torch.manual_seed(0)
    network: Network = networks.build("band_split_rnn", {"preset": "tiny"})
    stems = four_stems(4000)
    with torch.autocast("cpu", dtype=half, enabled=half is not None):
        estimates = network(stems.sum(1))
    scale.backward((estimates - stems[:, :-1]).abs().mean() / EXAMPLES)
    scale.undo(network.parameters())
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_half_precision_gives_the_gradient_of_single_precision() -> None:
    single = gradient(LossScale(), None)
    scaled = gradient(LossScale(FIRST), torch.float16)
    lost = gradient(LossScale(), torch.float16)
    assert (scaled - single).norm() < 0.01 * single.norm()
    assert (lost - single).norm() > 0.2 * single.norm()


def test_the_factor_falls_at_once_and_rises_slowly() -> None:
    scale = LossScale(FIRST)
    scale.follow(False)
    assert (scale.factor, scale.steady) == (FIRST / 2, 0)
    for _ in range(STEADY - 1):
        scale.follow(True)
    assert scale.factor == FIRST / 2
    scale.follow(True)
    assert (scale.factor, scale.steady) == (FIRST, 0)


def test_the_factor_has_bounds_and_stays_one_in_single_precision() -> None:
    scale = LossScale(LARGEST, STEADY - 1)
    scale.follow(True)
    assert scale.factor == LARGEST
    for _ in range(100):
        scale.follow(False)
    assert scale.factor == 2
    single = LossScale()
    for finite in (True, False):
        single.follow(finite)
        assert single == LossScale()
