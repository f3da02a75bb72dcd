"""Networks that are trained by a loss of their own, as modules that several processes can share."""

from __future__ import annotations

from torch import Tensor, nn

from plugin_bridge.separation.networks.network import SelfMeasuringNetwork


class OwnLoss(nn.Module):
    """The loss of a network as a module; several processes average the gradients of what they call."""

    def __init__(self, network: SelfMeasuringNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, mix: Tensor, stems: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` and `(batch, sources, channels, frames)` to a single number."""
        return self.network.own_loss(mix, stems)
