"""Causal networks that go on from a state, as modules that several processes can share."""

from __future__ import annotations

from torch import Tensor, nn

from plugin_bridge.separation.networks.network import CausalNetwork, State


class ContinuedParts(nn.Module):
    """A part of a stream as a module; several processes average the gradients of what they call."""

    def __init__(self, network: CausalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, mix: Tensor, state: State) -> tuple[Tensor, State]:
        """As `CausalNetwork.continued`."""
        return self.network.continued(mix, state)
