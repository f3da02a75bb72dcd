"""The coupled U-Net with atrous spatial pyramid pooling of Yang and Lee, "Music source separation using ASPP
based on coupled U-Net model", IJASEIT 11(2), 2021.

U-Nets in a row refine a magnitude spectrogram at its full size. As in Tang et al., "CU-Net: coupled
U-Nets", 2018, each block of a U-Net also sees what the block at the same place of earlier U-Nets made: of
all, or here, as the paper proposes (section II.C), only of the nearest, `order` 1. CU-Net's authors have that
too, in "Quantized densely connected U-Nets for efficient landmark localization", 2018. At the bottom of each
U-Net atrous convolutions of several rates look at once near and far; all convolutions of 3x3 are depthwise
separable. Masks between 0 and 1 weigh the spectra of the mix.

What `order` 1 saves against full coupling (`order` 3), measured on the `paper` config and one window of
4.1 s: the features kept for later U-Nets come to 86 MiB against 258 MiB, a third, as three U-Nets lie before
the last. What training holds for the gradient comes to 2651 MiB against 2909 MiB, 9 % less only: every
U-Net's own activations stay for the gradient whatever the order, and just the joined inputs shrink.

The paper states neither transform, rate, widths, rates of the atrous convolutions, loss nor a count of
parameters, and its Fig. 11 shows no numbers. Ours: MIR-1K's 16 kHz, window 1024 and hop 256 as in the stacked
hourglass that it compares with, four U-Nets pooled four times as there, 64 channels, the rates 6, 12
and 18 of Chen et al., batch normalisation as in CU-Net (the sentence against it in section II.B is Demucs').
With these it has 0.66 million parameters, and 2.08 million with ordinary convolutions.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.aspp import AtrousPyramid
from plugin_bridge.separation.layers.separable import convolution
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class CoupledUNetConfig(NetworkConfig):
    """Sizes of a coupled U-Net: `stacks` U-Nets of `width` channels, pooled `depth` times.

    A block sees the features of `order` U-Nets before its own: 0 makes them merely stacked, `stacks - 1`
    couples all. Without `rates` there is an ordinary block at the bottom.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 16000
    channels: int = 1
    window_seconds: float = 256 * 256 / 16000
    window: int = 1024
    hop: int = 256
    stacks: int = 4
    order: int = 1
    width: int = 64
    depth: int = 4
    rates: tuple[int, ...] = (6, 12, 18)
    separable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stacks < 1 or self.depth < 1 or self.order < 0:
            raise ValueError(
                "stacks and depth must be at least 1 and order at least 0, "
                f"got {self.stacks}, {self.depth} and {self.order}"
            )


PAPER = CoupledUNetConfig()
PRESETS = {
    "paper": PAPER,
    "full_coupling": replace(PAPER, order=3),
    "no_coupling": replace(PAPER, order=0),
    "no_aspp": replace(PAPER, rates=()),
    "no_separable": replace(PAPER, separable=False),
    "stacks_2": replace(PAPER, stacks=2),
    "tiny": replace(
        PAPER,
        sample_rate=8000,
        window_seconds=0.25,
        window=128,
        hop=64,
        stacks=2,
        width=16,
        depth=2,
        rates=(1, 2, 4),
    ),
}


def build(config: CoupledUNetConfig) -> "CoupledUNet":
    """An untrained network."""
    return CoupledUNet(config)


class CoupledUNet(Network):
    """Masks for all sources and channels, from U-Nets that see the features of those before."""

    def __init__(self, config: CoupledUNetConfig) -> None:
        super().__init__(config)
        self.order = config.order
        self.split = nn.Unflatten(1, (len(config.sources), config.channels))
        self.stft = Stft(config.window, config.hop)
        self.enter = convolution(config.channels, config.width, 7, separable=False)
        self.stacks = nn.ModuleList(UNet(config, min(config.order, at)) for at in range(config.stacks))
        self.masks = nn.Conv2d(config.width, len(config.sources) * config.channels, 1)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs()
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-5
        masks = self.split(torch.sigmoid(self.refined(magnitudes / level)))
        estimates: Tensor = self.stft.synthesise(masks * spectra[:, None], mix.shape[-1])
        return estimates

    def refined(self, magnitudes: Tensor) -> Tensor:
        """What the masks are made of.

        Shape: `(batch, channels, bins, steps)` to `(batch, sources * channels, bins, steps)`.
        """
        x = self.enter(magnitudes)
        kept: list[list[Tensor]] = []
        for unet in self.stacks:
            features = unet(x, kept)
            x = features[-1]
            nearest = kept[:]
            nearest.append(features)
            # What lies further back than `order` is let go of.
            kept = nearest[max(0, len(nearest) - self.order) :]
        made: Tensor = self.masks(x)
        return made


class UNet(nn.Module):
    """One U-Net, which sees the features of `coupled` ones before it."""

    def __init__(self, config: CoupledUNetConfig, coupled: int) -> None:
        super().__init__()
        width, separable = config.width, config.separable
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down = nn.ModuleList(
            Block(1 + coupled, width, (), separable=separable) for _ in range(config.depth)
        )
        self.bottom = Block(1 + coupled, width, config.rates, separable=separable)
        self.up = nn.ModuleList(
            Block(2 + coupled, width, (), separable=separable) for _ in range(config.depth)
        )

    def forward(self, x: Tensor, kept: list[list[Tensor]]) -> list[Tensor]:
        """What every block made, from the first to the last.

        Shape: `(batch, width, bins, steps)` to the same; of `kept`, a list for each U-Net, and of the result,
        the blocks down to the bottom at half the bins and steps each, and back.
        """
        features: list[Tensor] = []
        for block in self.down:
            x = block([x] + [unet[len(features)] for unet in kept])
            features.append(x)
            x = self.pool(x)
        x = self.bottom([x] + [unet[len(features)] for unet in kept])
        skips = features[:]
        features.append(x)
        for block in self.up:
            skip = skips.pop()
            x = nn.functional.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block([x, skip] + [unet[len(features)] for unet in kept])
            features.append(x)
        return features


class Block(nn.Module):
    """What it sees, narrowed by a 1x1 convolution, then looked at with its neighbours, near or also far."""

    def __init__(self, seen: int, width: int, rates: tuple[int, ...], *, separable: bool) -> None:
        super().__init__()
        self.narrow = convolution(seen * width, width, 1, separable=False)
        self.look: nn.Module = (
            AtrousPyramid(width, width, rates, separable=separable)
            if rates
            else convolution(width, width, separable=separable)
        )

    def forward(self, seen: list[Tensor]) -> Tensor:
        """Shape: each `(batch, width, bins, steps)` to the same."""
        made: Tensor = self.look(self.narrow(torch.cat(seen, dim=1)))
        return made
