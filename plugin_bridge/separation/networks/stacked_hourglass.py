"""The stacked hourglass of Park, Kim, Lee and Kwak, "Music source separation using stacked hourglass
networks", ISMIR 2018.

Five convolutions make 256 channels of a magnitude spectrogram at its full size; four hourglasses follow, each
of which pools four times and adds what it finds at each size to what it finds below. Each gives masks for
all sources, which the next one sees; the last one's are used. The published code divides the magnitudes by
their maximum and takes masks below zero as zero once trained. Its loss sums over the masks of all four;
here it sees those of the last only. The paper states no count of parameters; with the published code's
layers ours has 34.18 million.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class StackedHourglassConfig(NetworkConfig):
    """Sizes of a stacked hourglass: `stacks` of them, `width` channels, pooled `depth` times."""

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8000
    channels: int = 1
    window_seconds: float = 64 * 256 / 8000
    overlap: float = 0.5
    window: int = 1024
    hop: int = 256
    width: int = 256
    stacks: int = 4
    depth: int = 4


PRESETS = {
    "paper": StackedHourglassConfig(),
    "tiny": StackedHourglassConfig(window_seconds=0.25, window=128, hop=64, width=16, stacks=2, depth=2),
}


def build(config: StackedHourglassConfig) -> "StackedHourglass":
    """An untrained network."""
    return StackedHourglass(config)


class StackedHourglass(Network):
    """Masks for all sources and channels, made better by one hourglass after another."""

    def __init__(self, config: StackedHourglassConfig) -> None:
        super().__init__(config)
        self.split = nn.Unflatten(1, (len(config.sources), config.channels))
        made, width = len(config.sources) * config.channels, config.width
        self.stft = Stft(config.window, config.hop)
        self.enter = nn.Sequential(
            rectified(config.channels, width // 4, 7),
            rectified(width // 4, width // 2),
            rectified(width // 2, width // 2),
            rectified(width // 2, width // 2),
            rectified(width // 2, width),
        )
        self.stacks = nn.ModuleList(
            Stack(width, made, config.depth, last=stack == config.stacks - 1)
            for stack in range(config.stacks)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # the deviation of the published code
                nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs()[:, :, :-1]  # 512 of 513 bins
        # The summand keeps silence from being divided by nothing.
        x = self.enter(magnitudes / (magnitudes.amax(dim=(1, 2, 3), keepdim=True) + 1e-5))
        masks = x
        for stack in self.stacks:
            x, masks = stack(x)
        if not self.training:
            masks = torch.relu(masks)
        masks = nn.functional.pad(self.split(masks), (0, 0, 0, 1))
        estimates: Tensor = self.stft.synthesise(masks * spectra[:, None], mix.shape[-1])
        return estimates


class Stack(nn.Module):
    """An hourglass, its masks, and what the next one is given."""

    def __init__(self, width: int, made: int, depth: int, *, last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(width, depth)
        self.refine = nn.Sequential(rectified(width, width), rectified(width, width, 1))
        self.masks = nn.Conv2d(width, made, 1)
        self.last = last
        self.onward = nn.Identity() if last else nn.Conv2d(width, width, 1)
        self.shown = nn.Identity() if last else nn.Conv2d(made, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: `(batch, width, bins, steps)` to the same and `(batch, made, bins, steps)`."""
        refined = self.refine(self.hourglass(x))
        masks = self.masks(refined)
        if not self.last:
            x = x + self.onward(refined) + self.shown(masks)
        return x, masks


class Hourglass(nn.Module):
    """At `depth` sizes, a convolution at the size itself and all that lies below it, added."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(Down(width) for _ in range(depth))
        self.bottom = rectified(width, width)
        self.up = nn.ModuleList(rectified(width, width) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, width, bins, steps)` to the same."""
        skips: list[Tensor] = []
        for down in self.down:
            x, skip = down(x)
            skips.append(skip)
        x = self.bottom(x)
        for up in self.up:
            skip = skips.pop()
            x = skip + nn.functional.interpolate(up(x), size=skip.shape[2:], mode="nearest")
        return x


class Down(nn.Module):
    """A convolution after pooling, and one at the size itself, which is the skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.beside = rectified(width, width)
        self.below = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), rectified(width, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: `(batch, width, bins, steps)` to half of both sizes, rounded up, and the same."""
        return self.below(x), self.beside(x)


def rectified(given: int, made: int, kernel: int = 3) -> nn.Module:
    """A convolution that keeps the size, and ReLU."""
    return nn.Sequential(nn.Conv2d(given, made, kernel, padding=kernel // 2), nn.ReLU())
