"""The Wave-U-Net of Stoller, Ewert and Dixon, "Wave-U-Net: a multi-scale neural network for end-to-end audio
source separation", ISMIR 2018.

Twelve levels of a convolution and decimation by two, a convolution at the bottom, twelve of linear
interpolation and a convolution over it and the encoder's output of its size, all without padding: the
estimates are shorter than the input, which brings real sound as context on both sides (section 3.2.2). All
sources but the last are estimated, the last is the rest of the mix (3.2.1). With the paper's sizes 147443
frames in give 16389 out, as in its Table 2. It states no count of parameters; ours has 10.26 million with
two mono sources.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.initialisation import draw_rectified
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class WaveUnetConfig(NetworkConfig):
    """Sizes of a Wave-U-Net: `width` more channels with each of `depth` levels, odd kernels down and up."""

    sample_rate: int = 22050
    depth: int = 12
    width: int = 24
    kernel_down: int = 15
    kernel_up: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kernel_down % 2 == self.kernel_up % 2 == 1:
            raise ValueError(f"kernels must be odd, got {self.kernel_down} and {self.kernel_up}")


PAPER = WaveUnetConfig()
PRESETS = {
    "m3": replace(PAPER, sources=("vocals", "accompaniment"), channels=1),
    "m4": replace(PAPER, sources=("vocals", "accompaniment")),
    "m6": PAPER,
    "tiny": replace(PAPER, sample_rate=8000, window_seconds=0.25, depth=3, width=12, kernel_down=9),
}


def build(config: WaveUnetConfig) -> "WaveUnet":
    """An untrained network."""
    return WaveUnet(config)


class WaveUnet(Network):
    """One U-Net over the waveform for all sources but the last, which is the rest of the mix."""

    def __init__(self, config: WaveUnetConfig) -> None:
        super().__init__(config)
        self.depth, self.down_loss, self.up_loss = config.depth, config.kernel_down - 1, config.kernel_up - 1
        made = len(config.sources) - 1
        self.split = nn.Unflatten(1, (made, config.channels))
        widths = [config.width * (level + 1) for level in range(config.depth + 1)]
        given = [config.channels, *widths]
        self.encoder = nn.ModuleList(
            convolution(given[level], widths[level], config.kernel_down) for level in range(config.depth)
        )
        self.bottom = convolution(widths[-2], widths[-1], config.kernel_down)
        self.decoder = nn.ModuleList(
            convolution(widths[level + 1] + widths[level], widths[level], config.kernel_up)
            for level in reversed(range(config.depth))
        )
        self.close = nn.Conv1d(widths[0] + config.channels, made * config.channels, 1)
        draw_rectified(self, last=self.close)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        frames = mix.shape[-1]
        taken, made = self.room(frames)
        left = (taken - made) // 2
        x = context = nn.functional.pad(mix, (left, taken - left - frames))
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = x[..., ::2]
        x = self.bottom(x)
        for block in self.decoder:
            between = nn.functional.interpolate(
                x, size=2 * x.shape[-1] - 1, mode="linear", align_corners=True
            )
            x = block(joined(between, skips.pop()))
        x = torch.tanh(self.close(joined(x, context)))[..., :frames]
        estimates: Tensor = self.split(x)
        return torch.cat((estimates, mix[:, None] - estimates.sum(dim=1, keepdim=True)), dim=1)

    def room(self, frames: int) -> tuple[int, int]:
        """The least number of input frames that gives at least so many, and how many it gives."""
        bottom, made = self.up_loss, 0
        while made < frames:
            bottom += 1
            made = bottom
            for _ in range(self.depth):
                made = 2 * made - 1 - self.up_loss
        taken = bottom + self.down_loss
        for _ in range(self.depth):
            taken = 2 * taken - 1 + self.down_loss
        return taken, made


def convolution(given: int, made: int, kernel: int) -> nn.Module:
    """A convolution without padding and leaky ReLU of slope 0.2."""
    return nn.Sequential(nn.Conv1d(given, made, kernel), nn.LeakyReLU(0.2))


def joined(x: Tensor, longer: Tensor) -> Tensor:
    """A signal and the middle of a longer one, as channels of one."""
    start = (longer.shape[-1] - x.shape[-1]) // 2
    return torch.cat((x, longer[..., start : start + x.shape[-1]]), dim=1)
