"""Convolutions over time that may run step by step, and the normalisations that may follow them."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.memory import Memory, Remembers


class CachedConv1d(Remembers):
    """A convolution of stride 1 that gives as many frames as it takes: causal, or centred.

    The causal one keeps the last `(kernel - 1) * dilation` frames instead of padding each step with zeros.
    """

    def __init__(
        self, given: int, made: int, kernel: int, *, causal: bool, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.reach, self.causal = (kernel - 1) * dilation, causal
        self.conv = nn.Conv1d(given, made, kernel, dilation=dilation, groups=groups)

    def forward(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, given, frames)` to `(batch, made, frames)`."""
        if self.causal:
            x = self.with_past(x, self.reach, memory)
        else:
            x = nn.functional.pad(x, (self.reach // 2, self.reach - self.reach // 2))
        made: Tensor = self.conv(x)
        return made


class FrameNorm(nn.Module):
    """Normalisation of each frame over its channels, which needs no past at all.

    It stands where Conv-TasNet's causal form has the cumulative one, whose statistics reach back to the
    beginning, so that a stream would sound another way after an hour.
    """

    def __init__(self, channels: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        x = x.float()  # in half precision, the power of quiet frames would be nothing
        centred = x - x.mean(dim=1, keepdim=True)
        power = centred.square().mean(dim=1, keepdim=True)
        return centred * torch.rsqrt(power + self.eps) * self.weight + self.bias


def frames_norm(channels: int, *, causal: bool) -> nn.Module:
    """Global layer normalisation over channels and frames, or `FrameNorm` where it must be causal."""
    return FrameNorm(channels) if causal else nn.GroupNorm(1, channels, eps=1e-8)
