"""Selective kernel (Li et al., CVPR 2019) for signals: each channel chooses among fields of view."""

from collections.abc import Callable
from math import gcd

import torch
from torch import Tensor, nn


class SelectiveKernelConvolution(nn.Module):
    """Convolutions of several dilations side by side, weighed per channel by what they are on average.

        U = sum over branches b of U[b],  z = relu(A mean over frames of U)
        w[b] = softmax over branches of B[b] z,  V = sum over b of w[b] U[b]

    Kernel 3 with dilations 1 and 2 (fields of 3 and 5), `gcd(32, channels)` groups and a hidden width of at
    least 32 are those of Li et al.; `normalise` makes the layer behind each convolution.
    """

    def __init__(
        self,
        channels: int,
        normalise: Callable[[int], nn.Module] = nn.BatchNorm1d,
        dilations: tuple[int, ...] = (1, 2),
        reduction: int = 16,
        narrowest: int = 32,
    ) -> None:
        super().__init__()
        groups = gcd(32, channels)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, groups=groups),
                normalise(channels),
                nn.ReLU(),
            )
            for dilation in dilations
        )
        inner = max(narrowest, channels // reduction)
        self.choose = nn.Sequential(
            nn.Linear(channels, inner),
            nn.ReLU(),
            nn.Linear(inner, len(dilations) * channels),
            nn.Unflatten(1, (len(dilations), channels)),
            nn.Softmax(dim=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        views = torch.stack(
            [branch(x) for branch in self.branches], dim=1
        )  # (batch, branches, channels, frames)
        weights: Tensor = self.choose(views.sum(dim=1).mean(dim=-1))  # (batch, branches, channels)
        return (weights[..., None] * views).sum(dim=1)
