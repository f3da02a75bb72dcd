"""The past of causal layers: given from step to step, or silence before a whole signal.

A causal layer is written once, for any number of frames: it puts its own past before them. Given all frames
without a memory, it computes in parallel what the steps compute one after another.
"""

import torch
from torch import Tensor, nn

Memory = dict[str, Tensor] | None
"""What layers remember, by their keys; None where a whole signal is given at once."""


class Remembers(nn.Module):
    """A layer with a past; `name_layers` gives it its key."""

    key: str = ""

    def with_past(self, x: Tensor, frames: int, memory: Memory, what: str = "past") -> Tensor:
        """`x` after `frames` of what came before it, zeros at the start; the memory then holds the newest.

        Shape: `(..., n)` to `(..., frames + n)`.
        """
        if frames == 0:
            return x
        key = f"{self.key}.{what}"
        past = None if memory is None else memory.get(key)
        if past is None:
            past = x.new_zeros((*x.shape[:-1], frames))
        whole = torch.cat((past, x), dim=-1)
        if memory is not None:
            memory[key] = whole[..., whole.shape[-1] - frames :]
        return whole


def name_layers(network: nn.Module) -> None:
    """Give every layer with a past its name in the network as key."""
    for name, layer in network.named_modules():
        if isinstance(layer, Remembers):
            layer.key = name
