"""Conv-TasNet's encoder and decoder: a learned basis in place of a Fourier transform."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.memory import Memory, Remembers


class LearnedEncoder(Remembers):
    """`filters` values every `kernel / 2` frames of the signal (Luo and Mesgarani, 2019, eq. 2, linear).

    Value t is of the frames up to `(t + 1) * stride`; the signal is silent before it starts.
    """

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.stride = kernel // 2
        self.conv = nn.Conv1d(channels, filters, kernel, stride=self.stride, bias=False)

    def forward(self, mix: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, channels, n * stride)` to `(batch, filters, n)`."""
        made: Tensor = self.conv(self.with_past(mix, self.stride, memory))
        return made


class LearnedDecoder(Remembers):
    """The way back by overlapped addition (eq. 3), late by one stride."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.stride = kernel // 2
        self.basis = nn.Conv1d(filters, channels * kernel, 1, bias=False)
        self.channels = channels

    def forward(self, values: Tensor, memory: Memory = None) -> Tensor:
        """Shape: `(batch, sources, filters, n)` to `(batch, sources, channels, n * stride)`."""
        batch, sources, _, n = values.shape
        made: Tensor = self.basis(values.flatten(0, 1))
        # The sources stay apart from the batch, so that what is remembered belongs to one row of it.
        pieces = made.reshape(batch, sources, self.channels, 2, self.stride, n)
        rising, falling = pieces[:, :, :, 0], pieces[:, :, :, 1]  # (batch, sources, channels, stride, n)
        late = self.with_past(falling, 1, memory)[..., :-1]
        return torch.flatten((rising + late).transpose(-1, -2), -2)
