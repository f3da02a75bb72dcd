"""Conv-TasNet (Luo and Mesgarani, "Conv-TasNet: surpassing ideal time-frequency magnitude masking", 2019).

An encoder learned in place of a Fourier transform, a mask for each source from a temporal convolutional
network, and a learned decoder. The paper states 5.1 million parameters for N 512, L 16, B 128, H 512, Sc 128,
P 3, X 8, R 3; ours has 4.98 million. Encoder and decoder are linear, masks are sigmoids. The causal form
normalises each frame over its channels, where the paper has statistics over all of the past.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.masked_filterbank import MaskedFilterbank, longest_past
from plugin_bridge.separation.layers.temporal_convolution import BlockOptions, TemporalStack
from plugin_bridge.separation.networks.network import CausalNetwork, Network, NetworkConfig, State


@dataclass(frozen=True, kw_only=True)
class ConvTasNetConfig(NetworkConfig):
    """The paper's sizes; its letters are N, L, B, H, Sc, P, X and R in this order.

    A causal network steps by `chunk` frames of the encoder, each half a `kernel` long.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8000
    channels: int = 1
    window_seconds: float = 4.0
    filters: int = 512
    kernel: int = 16
    narrow: int = 128
    wide: int = 512
    skip: int = 128
    block_kernel: int = 3
    blocks: int = 8
    repeats: int = 3
    causal: bool = False
    chunk: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2:
            raise ValueError(f"kernel must be even, got {self.kernel}")


_TINY = ConvTasNetConfig(
    window_seconds=0.25, filters=32, narrow=16, wide=32, skip=16, blocks=3, repeats=2, chunk=32
)

PRESETS = {
    "paper": ConvTasNetConfig(),
    "causal": ConvTasNetConfig(causal=True),
    # The sizes with which Demucs's authors compare: L 20, N 256, B 256, H 512, X 10, R 4 (2019, section 6).
    "music": ConvTasNetConfig(
        sources=("drums", "bass", "other", "vocals"),
        sample_rate=44100,
        channels=2,
        window_seconds=8.0,
        filters=256,
        kernel=20,
        narrow=256,
        skip=256,
        blocks=10,
        repeats=4,
    ),
    "tiny": _TINY,
    "tiny_causal": replace(_TINY, causal=True),
}

STATED = {"paper": "5.1 M", "causal": "5.1 M"}


def build(config: ConvTasNetConfig) -> "ConvTasNet | CausalConvTasNet":
    """An untrained network."""
    stack = TemporalStack(
        config.narrow,
        config.wide,
        config.skip,
        config.block_kernel,
        config.blocks,
        config.repeats,
        BlockOptions(causal=config.causal),
    )
    return CausalConvTasNet(config, stack) if config.causal else ConvTasNet(config, stack)


class ConvTasNet(Network):
    """The form that sees the whole window."""

    def __init__(self, config: ConvTasNetConfig, stack: TemporalStack) -> None:
        super().__init__(config)
        self.bank, self.grid = filterbank(config, stack), config.chunk * config.kernel // 2

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        frames, late = mix.shape[-1], self.bank.stride
        made: Tensor = self.bank(nn.functional.pad(mix, (0, late + -(frames + late) % self.grid)))
        return made[..., late : late + frames]


class CausalConvTasNet(CausalNetwork):
    """The form that steps, or computes the same in parallel."""

    def __init__(self, config: ConvTasNetConfig, stack: TemporalStack) -> None:
        super().__init__(config)
        self.bank = filterbank(config, stack)
        self.latency = config.kernel // 2
        self.hop = config.chunk * self.latency
        self.tail = longest_past(self.bank) * self.latency

    def state(self, batch: int) -> State:
        """What the network remembers before frame 0: silence in every layer."""
        state: State = {}
        with torch.no_grad():
            self.bank(torch.zeros(batch, self.channels, self.hop, device=self.device), state)
        return {name: torch.zeros_like(past) for name, past in state.items()}

    def step(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        """Shape: `(batch, channels, hop)` to `(batch, sources, channels, hop)`."""
        after = dict(state)
        stems: Tensor = self.bank(block, after)
        return stems, after

    def continued(self, mix: Tensor, state: State) -> tuple[Tensor, State]:
        """Many steps in parallel.

        Shape: `(batch, channels, n * hop)` to `(batch, sources, channels, n * hop)`.
        """
        return self.step(mix, state)


def filterbank(config: ConvTasNetConfig, stack: TemporalStack) -> MaskedFilterbank:
    """Encoder, masks and decoder around a stack."""
    return MaskedFilterbank(
        len(config.sources),
        config.channels,
        config.filters,
        config.kernel,
        config.narrow,
        config.skip,
        stack,
        causal=config.causal,
    )
