"""A recurrent network that looks both ways and gives as many channels as it was given."""

from typing import Literal

from torch import Tensor, nn

from plugin_bridge.separation.layers.sru import SRU

Cell = Literal["lstm", "gru", "sru"]
CELLS: dict[Cell, type[nn.LSTM | nn.GRU | SRU]] = {"lstm": nn.LSTM, "gru": nn.GRU, "sru": SRU}


class BidirectionalRecurrence(nn.Module):
    """`layers` of one kind of cell in both directions, and a linear layer back to `channels`."""

    def __init__(self, cell: Cell, channels: int, layers: int) -> None:
        super().__init__()
        self.recurrence = CELLS[cell](channels, channels, layers, bidirectional=True)
        self.join = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        x = self.recurrence(x.permute(2, 0, 1))[0]  # (frames, batch, 2 * channels)
        x = self.join(x)
        return x.permute(1, 2, 0)
