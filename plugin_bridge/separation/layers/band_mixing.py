"""How the bands of one step learn of each other; no step sees another one."""

from typing import Literal

from torch import Tensor, nn

Mixing = Literal["attention", "mlp", "gru"]


def band_mixing(kind: Mixing, bands: int, width: int, heads: int) -> nn.Module:
    """A layer of a kind. Shape: `(steps, bands, width)` to the same."""
    if kind == "attention":
        return BandAttention(width, heads)
    return BandPerceptron(bands, width) if kind == "mlp" else BandRecurrence(width)


class BandAttention(nn.Module):
    """Every band attends to all of its step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asked = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(steps, bands, width)` to the same."""
        steps, bands, width = x.shape
        asked = self.asked(x).reshape(steps, bands, 3, self.heads, width // self.heads)
        query, key, value = asked.permute(2, 0, 3, 1, 4)  # each (steps, heads, bands, width / heads)
        made = nn.functional.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.join(made.transpose(1, 2).reshape(steps, bands, width))
        return joined


class BandPerceptron(nn.Module):
    """Each feature of all bands together, then each band by itself."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.across = nn.Sequential(nn.Linear(bands, 2 * bands), nn.GELU(), nn.Linear(2 * bands, bands))
        self.join = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(steps, bands, width)` to the same."""
        joined: Tensor = self.join(self.across(x.transpose(1, 2)).transpose(1, 2))
        return joined


class BandRecurrence(nn.Module):
    """From the lowest band up and from the highest down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.recurrence = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)
        self.join = nn.Linear(width // 2 * 2, width)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(steps, bands, width)` to the same."""
        both: Tensor = self.recurrence(x)[0]
        joined: Tensor = self.join(both)
        return joined
