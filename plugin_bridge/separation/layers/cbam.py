"""CBAM over time (Woo et al., "CBAM: convolutional block attention module", ECCV 2018)."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.cached_conv import CachedConv1d
from plugin_bridge.separation.layers.memory import Memory
from plugin_bridge.separation.layers.recent_pool import RecentPool, weighed


class Cbam(nn.Module):
    """Weighs channels by what they are over time, then frames by what they are over channels.

        channels:  s = sigmoid(W2 relu(W1 mean u) + W2 relu(W1 max u)),  x = s u      (eqs. 10 to 12)
        frames:    a = sigmoid(f(concat(mean u, max u))),                x = a u      (eqs. 13 and 14)

    The equations are those of Yang 2025, whose text swaps ReLU and sigmoid in eq. 11 and pools channels by
    the mean alone; where they differ this follows Woo et al. f is a convolution of `kernel` frames.
    """

    def __init__(
        self, channels: int, chunk: int, chunks: int, *, causal: bool, reduction: int = 16, kernel: int = 7
    ) -> None:
        super().__init__()
        self.pool = RecentPool(chunk, chunks, causal=causal)
        inner = max(1, channels // reduction)
        self.excite = nn.Sequential(nn.Conv1d(channels, inner, 1), nn.ReLU(), nn.Conv1d(inner, channels, 1))
        self.frames = CachedConv1d(2, 1, kernel, causal=causal)

    def forward(self, u: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        mean, most = self.pool.mean(u, memory), self.pool.maximum(u, memory)
        x = weighed(u, torch.sigmoid(self.excite(mean) + self.excite(most)))
        over_channels = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return x * torch.sigmoid(self.frames(over_channels, memory))
