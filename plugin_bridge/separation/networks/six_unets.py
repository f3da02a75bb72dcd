"""The six U-Nets of Henning, Choudhry and Ma, "Deep learning based music source separation", 2021.

The layouts of Spleeter, Wave-U-Net and Demucs, each with 1D convolutions over the waveform and with 2D
convolutions over the magnitude spectrogram. The paper states of each layout its levels, kernel and stride:
6, 5 and 2; 12, 5 and 2; 4, 8 and 4. All else is as in the works it cites: channels 16 to 512 and three
dropouts (Spleeter), 24 more with each level (Wave-U-Net), 64 to 512 (Demucs); no LSTM, of which the paper
says nothing and which would leave Demucs no U-Net of convolutions alone. The twelve levels of
`wave_unet_2d` leave one bin and one step after the tenth.

"Spleeter was used as the basis for our 2D models": windows of 4096 frames every 1024, the lowest 1024 bins,
512 steps at once, one U-Net for each source with a sigmoid mask. Spleeter's ratio of the estimates is left
out, as what they fail to explain of the mix is shared out afterwards for every network here. "f90 as the
basis for our 1D models": one U-Net gives all waveforms; we let its last layer be linear. The paper states no
counts of parameters; Spleeter with four stems is known for 39.3 million, which `spleeter_2d` has.
"""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from plugin_bridge.separation.layers.stem_masks import StemMasks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.layers.unet_layouts import LayoutUNet, UNetSizes
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class SixUnetsConfig(UNetSizes, NetworkConfig):
    """Layout, dimensions and sizes of one of the six; `window`, `hop` and `bins` are for 2D."""

    window_seconds: float = 512 * 1024 / 44100
    window: int = 4096
    hop: int = 1024
    bins: int = 1024


DEMUCS = SixUnetsConfig()
SPLEETER = SixUnetsConfig(layout="spleeter", depth=6, width=16, kernel=5, stride=2, dropouts=3)
WAVE_UNET = SixUnetsConfig(layout="wave_unet", depth=12, width=24, kernel=5, stride=2)
TINY = SixUnetsConfig(
    sample_rate=8000, window_seconds=0.25, window=256, hop=128, bins=128, depth=2, width=8, dropouts=0
)

PRESETS = {
    "spleeter_1d": replace(SPLEETER, dimensions=1),
    "wave_unet_1d": replace(WAVE_UNET, dimensions=1),
    "demucs_1d": replace(DEMUCS, dimensions=1),
    "spleeter_2d": SPLEETER,
    "wave_unet_2d": WAVE_UNET,
    "demucs_2d": DEMUCS,
    "tiny": replace(TINY, width=4),
    "tiny_demucs_1d": replace(TINY, dimensions=1, width=16, depth=3),
    "tiny_spleeter_1d": replace(TINY, dimensions=1, layout="spleeter", kernel=5, stride=2, depth=4),
    "tiny_spleeter_2d": replace(TINY, layout="spleeter", kernel=5, stride=2),
    "tiny_wave_unet_1d": replace(TINY, dimensions=1, layout="wave_unet", kernel=5, stride=2, depth=5),
    "tiny_wave_unet_2d": replace(TINY, layout="wave_unet", kernel=5, stride=2, width=6),
}

STATED = {"spleeter_2d": "39.3 M (Spleeter, 4 stems)"}


def build(config: SixUnetsConfig) -> Network:
    """An untrained network."""
    return WaveformUNets(config) if config.dimensions == 1 else SpectrogramUNets(config)


class WaveformUNets(Network):
    """The 1D models: one U-Net from the mix to all waveforms."""

    def __init__(self, config: SixUnetsConfig) -> None:
        super().__init__(config)
        self.split = nn.Unflatten(1, (len(config.sources), config.channels))
        self.unet = LayoutUNet(config.channels, len(config.sources) * config.channels, config)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        # The summand keeps silence from being divided by nothing.
        level = mix.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-5
        estimates: Tensor = self.split(self.unet(mix / level) * level)
        return estimates


class SpectrogramUNets(Network):
    """The 2D models: one U-Net for each source from the mix's magnitudes to masks; bins above get none."""

    def __init__(self, config: SixUnetsConfig) -> None:
        super().__init__(config)
        self.bins = config.bins
        self.stft = Stft(config.window, config.hop)
        self.masks = StemMasks(len(config.sources), config.channels, config)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)[:, None]  # (batch, 1, channels, bins, steps)
        masks = self.masks(spectra[..., : self.bins, :].abs())
        masks = nn.functional.pad(masks, (0, 0, 0, self.stft.bins - self.bins))
        estimates: Tensor = self.stft.synthesise(masks * spectra, mix.shape[-1])
        return estimates
