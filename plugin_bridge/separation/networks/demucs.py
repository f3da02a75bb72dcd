"""Demucs of Défossez et al., "Demucs: deep extractor for music sources with extra unlabeled data remixed".

It is of 2019. A U-Net over the waveform: six encoder blocks of a convolution (8 wide, every 4th frame) and
a gated 1x1 convolution, two bidirectional LSTM layers over what is left of time, six decoder blocks that
mirror them. The published code's layers come to 648.5 million parameters at 100 channels (2594 MB in
float32), 265.7 at 64, which are its defaults (1063 MB), 66.4 at 32 and 16.6 at 16; ours has exactly these.
It is given signals at unit level there too, though for whole songs instead of windows.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from plugin_bridge.separation.layers.recurrent import BidirectionalRecurrence
from plugin_bridge.separation.layers.waveform_unet import WaveformUNet, WaveformUNetSizes
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class DemucsConfig(WaveformUNetSizes, NetworkConfig):
    """Sizes of Demucs; the published code's are the defaults."""

    window_seconds: float = 10.0
    recurrent_layers: int = 2


PRESETS = {
    "channels_16": DemucsConfig(width=16),
    "channels_32": DemucsConfig(width=32),
    "channels_64": DemucsConfig(),
    "channels_100": DemucsConfig(width=100),
    "tiny": DemucsConfig(sample_rate=8000, window_seconds=0.5, width=8, depth=3, recurrent_layers=1),
}

STATED = {
    "channels_16": "16.6 M",
    "channels_32": "66.4 M",
    "channels_64": "265.7 M",
    "channels_100": "648.5 M",
}
"""Parameters of the published code's layers."""


def build(config: DemucsConfig) -> "Demucs":
    """An untrained network."""
    return Demucs(config)


class Demucs(Network):
    """One waveform U-Net for all sources."""

    def __init__(self, config: DemucsConfig) -> None:
        super().__init__(config)
        self.unet = WaveformUNet(
            config.channels,
            len(config.sources) * config.channels,
            config,
            bottleneck=partial(BidirectionalRecurrence, "lstm", layers=config.recurrent_layers),
        )

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        estimates: Tensor = self.unet(mix)  # (batch, sources * channels, frames)
        return estimates.view(mix.shape[0], -1, mix.shape[1], mix.shape[2])
