"""What all band-split networks are between their transforms: sizes, layers over time and bands, and masks.

The structure is that of Luo and Yu, "Music source separation with band-split RNN", IEEE/ACM TASLP 31, 2023.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.band_mixing import Mixing, band_mixing
from plugin_bridge.separation.layers.band_split import BandMerge, BandSplit, Ranges, bands_of, bins_of
from plugin_bridge.separation.layers.deep_filter import DeepFilter, complex_product


@dataclass(frozen=True, kw_only=True)
class BandSizes:
    """Sizes: `ranges` of bands of one width in bins, `layers` of `width` features.

    With `magnitudes` the bands are also told the powers of their bins. `hidden` are the features of each
    source from which its masks come. The deep filter reaches `filter_frames` steps back and `filter_reach`
    bins to either side in the lowest `filter_ranges` ranges; none of them leaves it out.
    """

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

    def check(self, window: int) -> None:
        """Raise `ValueError` for sizes that do not fit each other or the window."""
        if any(bands < 1 or bins < 1 for bands, bins in self.ranges) or not self.ranges:
            raise ValueError(f"ranges must be pairs of bands and bins, 1 or more of each, got {self.ranges}")
        bins, most = bins_of(self.ranges), window // 2 + 1
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


TINY_SIZES: Any = {
    "ranges": ((8, 4), (4, 12), (1, 48)),
    "width": 24,
    "layers": 1,
    "heads": 2,
    "hidden": 24,
    "filter_frames": 1,
    "filter_reach": 1,
    "filter_ranges": 1,
}
"""`BandSizes` for tests, of windows of 256 frames."""


class BandLayer(nn.Module):
    """A GRU over time for every band, all with the same weights, then the mixing of bands."""

    def __init__(self, config: BandSizes) -> None:
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
        made, after = self.over_time(by_band, hidden.reshape(1, batch * bands, width))
        x = x + made.reshape(batch, bands, steps, width).transpose(1, 2)
        mixed = self.bands(self.before_bands(x).reshape(batch * steps, bands, width))
        return x + mixed.reshape(batch, steps, bands, width), after.reshape(batch, bands, width)

    def over_time(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What a band learns of other steps, and the state of the GRU behind them.

        Shape: `(rows, steps, width)` and `(1, rows, width)` to the same.
        """
        made, after = self.recurrence(x, hidden)
        return self.join(made), after


class BandMasker(nn.Module):
    """From spectra of the mix to those of the estimates, complex numbers as pairs.

    Nothing in it is more than products, sums and GRUs, so that any engine can run it.
    """

    def __init__(
        self, config: BandSizes, sources: int, channels: int, layer: type[BandLayer] = BandLayer
    ) -> None:
        super().__init__()
        numbers = 2 * channels
        self.bins, self.hidden = bins_of(config.ranges), config.hidden
        self.split = BandSplit(config.ranges, channels, config.width, magnitudes=config.magnitudes)
        self.layers = nn.ModuleList(layer(config) for _ in range(config.layers))
        self.last = nn.LayerNorm(config.width)
        self.heads = nn.Linear(config.width, sources * config.hidden)
        self.masks = BandMerge(config.ranges, sources, config.hidden, numbers)
        with torch.no_grad():
            self.masks.bias[..., ::2] = 1 / (sources + 1)  # each begins with its share of the mix
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
