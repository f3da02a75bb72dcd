"""A band-split recurrent network that hears what comes after, for offline work, after Luo and Yu, "Music
source separation with band-split RNN", IEEE/ACM TASLP 31, 2023.

It is `band_split_rnn` with what a stage forbids: recurrences over time in both directions, as in the paper,
and windows of one length both ways. What it shares with the causal network has the same names and shapes, and
what hears the future begins by adding nothing, so that training may begin with a causal network's weights.

From the paper differ: GRUs in place of LSTMs, attention between bands in place of a recurrence over them, one
network for all sources in place of one for each, the last source as the rest of the mix, and all sizes.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.band_masker import TINY_SIZES, BandLayer, BandMasker, BandSizes
from plugin_bridge.separation.layers.band_split import bands_of, bins_of
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class BandSplitBirnnConfig(BandSizes, NetworkConfig):
    """As `BandSizes`; window and hop in frames."""

    window: int = 2048
    hop: int = 512
    magnitudes: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(self.window)


_STUDIO = BandSplitBirnnConfig(width=64, hidden=48)
PRESETS = {
    "studio": _STUDIO,
    "large": replace(_STUDIO, width=96, layers=6, hidden=64),
    "tiny": BandSplitBirnnConfig(
        sample_rate=8000,
        window_seconds=0.25,
        window=256,
        hop=64,
        **TINY_SIZES,
    ),
}


def build(config: BandSplitBirnnConfig) -> "BandSplitBirnn":
    """An untrained network."""
    return BandSplitBirnn(config)


class BothWaysLayer(BandLayer):
    """A layer that also hears what comes after; how, it has to learn."""

    def __init__(self, config: BandSizes) -> None:
        super().__init__(config)
        self.later = nn.GRU(config.width, config.width, batch_first=True)
        self.join_later = nn.Linear(config.width, config.width, bias=False)
        nn.init.zeros_(self.join_later.weight)

    def over_time(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """As the causal layer's; what comes after the last step is silence."""
        made, after = super().over_time(x, hidden)
        backwards, _ = self.later(x.flip(1), torch.zeros_like(hidden))
        return made + self.join_later(backwards.flip(1)), after


class BandSplitBirnn(Network):
    """Fourier transforms around a `BandMasker` whose layers run both ways."""

    extends = ("band_split_rnn",)
    added = ("later", "join_later")

    def __init__(self, config: BandSplitBirnnConfig) -> None:
        super().__init__(config)
        self.sizes = config
        self.stft = Stft(config.window, config.hop)
        # A full-scale sine is near 1, as in the causal network; a Hann window sums to half its length.
        self.scale = 4 / config.window
        self.masker = BandMasker(config, len(self.estimated), config.channels, BothWaysLayer)

    @property
    def estimated(self) -> tuple[str, ...]:
        """All sources but the last."""
        return self.config.sources[:-1]

    def compilable(self) -> tuple[nn.Module, ...]:
        """All between the transforms, whose complex numbers compilers leave alone."""
        return (self.masker,)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, estimated, channels, frames)`."""
        spectra = torch.view_as_real(self.stft.analyse(mix.float()) * self.scale)
        hidden, before = self._silence(len(mix))
        # (batch, channels, bins, steps, 2) to (batch, steps, bins, channels, 2) and back
        estimates, _, _ = self.masker(spectra.permute(0, 3, 2, 1, 4), hidden, before)
        return self._synthesised(estimates, mix.shape[-1])

    def _silence(self, batch: int) -> tuple[Tensor, Tensor]:
        """What recurrences and filter know before the first step."""
        sizes = self.sizes
        kept = sizes.filter_frames if sizes.filters else 0
        low = bins_of(sizes.ranges[: sizes.filter_ranges]) if sizes.filters else 0
        shapes = (sizes.layers, bands_of(sizes.ranges), sizes.width), (kept, low, self.channels, 2)
        hidden, before = (torch.zeros(batch, *shape, device=self.device) for shape in shapes)
        return hidden, before

    def _synthesised(self, estimates: Tensor, frames: int) -> Tensor:
        """Signals of spectra, of which bins above the bands are silent."""
        above = self.stft.bins - estimates.shape[3]
        spectra = torch.view_as_complex(estimates.contiguous()).permute(0, 2, 4, 3, 1)
        spectra = nn.functional.pad(spectra, (0, 0, 0, above)) / self.scale
        return self.stft.synthesise(spectra, frames)
