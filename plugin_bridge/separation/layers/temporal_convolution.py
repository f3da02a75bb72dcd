"""The temporal convolutional network of Conv-TasNet, with room for gates and attention (Yang 2025)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.cached_conv import CachedConv1d, frames_norm
from plugin_bridge.separation.layers.cbam import Cbam
from plugin_bridge.separation.layers.chunk_attention import AttentionGate
from plugin_bridge.separation.layers.memory import Memory


@dataclass(frozen=True, kw_only=True)
class BlockOptions:
    """What a block has beside its convolutions; frames come in chunks of `chunk`.

    `recent_chunks` is the past that causal pooling sees, `gate_chunks` and `gate_width` belong to the
    attention of the output gate.
    """

    causal: bool = False
    input_gate: bool = False
    output_gate: bool = False
    cbam: bool = False
    chunk: int = 1
    recent_chunks: int = 1
    gate_chunks: int = 1
    gate_width: int = 1


class TemporalBlock(nn.Module):
    """A 1x1 convolution, a dilated one for each channel, and 1x1 ones back and to the sum of skips.

    a = W1 x * sigmoid(Wg x)                 the input gate, beside the first 1x1 convolution
    h = norm(prelu(dilated(norm(prelu a))))  attended to by CBAM
    h = h * gate(h)                          the output gate, by self-attention
    x + Wr h,  Ws h                          to the next block, to the sum
    """

    def __init__(
        self,
        narrow: int,
        wide: int,
        skip: int,
        kernel: int,
        dilation: int,
        options: BlockOptions,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        causal, chunk = options.causal, options.chunk
        self.widen = nn.Conv1d(narrow, wide, 1)
        self.input_gate = nn.Conv1d(narrow, wide, 1) if options.input_gate else None
        self.before = nn.Sequential(nn.PReLU(), frames_norm(wide, causal=causal))
        self.dilated = CachedConv1d(wide, wide, kernel, causal=causal, dilation=dilation, groups=wide)
        self.after = nn.Sequential(nn.PReLU(), frames_norm(wide, causal=causal))
        self.cbam = Cbam(wide, chunk, options.recent_chunks, causal=causal) if options.cbam else None
        self.output_gate = (
            AttentionGate(wide, options.gate_width, chunk, options.gate_chunks, causal=causal)
            if options.output_gate
            else None
        )
        self.skip = nn.Conv1d(wide, skip, 1)
        self.back = None if last else nn.Conv1d(wide, narrow, 1)

    def forward(self, x: Tensor, memory: Memory = None) -> tuple[Tensor, Tensor]:
        """Shape: `(batch, narrow, frames)` to the same and `(batch, skip, frames)`."""
        h = self.widen(x)
        if self.input_gate is not None:
            h = h * torch.sigmoid(self.input_gate(x))
        h = self.after(self.dilated(self.before(h), memory))
        if self.cbam is not None:
            h = self.cbam(h, memory)
        if self.output_gate is not None:
            h = h * self.output_gate(h, memory)
        return (x if self.back is None else x + self.back(h)), self.skip(h)


class TemporalStack(nn.Module):
    """`repeats` sub-modules of `blocks` blocks, whose dilations double; gives the sum of all skips.

    `behind` makes the layers at the end of each sub-module, which are given `(x, memory)`; with any, what
    comes out at the end is added to the skips (narrow and skip must be as wide as each other then).
    """

    def __init__(
        self,
        narrow: int,
        wide: int,
        skip: int,
        kernel: int,
        blocks: int,
        repeats: int,
        options: BlockOptions,
        behind: Callable[[], list[nn.Module]] = list,
    ) -> None:
        super().__init__()
        self.behind = nn.ModuleList(nn.ModuleList(behind()) for _ in range(repeats))
        self.ends = len(self.behind[0]) > 0  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                TemporalBlock(
                    narrow,
                    wide,
                    skip,
                    kernel,
                    2**depth,
                    options,
                    last=not self.ends and (repeat, depth) == (repeats - 1, blocks - 1),
                )
                for depth in range(blocks)
            )
            for repeat in range(repeats)
        )

    def forward(self, x: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, narrow, frames)` to `(batch, skip, frames)`."""
        total = x.new_zeros(())
        for blocks, behind in zip(self.blocks, self.behind, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                x, skip = block(x, memory)
                total = total + skip
            for layer in behind:  # type: ignore[attr-defined]
                x = layer(x, memory)
        return total + x if self.ends else total
