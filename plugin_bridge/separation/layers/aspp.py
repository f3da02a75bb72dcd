"""Atrous spatial pyramid pooling (Chen et al., "Rethinking atrous convolution for semantic image
segmentation", 2017, section 3.3; separable as in their ECCV 2018 paper)."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.separable import convolution


class AtrousPyramid(nn.Module):
    """Several views of each place at once, joined by a 1x1 convolution.

    The views are the place itself, 3x3 neighbours at each of `rates` (1: the nearest, 2: every other, ...)
    and the mean of all places. The mean is not normalised over the batch, in which it is a single number.
    """

    def __init__(self, given: int, made: int, rates: tuple[int, ...], *, separable: bool) -> None:
        super().__init__()
        self.views = nn.ModuleList(
            [convolution(given, made, 1, separable=False)]
            + [convolution(given, made, 3, rate, separable=separable) for rate in rates]
        )
        self.overall = nn.Sequential(nn.Conv2d(given, made, 1), nn.ReLU())
        self.join = convolution(made * (len(rates) + 2), made, 1, separable=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, given, bins, steps)` to `(batch, made, bins, steps)`."""
        views = [view(x) for view in self.views]
        mean = self.overall(x.mean(dim=(2, 3), keepdim=True))
        views.append(mean.expand_as(views[0]))
        x = self.join(torch.cat(views, dim=1))
        return x
