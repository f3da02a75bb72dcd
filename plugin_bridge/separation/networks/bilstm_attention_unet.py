"""The U-Net of Polimeno, Corà and Moschen, "Music source separation using deep U-Net architectures".

A masking U-Net with four changes: instance normalisation in the encoder, a bidirectional LSTM over time at
the bottleneck, run for each frequency by itself with the same weights, attention gates on the skips, and a
softmax, so that the masks of all sources sum to one in each bin (sections 4 and 5). The decoder doubles
both sizes and halves the channels; where that misses the encoder's size, features are resized bilinearly
(5.4). The first three decoder blocks drop half of their outputs while training (5.6).

The paper states no sizes and no count of parameters. Ours are those of Jansson et al., on which it builds
and whose three dropouts it keeps: six levels of 16 to 512 channels, kernels of 5, halving both sizes. The
gates are those of Oktay et al. 2018. One mask serves all channels, as the paper has one spectrogram X in
F x T and a final convolution to "exactly four" channels: it is made from the mean of their magnitudes.
This makes 15.13 million parameters.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.attention_gate import AttentionGate
from plugin_bridge.separation.layers.recurrent import BidirectionalRecurrence
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class BilstmAttentionUnetConfig(NetworkConfig):
    """Sizes of the network; the first `dropouts` decoder blocks drop half of their outputs in training."""

    window: int = 2048
    hop: int = 512
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    kernel: int = 5
    recurrent_layers: int = 1
    dropouts: int = 3


PRESETS = {
    "paper": BilstmAttentionUnetConfig(),
    "tiny": BilstmAttentionUnetConfig(
        sample_rate=8000, window_seconds=0.5, window=256, hop=128, widths=(8, 16, 24), dropouts=0
    ),
}


def build(config: BilstmAttentionUnetConfig) -> "BilstmAttentionUnet":
    """An untrained network."""
    return BilstmAttentionUnet(config)


class BilstmAttentionUnet(Network):
    """One U-Net that shares the mix out among all sources."""

    def __init__(self, config: BilstmAttentionUnetConfig) -> None:
        super().__init__(config)
        self.stft = Stft(config.window, config.hop)
        widths = (1, *config.widths)
        self.encoder = nn.ModuleList(down(wide, wider, config.kernel) for wide, wider in pairwise(widths))
        self.bottleneck = FrequencywiseRecurrence(widths[-1], config.recurrent_layers)
        self.decoder = nn.ModuleList(
            GatedUp(widths[level + 1], widths[level], config.kernel, drop=block < config.dropouts)
            for block, level in enumerate(range(len(config.widths) - 1, 0, -1))
        )
        self.grow = grow(widths[1], widths[1], config.kernel)
        self.masks = nn.Conv2d(widths[1], len(config.sources), 1)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        masks = self.shares(spectra.abs().mean(dim=1, keepdim=True))
        estimates: Tensor = self.stft.synthesise(masks[:, :, None] * spectra[:, None], mix.shape[-1])
        return estimates

    def shares(self, magnitude: Tensor) -> Tensor:
        """Masks M that sum to one over the sources.

        Shape: `(batch, 1, bins, steps)` to `(batch, sources, bins, steps)`.
        """
        x = magnitude
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.bottleneck(skips.pop())
        for block in self.decoder:
            x = block(x, skips.pop())
        x = torch.relu(self.grow(x))
        return torch.softmax(self.masks(aligned(x, magnitude)), dim=1)


class FrequencywiseRecurrence(nn.Module):
    """A bidirectional LSTM over time for each frequency by itself, all with the same weights."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.recurrence = BidirectionalRecurrence("lstm", channels, layers)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, channels, bins, steps)` to the same."""
        batch, channels, bins, steps = x.shape
        rows = x.transpose(1, 2).reshape(batch * bins, channels, steps)
        made: Tensor = self.recurrence(rows)
        return made.reshape(batch, bins, channels, steps).transpose(1, 2)


class GatedUp(nn.Module):
    """A block of the decoder: twice the size, joined by what the gate lets through of the skip (5.3, 5.5)."""

    def __init__(self, given: int, made: int, kernel: int, *, drop: bool) -> None:
        super().__init__()
        self.grow = grow(given, made, kernel)
        self.gate = AttentionGate(made, made)
        self.refine = nn.Sequential(
            nn.Conv2d(2 * made, made, 3, padding=1, bias=False),
            nn.InstanceNorm2d(made, affine=True),
            nn.ReLU(),
            nn.Dropout2d(0.5 if drop else 0.0),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Shape: `(batch, given, bins, steps)` and a skip `(batch, made, ...)` to the skip's."""
        x = aligned(self.grow(x), skip)
        refined: Tensor = self.refine(torch.cat((x, self.gate(x, skip)), dim=1))
        return refined


def down(given: int, made: int, kernel: int) -> nn.Module:
    """A convolution that halves both sizes, instance normalisation and leaky ReLU of slope 0.2."""
    return nn.Sequential(
        nn.Conv2d(given, made, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.InstanceNorm2d(made, affine=True),
        nn.LeakyReLU(0.2),
    )


def grow(given: int, made: int, kernel: int) -> nn.Module:
    """A transposed convolution that doubles both sizes."""
    return nn.ConvTranspose2d(given, made, kernel, stride=2, padding=kernel // 2, output_padding=1)


def aligned(x: Tensor, other: Tensor) -> Tensor:
    """Features resized bilinearly to another's bins and steps, where they differ (5.4)."""
    if x.shape[2:] == other.shape[2:]:
        return x
    return nn.functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)
