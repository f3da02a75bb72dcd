"""A dense U-Net: a U-Net whose blocks are those of Huang et al., "Densely connected convolutional networks",
CVPR 2017, as Takahashi and Mitsufuji's "Multi-scale multi-band DenseNets", WASPAA 2017, has for spectrograms.

In a dense block every layer (batch normalisation, ReLU, convolution of 3) sees what all layers before it
made. Between blocks a 1x1 convolution halves the channels and pooling both sizes; on the way up transposed
convolutions double the sizes and the encoder's output is joined.

It is the "Dense U-Net" of the comparison of coupled U-Nets, which describes it so and states neither sizes,
scores nor a count of parameters. Ours are the four layers a block of Takahashi and Mitsufuji at five sizes,
growth 16, on the same spectrograms as the stacked hourglass: 1.43 million parameters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class DenseUnetConfig(NetworkConfig):
    """Sizes of a dense U-Net: blocks of `layers` layers of `growth` channels each, at `depth` + 1 sizes."""

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8000
    channels: int = 1
    window_seconds: float = 128 * 256 / 8000
    window: int = 1024
    hop: int = 256
    width: int = 32
    growth: int = 16
    layers: int = 4
    depth: int = 4


PRESETS = {
    "paper": DenseUnetConfig(),
    "tiny": DenseUnetConfig(window_seconds=0.25, window=256, hop=128, width=12, growth=8, layers=2, depth=2),
}


def build(config: DenseUnetConfig) -> "DenseUnet":
    """An untrained network."""
    return DenseUnet(config)


class DenseUnet(Network):
    """One U-Net that gives a mask for each source and channel."""

    def __init__(self, config: DenseUnetConfig) -> None:
        super().__init__(config)
        self.split = nn.Unflatten(1, (len(config.sources), config.channels))
        self.stft = Stft(config.window, config.hop)
        self.enter = nn.Conv2d(config.channels, config.width, 5, padding=2)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        given, skipped = config.width, []
        for _ in range(config.depth):
            down = DenseDown(given, config.growth, config.layers)
            self.encoder.append(down)
            given = down.made
            skipped.append(down.skipped)
        self.bottom = DenseBlock(given, config.growth, config.layers)
        given = self.bottom.made
        while skipped:
            up = DenseUp(given, skipped.pop(), config.growth, config.layers)
            self.decoder.append(up)
            given = up.made
        self.masks = nn.Conv2d(given, len(config.sources) * config.channels, 1)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs()
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-5
        x = self.enter(magnitudes / level)
        skips: list[Tensor] = []
        for block in self.encoder:
            x, skip = block(x)
            skips.append(skip)
        x = self.bottom(x)
        for block in self.decoder:
            x = block(x, skips.pop())
        masks = self.split(torch.sigmoid(self.masks(x)))
        estimates: Tensor = self.stft.synthesise(masks * spectra[:, None], mix.shape[-1])
        return estimates


class DenseBlock(nn.Module):
    """Layers each of which sees the input and what all layers before it made; gives all of these."""

    def __init__(self, given: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(given + layer * growth),
                nn.ReLU(),
                nn.Conv2d(given + layer * growth, growth, 3, padding=1),
            )
            for layer in range(layers)
        )
        self.made = given + layers * growth

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, given, bins, steps)` to `(batch, made, bins, steps)`."""
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return x


class DenseDown(nn.Module):
    """A dense block, whose output is the skip, and half of its channels at half of the sizes."""

    def __init__(self, given: int, growth: int, layers: int) -> None:
        super().__init__()
        self.dense = DenseBlock(given, growth, layers)
        self.skipped, self.made = self.dense.made, self.dense.made // 2
        self.narrow = nn.Sequential(nn.Conv2d(self.skipped, self.made, 1), nn.AvgPool2d(2, ceil_mode=True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: `(batch, given, bins, steps)` to `(batch, made, half, half)` and `(batch, skipped, ...)`."""
        skip = self.dense(x)
        return self.narrow(skip), skip


class DenseUp(nn.Module):
    """Twice the sizes, the skip joined, a dense block."""

    def __init__(self, given: int, skipped: int, growth: int, layers: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(given, given // 2, 2, stride=2)
        self.dense = DenseBlock(given // 2 + skipped, growth, layers)
        self.made = self.dense.made

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Shape: `(batch, given, bins, steps)` and `(batch, skipped, ...)` to `(batch, made, ...)`."""
        x = self.grow(x)[:, :, : skip.shape[2], : skip.shape[3]]
        x = self.dense(torch.cat((x, skip), dim=1))
        return x
