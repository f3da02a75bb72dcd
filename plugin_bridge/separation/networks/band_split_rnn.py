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

from plugin_bridge.separation.layers.band_mixing import Mixing, band_mixing
from plugin_bridge.separation.layers.band_split import BandMerge, BandSplit, Ranges, bands_of, bins_of
from plugin_bridge.separation.layers.deep_filter import DeepFilter, complex_product
from plugin_bridge.separation.layers.short_synthesis import ShortSynthesis
from plugin_bridge.separation.networks.network import NetworkConfig, SpectralNetwork, State


@dataclass(frozen=True, kw_only=True)
class BandSplitRnnConfig(NetworkConfig):
    """Sizes: windows and hop in frames, `ranges` of bands of one width in bins, `layers` of `width` features.

    With `magnitudes` the bands are also told the powers of their bins. `hidden` are the features of each
    source from which its masks come. The deep filter reaches `filter_frames` steps back and `filter_reach`
    bins to either side in the lowest `filter_ranges` ranges; none of them leaves it out.
    """

    window: int = 2048
    synthesis: int = 1024
    hop: int = 512
    magnitudes: bool = False
    ranges: Ranges = ((10, 4), (10, 8), (8, 16), (6, 32), (4, 64), (2, 164))
    width: int = 96
    layers: int = 4
    mixing: Mixing = "attention"
    heads: int = 4
    hidden: int = 64
    filter_frames: int = 2
    filter_reach: int = 0
    filter_ranges: int = 3
    tail_seconds: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(bands < 1 or bins < 1 for bands, bins in self.ranges) or not self.ranges:
            raise ValueError(f"ranges must be pairs of bands and bins, 1 or more of each, got {self.ranges}")
        bins, most = bins_of(self.ranges), self.window // 2 + 1
        if bins > most:
            raise ValueError(f"ranges must have the window's {most} bins at most, got {bins}")
        if self.width % self.heads or self.width % 2:
            raise ValueError(
                f"width must be even and a multiple of heads, got {self.width} and {self.heads} heads"
            )

    @property
    def filters(self) -> bool:
        """Whether there is a deep filter."""
        return bool(self.filter_ranges and (self.filter_frames or self.filter_reach))


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
        ranges=((8, 4), (4, 12), (1, 48)),
        width=24,
        layers=1,
        heads=2,
        hidden=24,
        filter_frames=1,
        filter_reach=1,
        filter_ranges=1,
        tail_seconds=0.1,
    ),
}


def build(config: BandSplitRnnConfig) -> "BandSplitRnn":
    """An untrained network."""
    return BandSplitRnn(config)


class BandLayer(nn.Module):
    """A GRU over time for every band, all with the same weights, then the mixing of bands."""

    def __init__(self, config: BandSplitRnnConfig) -> None:
        super().__init__()
        width = config.width
        self.before_time, self.before_bands = nn.LayerNorm(width), nn.LayerNorm(width)
        self.recurrence = nn.GRU(width, width, batch_first=True)
        self.join = nn.Linear(width, width)
        self.bands = band_mixing(config.mixing, bands_of(config.ranges), width, config.heads)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Features and the state of the GRU behind them.

        Shape: `(batch, steps, bands, width)` and `(batch, bands, width)` to the same.
        """
        batch, steps, bands, width = x.shape
        by_band = self.before_time(x).transpose(1, 2).reshape(batch * bands, steps, width)
        made, after = self.recurrence(by_band, hidden.reshape(1, batch * bands, width))
        x = x + self.join(made).reshape(batch, bands, steps, width).transpose(1, 2)
        mixed = self.bands(self.before_bands(x).reshape(batch * steps, bands, width))
        return x + mixed.reshape(batch, steps, bands, width), after.reshape(batch, bands, width)


class BandMasker(nn.Module):
    """From spectra of the mix to those of the estimates, complex numbers as pairs.

    Nothing in it is more than products, sums and GRUs, so that any engine can run it.
    """

    def __init__(self, config: BandSplitRnnConfig) -> None:
        super().__init__()
        sources, numbers = len(config.sources) - 1, 2 * config.channels
        self.bins, self.hidden = bins_of(config.ranges), config.hidden
        self.split = BandSplit(config.ranges, config.channels, config.width, magnitudes=config.magnitudes)
        self.layers = nn.ModuleList(BandLayer(config) for _ in range(config.layers))
        self.last = nn.LayerNorm(config.width)
        self.heads = nn.Linear(config.width, sources * config.hidden)
        self.masks = BandMerge(config.ranges, sources, config.hidden, numbers)
        with torch.no_grad():
            self.masks.bias[..., ::2] = 1 / len(config.sources)  # each begins with its share of the mix
        self.filter = (
            DeepFilter(
                config.ranges[: config.filter_ranges],
                sources,
                config.hidden,
                config.filter_frames,
                config.filter_reach,
            )
            if config.filters
            else None
        )

    def forward(self, spectra: Tensor, hidden: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimates, what the GRUs remember and the last spectra that the filter will need.

        Shape: `(batch, steps, bins, channels, 2)`, `(batch, layers, bands, width)` and
        `(batch, filter_frames, filtered bins, channels, 2)` to `(batch, steps, sources, bins, channels, 2)`
        and the other two again.
        """
        x, remembered = self.split(spectra.flatten(-2)), []
        for number, layer in enumerate(self.layers):
            x, after = layer(x, hidden[:, number])
            remembered.append(after.float())
        x = torch.tanh(self.heads(self.last(x)))
        x = x.reshape(*x.shape[:-1], -1, self.hidden)  # sources before features
        masks = self.masks(x).float()
        masks = masks.reshape(*masks.shape[:-1], -1, 2)
        heard = spectra[:, :, : self.bins]
        estimates = complex_product(masks, heard[:, :, None])
        if self.filter is not None:
            low = self.filter.bins
            around = torch.cat((before, spectra[:, :, :low]), dim=1)
            added = self.filter(x, around)
            estimates = torch.cat((estimates[:, :, :, :low] + added, estimates[:, :, :, low:]), dim=3)
            before = around[:, around.shape[1] - before.shape[1] :]
        return estimates, torch.stack(remembered, dim=1), before


class BandSplitRnn(SpectralNetwork):
    """Fourier transforms around a `BandMasker`; all steps of a part run at once, but for the GRUs."""

    def __init__(self, config: BandSplitRnnConfig) -> None:
        super().__init__(config)
        self.sizes = config
        self.transform = ShortSynthesis(config.window, config.synthesis, config.hop)
        self.hop, self.latency = config.hop, self.transform.latency
        self.tail = max(config.window, round(config.tail_seconds * config.sample_rate))
        self.masker = BandMasker(config)
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
