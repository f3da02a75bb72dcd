"""Squeeze and excitation (Hu et al., CVPR 2018) for signals: eqs. 3.8 to 3.10 of Zhang 2024."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels are on average over time.

        Q[d] = mean over frames of v[d]                   squeeze (3.8)
        S = sigmoid(A2 relu(A1 Q))                        excitation (3.9)
        X[d] = S[d] v[d]                                  (3.10)

    The paper prints (3.9) without naming the outer function; it is the sigmoid of Hu et al., which
    Fig. 4.3's weights around 0.5 bear out. A1 reduces the channels by `reduction`, 16 as there, but to no
    fewer than 8: of only two units without bias, both too often are 0 from the start and for good.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(8, channels // reduction)
        self.excite = nn.Sequential(
            nn.Linear(channels, inner, bias=False),
            nn.ReLU(),
            nn.Linear(inner, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to the same."""
        weights: Tensor = self.excite(x.mean(dim=-1))
        return x * weights[..., None]


@contextmanager
def excitations(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Within it, the latest weights S of every block of a network, by the block's name, on the CPU.

    Shape: each `(batch, channels)`.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, given: object, weights: Tensor) -> None:
        seen[name] = weights.detach().cpu()

    hooks = [
        block.excite.register_forward_hook(partial(keep, name))
        for name, block in network.named_modules()
        if isinstance(block, SqueezeExcitation)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
