"""Three layouts of a U-Net, each over signals or over spectrograms: with convolutions in 1 or 2 dimensions.

    spleeter    strided convolution, batch normalisation, leaky ReLU; skips joined to what the transposed
                convolutions take in (Hennequin et al. 2020, without its last, dilated convolution)
    wave_unet   convolution, then every `stride`-th place; linear interpolation, skips of full size joined,
                convolution; the input joined at the end (Stoller et al. 2018, the form without context)
    demucs      strided convolution and a gated 1x1 one; skips added, a gated convolution of 3, transposed
                convolution (Défossez et al. 2019, without its LSTM)

Any size comes back as it was given: each level rounds up when it shrinks, and grows to the size it had.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.initialisation import draw_rectified

Layout = Literal["spleeter", "wave_unet", "demucs"]

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
NORMALISATION = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
DROPOUT = {1: nn.Dropout1d, 2: nn.Dropout2d}
INTERPOLATION = {1: "linear", 2: "bilinear"}


@dataclass(frozen=True, kw_only=True)
class UNetSizes:
    """A layout and its sizes: `depth` levels, `width` channels after the first.

    From level to level the channels double, or grow by `width` (wave_unet). The first `dropouts` decoder
    blocks of the Spleeter layout drop half of their outputs in training.
    """

    layout: Layout = "demucs"
    dimensions: Literal[1, 2] = 2
    depth: int = 4
    width: int = 64
    kernel: int = 8
    stride: int = 4
    dropouts: int = 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each level of the encoder."""
        if self.layout == "wave_unet":
            return tuple(self.width * (level + 1) for level in range(self.depth))
        return tuple(self.width * 2**level for level in range(self.depth))


class LayoutUNet(nn.Module):
    """A U-Net of one of the layouts, with nothing behind its last convolution."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        widths = (given, *sizes.widths)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.middle: nn.Module = nn.Identity()
        self.close: nn.Module = Bare()
        for level in range(sizes.depth):
            narrow, wide = widths[level], widths[level + 1]
            first, deepest = level == 0, level == sizes.depth - 1
            if sizes.layout == "spleeter":
                drop = sizes.depth - 1 - level < sizes.dropouts
                self.encoder.append(SpleeterDown(narrow, wide, sizes))
                up: nn.Module = SpleeterUp(
                    wide, made if first else narrow, sizes, joined=not deepest, last=first, drop=drop
                )
            elif sizes.layout == "demucs":
                self.encoder.append(DemucsDown(narrow, wide, sizes))
                up = DemucsUp(wide, made if first else narrow, sizes, last=first)
            else:
                self.encoder.append(WaveDown(narrow, wide, sizes))
                up = WaveUp(wide + (wide + sizes.width), wide, sizes)
            self.decoder.insert(0, up)
        if sizes.layout == "wave_unet":
            self.middle = rectified(widths[-1], widths[-1] + sizes.width, sizes)
            self.close = Joined(given + widths[1], made, sizes)
            draw_rectified(self, last=self.close)
        else:
            draw_rectified(self, last=self.decoder[-1].get_submodule("grow"))

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, given, frames)` to `(batch, made, frames)`, or both with `bins, steps`."""
        x = mix
        skips: list[Tensor] = []
        sizes: list[list[int]] = []
        for block in self.encoder:
            sizes.append(list(x.shape[2:]))
            x, skip = block(x)
            skips.append(skip)
        x = self.middle(x)
        for block in self.decoder:
            x = block(x, skips.pop(), sizes.pop())
        made: Tensor = self.close(x, mix)
        return made


