"""The selective kernel of Li et al. (CVPR 2019) for signals that may come step by step."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.cached_conv import CachedConv1d, frames_norm
from plugin_bridge.separation.layers.memory import Memory
from plugin_bridge.separation.layers.recent_pool import RecentPool, weighed


class KernelChoice(nn.Module):
    """Convolutions of several kernel sizes side by side, weighed for each channel by what they are over time.

        U = sum over b of U[b],  z = relu(A pool(U)),  w[b] = softmax over b of B[b] z,  V = sum of w[b] U[b]

    V is added to what came in. Unlike `selective_kernel`, it pools over a bounded past where it is causal.
    """

    def __init__(
        self,
        channels: int,
        chunk: int,
        chunks: int,
        *,
        causal: bool,
        kernels: tuple[int, ...] = (3, 5),
        reduction: int = 8,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            CachedConv1d(channels, channels, kernel, causal=causal) for kernel in kernels
        )
        self.finish = nn.ModuleList(
            nn.Sequential(frames_norm(channels, causal=causal), nn.PReLU()) for _ in kernels
        )
        self.pool = RecentPool(chunk, chunks, causal=causal)
        inner = max(1, channels // reduction)
        self.reduce = nn.Sequential(nn.Conv1d(channels, inner, 1), nn.ReLU())
        self.choose = nn.ModuleList(nn.Conv1d(inner, channels, 1) for _ in kernels)

    def forward(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        views = [finish(branch(x, memory)) for branch, finish in zip(self.branches, self.finish, strict=True)]
        seen = self.reduce(self.pool.mean(torch.stack(views).sum(dim=0), memory))
        scores = torch.stack([choose(seen) for choose in self.choose])  # (branches, batch, channels, chunks)
        for view, weights in zip(views, torch.softmax(scores, dim=0), strict=True):
            x = x + weighed(view, weights)
        return x
