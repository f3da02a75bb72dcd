"""The dual-gate temporal convolutional network of Yang, "Real-time audio source separation in live music
performances using edge AI technology", 2025.

Conv-TasNet (the TCN of section III.C) with, each switchable:

- an **input gate** in each block: a convolution beside the first 1x1 one, its sigmoid multiplied in (III.C);
- an **output gate** in each block, whose weights come from self-attention (III.C, eqs. 19 to 21);
- **SK** channel attention at the end of each sub-module, kernels of 3 and 5 (III.B.1, eqs. 10 to 12);
- **CBAM** behind the dilated convolution of each block (III.B.2, eqs. 13 and 14);
- **dual-path time attention** at the end of each sub-module: a sequence of L cut into about sqrt(L) pieces of
  about sqrt(L), attended to within and across (III.B.3 and III.B.4, eqs. 15 and 16).

The paper's figures of the blocks and all its sizes are missing, so that the sizes are Conv-TasNet's, at the
16 kHz of MIR-1K; it states no count of parameters. Eq. 11 names ReLU and sigmoid the wrong way round: the
outer one is the sigmoid of Hu et al. Attention of the output gate reaches over `gate_chunks` chunks, since
that of every block to every frame would cost most of the time and the dual path reaches farther for less.
Features, not only skips, leave the last sub-module, or what stands at its end would be for nothing.

`edge` is a twelfth of those sizes, for a processor to run live: steps of 32 ms that look 1 ms ahead.

In the **causal** form convolutions keep their past, and pooling and attention see `recent_chunks` chunks (the
output gate `gate_chunks`) of it. A chunk is the hop of the stream and seen whole.
"""

from dataclasses import dataclass, replace

from torch import nn

from plugin_bridge.separation.layers.chunk_attention import DualPathAttention
from plugin_bridge.separation.layers.kernel_choice import KernelChoice
from plugin_bridge.separation.layers.temporal_convolution import BlockOptions, TemporalStack
from plugin_bridge.separation.networks.conv_tasnet import CausalConvTasNet, ConvTasNet, ConvTasNetConfig


@dataclass(frozen=True, kw_only=True)
class DualGateTcnConfig(ConvTasNetConfig):
    """Conv-TasNet's sizes, and what is put in; `attention_width` is that of queries, keys and values."""

    sample_rate: int = 16000
    input_gate: bool = True
    output_gate: bool = True
    selective_kernel: bool = True
    cbam: bool = True
    time_attention: bool = True
    attention_width: int = 32
    gate_chunks: int = 5
    recent_chunks: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.selective_kernel or self.time_attention) and self.skip != self.narrow:
            raise ValueError(
                f"skip must be as wide as narrow behind selective_kernel or time_attention, "
                f"got {self.skip} and {self.narrow}"
            )


_PAPER = DualGateTcnConfig()
_EDGE = DualGateTcnConfig(
    filters=256,
    kernel=32,
    narrow=64,
    wide=128,
    skip=64,
    blocks=6,
    repeats=2,
    causal=True,
    chunk=32,
    gate_chunks=3,
    recent_chunks=32,
)
_TINY = DualGateTcnConfig(
    sample_rate=8000,
    window_seconds=0.25,
    filters=32,
    narrow=16,
    wide=32,
    skip=16,
    blocks=2,
    repeats=1,
    chunk=32,
    attention_width=8,
    gate_chunks=3,
    recent_chunks=4,
)

PRESETS = {
    "paper": _PAPER,
    "causal": replace(_PAPER, causal=True),
    "edge": _EDGE,
    "no_input_gate": replace(_PAPER, input_gate=False),
    "no_output_gate": replace(_PAPER, output_gate=False),
    "no_selective_kernel": replace(_PAPER, selective_kernel=False),
    "no_cbam": replace(_PAPER, cbam=False),
    "no_time_attention": replace(_PAPER, time_attention=False),
    "tiny": _TINY,
    "tiny_causal": replace(_TINY, causal=True),
}


def build(config: DualGateTcnConfig) -> "DualGateTcn | CausalDualGateTcn":
    """An untrained network."""
    options = BlockOptions(
        causal=config.causal,
        input_gate=config.input_gate,
        output_gate=config.output_gate,
        cbam=config.cbam,
        chunk=config.chunk,
        recent_chunks=config.recent_chunks,
        gate_chunks=config.gate_chunks,
        gate_width=config.attention_width,
    )
    stack = TemporalStack(
        config.narrow,
        config.wide,
        config.skip,
        config.block_kernel,
        config.blocks,
        config.repeats,
        options,
        lambda: behind(config),
    )
    return CausalDualGateTcn(config, stack) if config.causal else DualGateTcn(config, stack)


def behind(config: DualGateTcnConfig) -> list[nn.Module]:
    """The layers at the end of a sub-module."""
    narrow, chunk, recent, causal = config.narrow, config.chunk, config.recent_chunks, config.causal
    layers: list[nn.Module] = []
    if config.selective_kernel:
        layers.append(KernelChoice(narrow, chunk, recent, causal=causal))
    if config.time_attention:
        layers.append(DualPathAttention(narrow, config.attention_width, chunk, recent, causal=causal))
    return layers


class DualGateTcn(ConvTasNet):
    """The form that sees the whole window."""


class CausalDualGateTcn(CausalConvTasNet):
    """The form that steps, or computes the same in parallel."""