class SpleeterDown(nn.Module):
    """Fewer places, normalised; what comes out is the skip too."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.shrink = Shrink(given, made, sizes)
        self.follow = nn.Sequential(NORMALISATION[sizes.dimensions](made), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.follow(self.shrink(x))
        return x, x


class SpleeterUp(nn.Module):
    """More places from the block below and the skip; the deepest has the skip only, the last ends bare."""

    def __init__(
        self, given: int, made: int, sizes: UNetSizes, *, joined: bool, last: bool, drop: bool
    ) -> None:
        super().__init__()
        self.joined = joined
        self.grow = Grow(2 * given if joined else given, made, sizes)
        self.follow: nn.Module = nn.Identity()
        if not last:
            self.follow = nn.Sequential(
                nn.ReLU(),
                NORMALISATION[sizes.dimensions](made),
                DROPOUT[sizes.dimensions](0.5 if drop else 0.0),
            )

    def forward(self, x: Tensor, skip: Tensor, size: list[int]) -> Tensor:
        if self.joined:
            x = torch.cat((x, skip), dim=1)
        x = self.follow(self.grow(x, size))
        return x


class DemucsDown(nn.Module):
    """Fewer places, then a gated mixture of the channels; what comes out is the skip too."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.shrink = Shrink(given, made, sizes)
        self.mixture = CONVOLUTION[sizes.dimensions](made, 2 * made, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.glu(self.mixture(torch.relu(self.shrink(x))), dim=1)
        return x, x


class DemucsUp(nn.Module):
    """A gated convolution over the sum of the block below and the skip, then more places."""

    def __init__(self, given: int, made: int, sizes: UNetSizes, *, last: bool) -> None:
        super().__init__()
        self.mixture = CONVOLUTION[sizes.dimensions](given, 2 * given, 3, padding=1)
        self.grow = Grow(given, made, sizes)
        self.follow: nn.Module = nn.Identity() if last else nn.ReLU()

    def forward(self, x: Tensor, skip: Tensor, size: list[int]) -> Tensor:
        x = nn.functional.glu(self.mixture(x + skip), dim=1)
        x = self.follow(self.grow(x, size))
        return x


class WaveDown(nn.Module):
    """A convolution, whose output is the skip, and every `stride`-th place of it."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.rectified = rectified(given, made, sizes)
        self.stride, self.flat = sizes.stride, sizes.dimensions == 2

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.rectified(x)
        x = skip[..., :: self.stride]
        if self.flat:
            x = x[:, :, :: self.stride]
        return x, skip


class WaveUp(nn.Module):
    """Places between those of the block below by interpolation, the skip joined, a convolution."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.rectified = rectified(given, made, sizes)
        self.mode = INTERPOLATION[sizes.dimensions]

    def forward(self, x: Tensor, skip: Tensor, size: list[int]) -> Tensor:
        x = nn.functional.interpolate(x, size=size, mode=self.mode, align_corners=True)
        x = self.rectified(torch.cat((x, skip), dim=1))
        return x


class Bare(nn.Module):
    """Gives the first of two."""

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        return x


class Joined(nn.Module):
    """A 1x1 convolution over both."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.mixture = CONVOLUTION[sizes.dimensions](given, made, 1)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        x = self.mixture(torch.cat((x, mix), dim=1))
        return x


class Shrink(nn.Module):
    """A convolution that leaves `1 / stride` of the places, rounded up."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.convolution = CONVOLUTION[sizes.dimensions](given, made, sizes.kernel, sizes.stride)
        self.overlap, self.stride = sizes.kernel - sizes.stride, sizes.stride

    def forward(self, x: Tensor) -> Tensor:
        left = self.overlap // 2
        right = self.overlap - left
        pad = [left, right + -x.shape[-1] % self.stride]
        if x.dim() == 4:
            pad += [left, right + -x.shape[-2] % self.stride]
        x = self.convolution(nn.functional.pad(x, pad))
        return x


class Grow(nn.Module):
    """A transposed convolution to the size that `Shrink` had been given."""

    def __init__(self, given: int, made: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.convolution = TRANSPOSED[sizes.dimensions](given, made, sizes.kernel, sizes.stride)
        self.left = (sizes.kernel - sizes.stride) // 2

    def forward(self, x: Tensor, size: list[int]) -> Tensor:
        x = self.convolution(x)
        x = x[..., self.left : self.left + size[-1]]
        if x.dim() == 4:
            x = x[:, :, self.left : self.left + size[0]]
        return x


def rectified(given: int, made: int, sizes: UNetSizes) -> nn.Module:
    """A convolution that keeps the size, and leaky ReLU of slope 0.2."""
    convolution = CONVOLUTION[sizes.dimensions](given, made, sizes.kernel, padding=sizes.kernel // 2)
    return nn.Sequential(convolution, nn.LeakyReLU(0.2))
