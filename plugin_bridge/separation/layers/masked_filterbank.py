"""Separation in a learned basis: encode, weigh with a mask for each source, decode."""

from torch import Tensor, nn

from plugin_bridge.separation.layers.cached_conv import CachedConv1d, frames_norm
from plugin_bridge.separation.layers.chunk_attention import AttentionGate, DualPathAttention
from plugin_bridge.separation.layers.learned_filterbank import LearnedDecoder, LearnedEncoder
from plugin_bridge.separation.layers.memory import Memory, name_layers
from plugin_bridge.separation.layers.recent_pool import RecentPool
from plugin_bridge.separation.layers.temporal_convolution import TemporalStack


class MaskedFilterbank(nn.Module):
    """Conv-TasNet's frame around a `stack` from `narrow` to `skip` channels (Luo and Mesgarani, 2019).

    Masks are sigmoids. Estimates are late by one `stride`, half of the `kernel`.
    """

    def __init__(
        self,
        sources: int,
        channels: int,
        filters: int,
        kernel: int,
        narrow: int,
        skip: int,
        stack: TemporalStack,
        *,
        causal: bool,
    ) -> None:
        super().__init__()
        self.sources, self.stride = sources, kernel // 2
        self.encoder = LearnedEncoder(channels, filters, kernel)
        self.enter = nn.Sequential(frames_norm(filters, causal=causal), nn.Conv1d(filters, narrow, 1))
        self.stack = stack
        self.masks = nn.Sequential(nn.PReLU(), nn.Conv1d(skip, sources * filters, 1), nn.Sigmoid())
        self.decoder = LearnedDecoder(channels, filters, kernel)
        name_layers(self)

    def forward(self, mix: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, frames)`, frames a multiple of the chunk, to `(batch, sources, ...)`."""
        values = self.encoder(mix, memory)  # (batch, filters, n)
        masks = self.masks(self.stack(self.enter(values), memory))
        batch, filters, n = values.shape
        masked = masks.reshape(batch, self.sources, filters, n) * values[:, None]
        decoded: Tensor = self.decoder(masked, memory)
        return decoded


def longest_past(network: nn.Module) -> int:
    """For how many encoder frames an input may matter to causal layers, all of them in a row."""
    frames = 2  # encoder and decoder
    for layer in network.modules():
        if isinstance(layer, CachedConv1d):
            frames += layer.reach
        elif isinstance(layer, RecentPool):
            frames += layer.chunks * layer.chunk
        elif isinstance(layer, AttentionGate | DualPathAttention):
            frames += (layer.before + 1) * layer.chunk
    return frames
