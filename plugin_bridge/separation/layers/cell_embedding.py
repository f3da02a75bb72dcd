"""Embeddings of the cells of a spectrogram: of one source near each other, of different sources far apart."""

from typing import Protocol

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.stft import Stft


class EmbeddingSizes(Protocol):
    """Transform, `layers` bidirectional LSTMs of `hidden` units a direction, numbers for each cell."""

    @property
    def window(self) -> int: ...
    @property
    def hop(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def dimensions(self) -> int: ...


class CellEmbedding(nn.Module):
    """A point for each cell of the mix, from the log magnitudes of all; all channels share it."""

    def __init__(self, sizes: EmbeddingSizes, *, unit: bool) -> None:
        super().__init__()
        self.stft = Stft(sizes.window, sizes.hop)
        self.unit = unit
        self.recurrence = nn.LSTM(
            self.stft.bins,
            sizes.hidden,
            sizes.layers,
            batch_first=True,
            bidirectional=True,
        )
        self.embed = nn.Linear(2 * sizes.hidden, self.stft.bins * sizes.dimensions)
        self.split = nn.Unflatten(2, (self.stft.bins, sizes.dimensions))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Points, on the unit sphere if `unit`.

        Shape: `(batch, bins, steps)` to `(batch, steps * bins, dimensions)`, all bins of a step in a row.
        """
        # The summands keep silence from being divided by nothing and its logarithm from mattering.
        level = magnitudes.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-5
        shown = torch.log10(magnitudes / level + 1e-3)
        hidden = self.recurrence(shown.transpose(1, 2))[0]  # (batch, steps, 2 * hidden)
        points: Tensor = self.split(self.embed(hidden)).flatten(1, 2)
        if self.unit:
            points = nn.functional.normalize(torch.tanh(points), dim=-1)
        return points


def cells(magnitudes: Tensor) -> Tensor:
    """Spectrograms in the order of the points. Shape: `(..., bins, steps)` to `(..., steps * bins)`."""
    return magnitudes.transpose(-1, -2).flatten(-2)


def masks_of(shares: Tensor, bins: int) -> Tensor:
    """Shares of sources as masks.

    Shape: `(batch, steps * bins, sources)` to `(batch, sources, bins, steps)`.
    """
    batch, sources = shares.shape[0], shares.shape[2]
    return shares.reshape(batch, -1, bins, sources).permute(0, 3, 2, 1)


def loudness(magnitudes: Tensor, quiet_db: float = -40.0) -> Tensor:
    """1 for cells that are heard, 0 for those below `quiet_db` from the loudest (Hershey et al. 2016).

    Shape: `(batch, bins, steps)` to `(batch, steps * bins)`.
    """
    loudest = magnitudes.amax(dim=(1, 2), keepdim=True)
    return cells((magnitudes > loudest * 10 ** (quiet_db / 20)).to(magnitudes.dtype))


def dominant(stems: Tensor) -> Tensor:
    """1 for the source that is loudest in a cell, 0 for others.

    Shape: magnitudes `(batch, sources, bins, steps)` to `(batch, steps * bins, sources)`.
    """
    loudest = cells(stems).argmax(dim=1)
    return nn.functional.one_hot(loudest, stems.shape[1]).to(stems.dtype)


def shares_of(points: Tensor, centres: Tensor, sharpness: float) -> Tensor:
    """How much of each cell belongs to each centre, a softmax of scalar products.

    Shape: `(batch, cells, dimensions)` and `(batch, sources, dimensions)` to `(batch, cells, sources)`.
    """
    return torch.softmax(sharpness * (points @ centres.transpose(1, 2)), dim=2)


def soft_k_means(
    points: Tensor, weights: Tensor, centres: Tensor, sharpness: float, iterations: int, unit: bool
) -> Tensor:
    """Centres moved to the mean of the cells that they share, again and again.

    A centre counts as one cell at its own place, so that one without any stays where it is. Differentiable,
    as the unrolled clustering of Isik et al., "Single-channel multi-speaker separation using deep
    clustering", 2016. Shape: `(batch, cells, dimensions)`, `(batch, cells)`, `(batch, sources, dimensions)`
    to the last.
    """
    for _ in range(iterations):
        shares = shares_of(points, centres, sharpness) * weights[:, :, None]
        sums = shares.transpose(1, 2) @ points + centres
        centres = sums / (shares.sum(dim=1)[:, :, None] + 1)
        if unit:
            centres = nn.functional.normalize(centres, dim=-1)
    return centres


class NamedCentres(nn.Module):
    """Where the cells of each source were on average in training, so that a cluster has a name.

    Drawn at random until the first batch is followed.
    """

    places: Tensor

    def __init__(self, sources: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("places", nn.functional.normalize(torch.randn(sources, dimensions), dim=-1))

    def forward(self, batch: int) -> Tensor:
        """Shape: `(batch, sources, dimensions)`."""
        return self.places.expand(batch, -1, -1)

    @torch.no_grad()
    def follow(self, points: Tensor, shares: Tensor, pace: float = 0.05) -> None:
        """Move towards the means of a batch; a source that no cell of it belongs to stays.

        Shape: `(batch, cells, dimensions)` and `(batch, cells, sources)`.
        """
        sums = (shares.transpose(1, 2) @ points).sum(0)
        counts = shares.sum(dim=(0, 1))[:, None]
        means = sums / counts.clamp(min=1e-8)
        self.places.copy_(torch.where(counts > 0, torch.lerp(self.places, means, pace), self.places))
