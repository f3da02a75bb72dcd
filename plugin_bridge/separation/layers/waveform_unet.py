"""The U-Net over waveforms of Défossez et al., "Demucs", 2019, open to other layers in its blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Layer = Callable[[int], nn.Module]
"""Makes a layer for so many channels, which keeps the shape."""


@dataclass(frozen=True, kw_only=True)
class WaveformUNetSizes:
    """Sizes of a waveform U-Net: `depth` blocks, `width` channels in the first, `growth` times more each.

    `context` is the decoder's kernel over frames before it grows them. `rescale` is the deviation towards
    which the initial weights of convolutions are drawn.
    """

    width: int = 64
    depth: int = 6
    growth: int = 2
    kernel: int = 8
    stride: int = 4
    context: int = 3
    rescale: float = 0.1

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each block of the encoder."""
        return tuple(self.width * self.growth**block for block in range(self.depth))


class WaveformUNet(nn.Module):
    """Strided convolutions down, a bottleneck over the frames left, transposed convolutions up, skips added.

    `normalise` makes what follows each convolution, `attend` what closes each pair of them, `bottleneck`
    what lies in the middle. Each example is brought to unit level first and back at the end.
    """

    def __init__(
        self,
        given: int,
        made: int,
        sizes: WaveformUNetSizes,
        bottleneck: Layer,
        normalise: Layer = nn.Identity,
        attend: Layer = nn.Identity,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.context = sizes.kernel, sizes.stride, sizes.context
        self.depth = sizes.depth
        widths = (given, *sizes.widths)
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for block in range(sizes.depth):
            narrow, wide = widths[block], widths[block + 1]
            self.encoder.append(down(narrow, wide, sizes, normalise, attend))
            last = block == 0
            self.decoder.insert(0, up(wide, made if last else narrow, sizes, normalise, attend, last=last))
        self.bottleneck = bottleneck(widths[-1])
        rescale_convolutions(self, sizes.rescale)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, given, frames)` to `(batch, made, frames)`."""
        frames = mix.shape[-1]
        # The summand keeps silence from being divided by nothing.
        level = mix.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-5
        room = self.room(frames)
        left = (room - frames) // 2
        x = nn.functional.pad(mix / level, (left, room - frames - left))
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.bottleneck(x)
        for block in self.decoder:
            x = block(x + centre(skips.pop(), x.shape[-1]))
        start = left - (room - x.shape[-1]) // 2
        estimates: Tensor = x[..., start : start + frames] * level
        return estimates

    def room(self, frames: int) -> int:
        """The frames to give the encoder so that the decoder, which eats context, gives at least `frames`."""
        for _ in range(self.depth):
            # At least two steps, as there is nothing to normalise in one.
            steps = max(1, (frames - self.kernel + self.stride - 1) // self.stride) + 1
            frames = steps + self.context - 1
        for _ in range(self.depth):
            frames = (frames - 1) * self.stride + self.kernel
        return frames


def down(given: int, made: int, sizes: WaveformUNetSizes, normalise: Layer, attend: Layer) -> nn.Module:
    """A block of the encoder: fewer frames, then a gated mixture of the channels."""
    return nn.Sequential(
        nn.Conv1d(given, made, sizes.kernel, sizes.stride),
        normalise(made),
        nn.ReLU(),
        nn.Conv1d(made, 2 * made, 1),
        normalise(2 * made),
        nn.GLU(dim=1),
        attend(made),
    )


def up(
    given: int, made: int, sizes: WaveformUNetSizes, normalise: Layer, attend: Layer, *, last: bool
) -> nn.Module:
    """A block of the decoder: a gated convolution over its context, then more frames; the last ends bare."""
    layers = [
        nn.Conv1d(given, 2 * given, sizes.context),
        normalise(2 * given),
        nn.GLU(dim=1),
        attend(given),
        nn.ConvTranspose1d(given, made, sizes.kernel, sizes.stride),
    ]
    return nn.Sequential(*layers) if last else nn.Sequential(*layers, normalise(made), nn.ReLU())


def centre(x: Tensor, frames: int) -> Tensor:
    """The middle frames; encoder and decoder differ by as many on either side, as `stride` is even.

    Shape: `(..., more)` to `(..., frames)`.
    """
    start = (x.shape[-1] - frames) // 2
    return x[..., start : start + frames]


@torch.no_grad()
def rescale_convolutions(network: nn.Module, reference: float) -> None:
    """Bring the deviation of initial weights halfway, on a logarithmic scale, to `reference`.

    Without normalisation, signals else shrink from layer to layer (Défossez et al. 2019, section on
    initialisation).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            scale = (layer.weight.std() / reference).sqrt()
            layer.weight.div_(scale)
            if layer.bias is not None:
                layer.bias.div_(scale)
