"""Self-attention over time in chunks: among neighbours as a gate, and along both ways of a dual path.

score = softmax(Q K' / sqrt(d)),  z = score V        (eqs. 19 to 21 of Yang 2025; Vaswani et al., 2017)
"""

import math

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.cached_conv import frames_norm
from plugin_bridge.separation.layers.memory import Memory, Remembers
from plugin_bridge.separation.layers.recent_pool import in_chunks


class AttentionGate(Remembers):
    """Weights between 0 and 1 for every channel and frame, by attention to the chunks around.

    A chunk attends to itself and the `chunks - 1` before it, or to half as many on each side where it need
    not be causal; before the start and after the end there are zeros.
    """

    def __init__(self, channels: int, width: int, chunk: int, chunks: int, *, causal: bool) -> None:
        super().__init__()
        self.chunk, self.causal, self.width = chunk, causal, width
        self.before = chunks - 1 if causal else chunks // 2
        self.after = 0 if causal else chunks // 2
        self.project = nn.Conv1d(channels, 3 * width, 1)
        self.give = nn.Conv1d(width, channels, 1)

    def forward(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)`, frames a multiple of the chunk, to the same."""
        projected: Tensor = self.project(x)
        query, pair = projected[:, : self.width], projected[:, self.width :]
        if self.causal:
            pair = self.with_past(pair, self.before * self.chunk, memory)
        else:
            pair = nn.functional.pad(pair, (self.before * self.chunk, self.after * self.chunk))
        # (batch, 2 width, frames) to (batch, chunks, frames in sight, 2 width)
        seen = pair.unfold(-1, (self.before + 1 + self.after) * self.chunk, self.chunk).permute(0, 2, 3, 1)
        asked = in_chunks(query, self.chunk).permute(0, 2, 3, 1)  # (batch, chunks, chunk, width)
        heard = attend(asked, seen[..., : self.width], seen[..., self.width :])
        gate: Tensor = self.give(heard.permute(0, 3, 1, 2).flatten(-2))
        return torch.sigmoid(gate)


class DualPathAttention(Remembers):
    """Attention within chunks of frames, then from chunk to chunk at the same place in each.

    As in the dual path of Luo et al. (ICASSP 2020), two short sequences stand for one long one. Where it
    need not be causal, chunks have the square root of all frames, and all are attended to; else they are
    the hops of a stream, and a chunk attends to the `chunks - 1` before it.
    """

    def __init__(self, channels: int, width: int, chunk: int, chunks: int, *, causal: bool) -> None:
        super().__init__()
        self.chunk, self.before, self.causal, self.width = chunk, chunks - 1, causal, width
        self.norms = nn.ModuleList(frames_norm(channels, causal=causal) for _ in range(2))
        self.projects = nn.ModuleList(nn.Conv1d(channels, 3 * width, 1) for _ in range(2))
        self.gives = nn.ModuleList(nn.Conv1d(width, channels, 1) for _ in range(2))

    def forward(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)`, frames a multiple of the chunk, to the same."""
        frames = x.shape[-1]
        chunk = self.chunk if self.causal else math.ceil(math.sqrt(frames))
        x = nn.functional.pad(x, (0, -frames % chunk))
        # (batch, 3 width, chunks, chunk) to (batch, chunks, chunk, 3 width)
        within = in_chunks(self.projects[0](self.norms[0](x)), chunk).permute(0, 2, 3, 1)
        x = x + self.gives[0](attend(*within.chunk(3, dim=-1)).permute(0, 3, 1, 2).flatten(-2))
        # (batch, 3 width, chunks, chunk) to (batch, chunk, 3 width, chunks)
        across = in_chunks(self.projects[1](self.norms[1](x)), chunk).permute(0, 3, 1, 2)
        heard = self._across(across, memory)  # (batch, chunk, chunks, width)
        x = x + self.gives[1](heard.permute(0, 3, 2, 1).flatten(-2))
        return x[..., :frames]

    def _across(self, across: Tensor, memory: Memory) -> Tensor:
        query, pair = across[:, :, : self.width], across[:, :, self.width :]
        if not self.causal:
            key, value = pair.transpose(-1, -2).chunk(2, dim=-1)
            return attend(query.transpose(-1, -2), key, value)
        pair = self.with_past(pair, self.before, memory)
        seen = pair.unfold(-1, self.before + 1, 1).permute(
            0, 1, 3, 4, 2
        )  # (batch, chunk, chunks, seen, 2 width)
        asked = query.transpose(-1, -2)[..., None, :]
        return attend(asked, seen[..., : self.width], seen[..., self.width :])[..., 0, :]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Shape: `(..., n, width)` and twice `(..., m, width)` to `(..., n, width)`."""
    scores = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
    return scores @ value
