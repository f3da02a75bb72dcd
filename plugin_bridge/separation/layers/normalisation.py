"""Which normalisation stands behind a convolution."""

from math import gcd
from typing import Literal

from torch import nn

Normalisation = Literal["group", "batch", "none"]


def normalisation(kind: Normalisation, channels: int) -> nn.Module:
    """Group normalisation in `gcd(32, channels)` groups (Wu and He, ECCV 2018), batch normalisation, or none.

    Shape: `(batch, channels, frames)` to the same.
    """
    if kind == "group":
        return nn.GroupNorm(gcd(32, channels), channels)
    return nn.BatchNorm1d(channels) if kind == "batch" else nn.Identity()
