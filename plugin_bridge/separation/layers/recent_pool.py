"""Pooling over time: over all frames, or over a bounded past in steps of a chunk."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.memory import Memory, Remembers


class RecentPool(Remembers):
    """Mean and maximum over all frames; causal, over a chunk of frames and the `chunks - 1` before it.

    A chunk may look at all of itself because it is the hop in which a stream takes its frames.
    Before the start there are zeros, as in the padding of a convolution.
    """

    def __init__(self, chunk: int, chunks: int, *, causal: bool) -> None:
        super().__init__()
        self.chunk, self.chunks, self.causal = chunk, chunks, causal

    def mean(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, channels, chunks)`, one for all if not causal."""
        if not self.causal:
            return x.mean(dim=-1, keepdim=True)
        each = self.with_past(in_chunks(x, self.chunk).mean(dim=-1), self.chunks - 1, memory, "mean")
        return nn.functional.avg_pool1d(each, self.chunks, stride=1)

    def maximum(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: as `mean`."""
        if not self.causal:
            return x.amax(dim=-1, keepdim=True)
        each = self.with_past(in_chunks(x, self.chunk).amax(dim=-1), self.chunks - 1, memory, "maximum")
        return nn.functional.max_pool1d(each, self.chunks, stride=1)


def in_chunks(x: Tensor, chunk: int) -> Tensor:
    """Shape: `(..., frames)`, frames a multiple of `chunk`, to `(..., frames / chunk, chunk)`."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // chunk, chunk)


def weighed(x: Tensor, weights: Tensor) -> Tensor:
    """Frames times the weights of their chunk.

    Shape: `(batch, channels, frames)` and `(batch, channels, chunks)` to `(batch, channels, frames)`.
    """
    chunks = in_chunks(x, x.shape[-1] // weights.shape[-1])
    return torch.flatten(chunks * weights[..., None], -2)
