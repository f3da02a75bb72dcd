"""Spectra as a few bands of features, and features as numbers for every bin (Luo and Yu, "Music source
separation with band-split RNN", 2023, sections III.A and III.C).

Bands of one width lie side by side in a range and share one batched product, since a product for each band
costs a processor more than what it computes.
"""

import math

import torch
from torch import Tensor, nn

Ranges = tuple[tuple[int, int], ...]
"""From the lowest bin up: how many bands, of how many bins each."""

_QUIET = 1e-8
"""Mean power of a bin, a full-scale sine being 1, under which a band is not brought to one level any more."""


def bins_of(ranges: Ranges) -> int:
    """Bins of all bands together."""
    return sum(bands * width for bands, width in ranges)


def bands_of(ranges: Ranges) -> int:
    """The number of bands."""
    return sum(bands for bands, _ in ranges)


_FAINT = 1e-4
"""Power under which a bin tells nothing, its band being at unit level."""


class BandSplit(nn.Module):
    """Features of each band from its bins at unit level and from that level, of each step by itself.

    With `magnitudes` the layer is also given logarithms of each bin's power, of every channel and, of two
    channels, of their sum and difference: what no linear layer can tell from real and imaginary parts.
    """

    belongs: Tensor

    def __init__(self, ranges: Ranges, channels: int, made: int, *, magnitudes: bool = False) -> None:
        super().__init__()
        self.ranges, self.bins, self.magnitudes = ranges, bins_of(ranges), magnitudes
        powers = 4 if channels == 2 else channels
        self.given = given = 2 * channels + (powers if magnitudes else 0)
        self.weights = nn.ParameterList(_drawn(bands, width * given, made) for bands, width in ranges)
        self.level = nn.Parameter(0.1 * torch.randn(bands_of(ranges), made))
        self.bias = nn.Parameter(torch.zeros(bands_of(ranges), made))
        # Which share each bin has in the power of its band. Shape: `(bins, bands)`.
        shares = [torch.full((width, 1), 1 / width) for bands, width in ranges for _ in range(bands)]
        belongs: Tensor = torch.block_diag(*shares)  # type: ignore[no-untyped-call]
        self.register_buffer("belongs", belongs, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, steps, bins, 2 * channels)` to `(batch, steps, bands, made)`.

        Further bins are left out.
        """
        batch, steps = x.shape[:2]
        x = x[:, :, : self.bins].reshape(batch * steps, self.bins, -1)
        with torch.autocast(x.device.type, enabled=False):  # what is quiet would be nothing in half precision
            power = x.square().mean(dim=-1) @ self.belongs + _QUIET  # (batch * steps, bands)
            x = x * (power.rsqrt() @ self.belongs.sign().T)[..., None]
            if self.magnitudes:
                x = torch.cat((x, _log_powers(x)), dim=-1)
        made, at = [], 0
        for (bands, width), weights in zip(self.ranges, self.weights, strict=True):
            part = x[:, at : at + bands * width].reshape(batch * steps, bands, width * self.given)
            made.append(torch.bmm(part.transpose(0, 1), weights))  # (bands, batch * steps, made)
            at += bands * width
        whole = torch.cat(made).transpose(0, 1)
        whole = whole + (0.1 * power.log())[..., None] * self.level + self.bias
        return whole.reshape(batch, steps, *whole.shape[1:])


class BandMerge(nn.Module):
    """`made` numbers for each bin and source from a band's features, those of each source by themselves."""

    def __init__(self, ranges: Ranges, sources: int, given: int, made: int) -> None:
        super().__init__()
        self.ranges, self.sources, self.made = ranges, sources, made
        self.weights = nn.ParameterList(
            _drawn(bands * sources, given, width * made) for bands, width in ranges
        )
        self.bias = nn.Parameter(torch.zeros(sources, bins_of(ranges), made))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, steps, bands, sources, given)` to `(batch, steps, sources, bins, made)`.

        Further bands are left out.
        """
        batch, steps, _, sources, given = x.shape
        flat = x.permute(2, 3, 0, 1, 4).reshape(-1, sources, batch * steps, given)  # bands first
        made, at = [], 0
        for (bands, width), weights in zip(self.ranges, self.weights, strict=True):
            part = torch.bmm(flat[at : at + bands].reshape(bands * sources, batch * steps, given), weights)
            part = part.reshape(bands, sources, batch * steps, width, self.made)
            made.append(part.permute(2, 1, 0, 3, 4).reshape(batch * steps, sources, bands * width, self.made))
            at += bands
        whole = torch.cat(made, dim=2) + self.bias
        return whole.reshape(batch, steps, *whole.shape[1:])


def _log_powers(x: Tensor) -> Tensor:
    """Logarithms of the power of each channel and, of two, of their sum and difference.

    Shape: `(..., 2 * channels)`, real and imaginary parts side by side, to `(..., channels)` or `(..., 4)`.
    """
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    if pairs.shape[-2] == 2:
        left, right = pairs[..., :1, :], pairs[..., 1:, :]
        pairs = torch.cat((pairs, left + right, left - right), dim=-2)
    return 0.25 * (pairs.square().sum(dim=-1) + _FAINT).log()


def _drawn(count: int, given: int, made: int) -> nn.Parameter:
    """Matrices drawn as those of torch's linear layers."""
    most = 1 / math.sqrt(given)
    return nn.Parameter(torch.empty(count, given, made).uniform_(-most, most))
