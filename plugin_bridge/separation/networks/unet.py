"""The U-Net of Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR 2017.

Six strided convolutions shrink the magnitude spectrogram of the mix by two in both directions, six
transposed ones grow it again, each fed with the encoder's output of its size too. A sigmoid gives a mask
for the magnitude; the phase is that of the mix. One such U-Net for each source, as in the paper, which
trains them apart; it states no count of parameters. With its sizes ours has 9.82 million for each source.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class UNetConfig(NetworkConfig):
    """Sizes of a U-Net; the paper's are the defaults (section 3).

    The first `dropouts` decoder blocks drop half of their outputs while training.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8192
    channels: int = 1
    window_seconds: float = 128 * 768 / 8192
    window: int = 1024
    hop: int = 768
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    kernel: int = 5
    dropouts: int = 3


PRESETS = {
    "paper": UNetConfig(),
    "tiny": UNetConfig(window_seconds=0.25, window=256, hop=128, widths=(8, 16, 24), dropouts=0),
}


def build(config: UNetConfig) -> "UNet":
    """An untrained network."""
    return UNet(config)


class UNet(Network):
    """One masking U-Net for each source, channels of the mix as input channels of the first layer."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.stft = Stft(config.window, config.hop)
        self.maskers = nn.ModuleList(Masker(config) for _ in config.sources)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        # The highest bin is left out, as in the paper: 512 of 513 halve six times.
        magnitude = spectra.abs()[:, :, :-1]
        masks = torch.stack([masker(magnitude) for masker in self.maskers], dim=1)
        masks = nn.functional.pad(masks, (0, 0, 0, 1))  # (batch, sources, channels, bins, steps)
        estimates: Tensor = self.stft.synthesise(masks * spectra[:, None], mix.shape[-1])
        return estimates


class Masker(nn.Module):
    """From a magnitude spectrogram to a mask for it."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = (config.channels, *config.widths)
        self.reduction = 2 ** len(config.widths)
        self.encoder = nn.ModuleList(down(wide, wider, config.kernel) for wide, wider in pairwise(widths))
        self.decoder = nn.ModuleList()
        for depth in reversed(range(len(config.widths))):
            # All but the deepest block also see what the encoder made at their size.
            given = widths[depth + 1] * (1 if depth == len(config.widths) - 1 else 2)
            block = len(config.widths) - 1 - depth
            self.decoder.append(
                up(given, widths[depth], config.kernel, last=depth == 0, drop=block < config.dropouts)
            )

    def forward(self, magnitude: Tensor) -> Tensor:
        """Shape: `(batch, channels, bins, steps)` to the same."""
        bins, steps = magnitude.shape[-2:]
        x = nn.functional.pad(magnitude, (0, -steps % self.reduction, 0, -bins % self.reduction))
        skips: list[Tensor] = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        for block, layer in enumerate(self.decoder):
            skip = skips.pop()
            x = layer(skip if block == 0 else torch.cat((x, skip), dim=1))
        return torch.sigmoid(x)[..., :bins, :steps]


def down(given: int, made: int, kernel: int) -> nn.Module:
    """A convolution that halves both sizes, batch normalisation and leaky ReLU of slope 0.2."""
    return nn.Sequential(
        nn.Conv2d(given, made, kernel, stride=2, padding=kernel // 2), nn.BatchNorm2d(made), nn.LeakyReLU(0.2)
    )


def up(given: int, made: int, kernel: int, *, last: bool, drop: bool) -> nn.Module:
    """A transposed convolution that doubles both sizes; the last one has nothing behind it."""
    grow = nn.ConvTranspose2d(given, made, kernel, stride=2, padding=kernel // 2, output_padding=1)
    if last:
        return grow
    return nn.Sequential(grow, nn.BatchNorm2d(made), nn.ReLU(), nn.Dropout2d(0.5 if drop else 0.0))
