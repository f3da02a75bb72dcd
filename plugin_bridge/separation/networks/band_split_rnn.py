"""A causal band-split recurrent network for the stage, after Luo and Yu, "Music source separation with
band-split RNN", IEEE/ACM TASLP 31, 2023.

Spectra are cut into bands, narrow ones below and wide ones above, and each band's bins made features of one
width. Every layer then has a recurrence over time, the same for all bands, and something through which the
bands of one step learn of each other. What the features say last are complex masks. Here it is made causal
and quick to answer:

- long analysis windows and short synthesis windows (`layers/short_synthesis.py`), so that hop and latency
  together are the short window: 1024 frames (23 ms) for `live` and `small`, 512 for `low_latency`;
- GRUs forward in time: their state is bounded, where that of an LSTM may grow for minutes;
- attention between bands in place of a recurrence, which a processor can compute at once (`mixing`);
- features of a step are normalised by that step alone, so that an hour of music leaves no trace;
- a deep filter over the last steps for the lowest bands (`layers/deep_filter.py`);
- masks and filters multiply the mix, so that silence stays silence whatever a bias says;
- the last source, and whatever lies above the highest band, is what the others leave of the mix.

The sizes are ours; no paper states them. `low_latency` steps twice as often, so that it has those of `small`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.band_masker import TINY_SIZES, BandMasker, BandSizes
from plugin_bridge.separation.layers.band_split import bands_of, bins_of
from plugin_bridge.separation.layers.short_synthesis import ShortSynthesis
from plugin_bridge.separation.networks.network import NetworkConfig, SpectralNetwork, State


@dataclass(frozen=True, kw_only=True)
class BandSplitRnnConfig(BandSizes, NetworkConfig):
    """As `BandSizes`; windows and hop in frames, and after which time an input may count as forgotten."""

    window: int = 2048
    synthesis: int = 1024
    hop: int = 512
    tail_seconds: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(self.window)


_LIVE = BandSplitRnnConfig()
_SMALL = replace(_LIVE, width=64, layers=3, hidden=48)
PRESETS = {
    "live": _LIVE,
    "small": _SMALL,
    "low_latency": replace(_SMALL, synthesis=512, hop=256),
    "tiny": BandSplitRnnConfig(
        sample_rate=8000,
        window_seconds=0.25,
        window=256,
        synthesis=64,
        hop=32,
        **TINY_SIZES,
        tail_seconds=0.1,
    ),
}


def build(config: BandSplitRnnConfig) -> "BandSplitRnn":
    """An untrained network."""
    return BandSplitRnn(config)


class BandSplitRnn(SpectralNetwork):
    """Fourier transforms around a `BandMasker`; all steps of a part run at once, but for the GRUs."""

    def __init__(self, config: BandSplitRnnConfig) -> None:
        super().__init__(config)
        self.sizes = config
        self.transform = ShortSynthesis(config.window, config.synthesis, config.hop)
        self.hop, self.latency = config.hop, self.transform.latency
        self.tail = max(config.window, round(config.tail_seconds * config.sample_rate))
        self.masker = BandMasker(config, len(self.estimated), config.channels)
        self.remembered = ("hidden", "spectra")

    @property
    def middle(self) -> BandMasker:
        """All that learns."""
        return self.masker

    @property
    def estimated(self) -> tuple[str, ...]:
        """All sources but the last."""
        return self.config.sources[:-1]

    def compilable(self) -> tuple[nn.Module, ...]:
        """All between the transforms, whose complex numbers compilers leave alone."""
        return (self.masker,)

    def state(self, batch: int) -> State:
        """Silence, for the windows, the overlap, the GRUs and the filter."""
        sizes, channels = self.sizes, self.channels
        kept = sizes.filter_frames if sizes.filters else 0
        low = bins_of(sizes.ranges[: sizes.filter_ranges]) if sizes.filters else 0
        shapes = {
            "heard": (channels, self.transform.past),
            "begun": (len(self.estimated), channels, self.latency),
            "hidden": (sizes.layers, bands_of(sizes.ranges), sizes.width),
            "spectra": (kept, low, channels, 2),
        }
        return {name: torch.zeros(batch, *shape, device=self.device) for name, shape in shapes.items()}

    def step(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        """One hop of `continued`."""
        return self.continued(block, state)

    def continued(self, mix: Tensor, state: State) -> tuple[Tensor, State]:
        """All hops of a part of a stream at once.

        Shape: `(batch, channels, n * hop)` to `(batch, estimated, channels, n * hop)`.
        """
        heard = torch.cat((state["heard"], mix), dim=-1)
        spectra = self.analysed(heard)
        estimates, hidden, before = self.masker(spectra, state["hidden"], state["spectra"])
        stems, begun = self.synthesised(estimates, state["begun"])
        kept = heard[..., heard.shape[-1] - self.transform.past :]
        return stems, {"heard": kept, "begun": begun, "hidden": hidden, "spectra": before}

    def analysed(self, heard: Tensor) -> Tensor:
        """Spectra of all hops after the first `past` frames.

        Shape: `(batch, channels, past + steps * hop)` to `(batch, steps, bins, channels, 2)`.
        """
        spectra = torch.view_as_real(self.transform.analyse(heard.float()))
        return spectra.permute(0, 2, 3, 1, 4)

    def synthesised(self, estimates: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
        """Stems, and what is begun of the next; bins above the bands are silent.

        Shape: `(batch, steps, estimated, bins, channels, 2)` and `(batch, estimated, channels, latency)` to
        `(batch, estimated, channels, steps * hop)` and the second again.
        """
        above = self.transform.bins - estimates.shape[3]
        spectra = torch.view_as_complex(estimates.contiguous()).permute(0, 2, 4, 1, 3)  # pairs move as one
        return self.transform.synthesise(nn.functional.pad(spectra, (0, above)), begun)
