"""Unet-SE-BiSRU of Zhang, "Application of Unet-SE-BiSRU algorithm for music signal processing", 2024.

Demucs with three changes: squeeze and excitation after the convolutions of encoder and decoder (eqs. 3.8
to 3.10), group normalisation behind them (3.11 to 3.15), and simple recurrent units in both directions
instead of LSTM cells (3.4 to 3.7).

The paper states one count of parameters, 3.33 and an exponent that is unreadable, "half of BiLSTM". With
32 channels and one layer of SRU ours has 33.24 million, and with the two LSTM layers of Demucs 66.82:
hence `paper` has 32 channels and one layer, and the rows with LSTM and GRU cells keep Demucs' two. Which
of Table 4.1's rows had which is our reading; two layers of SRU would have 45.8 million.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from plugin_bridge.separation.layers.normalisation import Normalisation, normalisation
from plugin_bridge.separation.layers.recurrent import BidirectionalRecurrence, Cell
from plugin_bridge.separation.layers.selective_kernel import SelectiveKernelConvolution
from plugin_bridge.separation.layers.squeeze_excitation import SqueezeExcitation
from plugin_bridge.separation.layers.waveform_unet import Layer, WaveformUNet, WaveformUNetSizes
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class UnetSeBisruConfig(WaveformUNetSizes, NetworkConfig):
    """Sizes and parts of a Unet-SE-BiSRU; the paper's are the defaults.

    `reduction` is by how much squeeze and excitation narrows; 16, as the paper leaves it open.
    """

    window_seconds: float = 10.0
    width: int = 32
    attention: Literal["se", "sk", "none"] = "se"
    reduction: int = 16
    normalisation: Normalisation = "group"
    recurrent: Cell = "sru"
    recurrent_layers: int = 1


PAPER = UnetSeBisruConfig()
PRESETS = {
    "paper": PAPER,
    # Table 4.1, rows 2 to 6
    "no_se": replace(PAPER, attention="none"),
    "bilstm": replace(PAPER, recurrent="lstm", recurrent_layers=2),
    "bigru": replace(PAPER, recurrent="gru", recurrent_layers=2),
    "batch_norm": replace(PAPER, normalisation="batch"),
    "no_norm": replace(PAPER, normalisation="none"),
    # Fig. 4.5 (a) and 4.6 (a)
    "sk": replace(PAPER, attention="sk"),
    "channels_16": replace(PAPER, width=16),
    "channels_64": replace(PAPER, width=64),
    "tiny": replace(PAPER, sample_rate=8000, window_seconds=0.5, width=8, depth=3),
}

STATED = {"paper": "3.33 and an illegible power of 10"}


def build(config: UnetSeBisruConfig) -> "UnetSeBisru":
    """An untrained network."""
    return UnetSeBisru(config)


class UnetSeBisru(Network):
    """One waveform U-Net for all sources, with the parts that its config names."""

    def __init__(self, config: UnetSeBisruConfig) -> None:
        super().__init__(config)
        self.unet = WaveformUNet(
            config.channels,
            len(config.sources) * config.channels,
            config,
            bottleneck=partial(BidirectionalRecurrence, config.recurrent, layers=config.recurrent_layers),
            normalise=partial(normalisation, config.normalisation),
            attend=attention(config),
        )

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        estimates: Tensor = self.unet(mix)  # (batch, sources * channels, frames)
        return estimates.view(mix.shape[0], -1, mix.shape[1], mix.shape[2])


def attention(config: UnetSeBisruConfig) -> Layer:
    """What makes the attention of a block, for so many channels."""
    if config.attention == "se":
        return partial(SqueezeExcitation, reduction=config.reduction)
    if config.attention == "sk":
        normalise = partial(normalisation, config.normalisation)
        return partial(SelectiveKernelConvolution, normalise=normalise, reduction=config.reduction)
    return nn.Identity
