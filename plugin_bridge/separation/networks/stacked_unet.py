"""The stacked U-Net of Henning, Choudhry and Ma, "Deep learning based music source separation", 2021.

The best of their six models, the Demucs layout in 2D, and behind it "another U-Net" of the same layout for
each stem, which "filters out as much artifacting as possible" (sections Methods V and Experiments IV).
Figure 3, the pipeline, is missing from our copy: we take each stem's magnitudes of the first stage, alone,
as the second's input, and its sigmoid as a mask for these magnitudes; the phase stays that of the mix. A
second stage of this kind can take away, not bring back. The paper trains it after the first; here both are
trained at once. It states no count of parameters; with two U-Nets for each source ours has twice that of
`six_unets`' `demucs_2d`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from plugin_bridge.separation.layers.stem_masks import StemMasks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.layers.unet_layouts import UNetSizes
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class StackedUnetConfig(UNetSizes, NetworkConfig):
    """Sizes of each of the U-Nets, the lowest `bins` of windows of `window` frames every `hop`."""

    window_seconds: float = 512 * 1024 / 44100
    window: int = 4096
    hop: int = 1024
    bins: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimensions != 2:
            raise ValueError(f"dimensions of a stacked U-Net must be 2, got {self.dimensions}")


PRESETS = {
    "paper": StackedUnetConfig(),
    "tiny": StackedUnetConfig(
        sample_rate=8000, window_seconds=0.25, window=256, hop=128, bins=128, depth=2, width=4
    ),
}


def build(config: StackedUnetConfig) -> "StackedUnet":
    """An untrained network."""
    return StackedUnet(config)


class StackedUnet(Network):
    """Masks for the mix, then masks for what these let through."""

    def __init__(self, config: StackedUnetConfig) -> None:
        super().__init__(config)
        self.bins = config.bins
        self.stft = Stft(config.window, config.hop)
        self.separation = StemMasks(len(config.sources), config.channels, config)
        self.refinement = StemMasks(len(config.sources), config.channels, config)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)[:, None]  # (batch, 1, channels, bins, steps)
        magnitudes = spectra[..., : self.bins, :].abs()
        masks = self.separation(magnitudes)  # (batch, sources, channels, bins, steps)
        masks = masks * self.refinement(masks * magnitudes)
        masks = nn.functional.pad(masks, (0, 0, 0, self.stft.bins - self.bins))
        estimates: Tensor = self.stft.synthesise(masks * spectra, mix.shape[-1])
        return estimates
