"""First weights that neither drown nor raise a signal on its way through rectified convolutions."""

from math import prod

import torch
from torch import nn

CONVOLUTIONS = nn.Conv1d | nn.Conv2d
TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d


@torch.no_grad()
def draw_rectified(network: nn.Module, last: nn.Module) -> None:
    """Draw the weights of all convolutions as He et al., "Delving deep into rectifiers", 2015; biases are 0.

    The deviation is `sqrt(2 / n)` where n inputs meet in one output: of a transposed convolution only
    those whose kernels overlap. What `last` gives starts at a tenth: masks near a half, where a sigmoid
    learns.
    """
    small = set(last.modules())
    for layer in network.modules():
        if isinstance(layer, CONVOLUTIONS | TRANSPOSED):
            meeting = layer.in_channels // layer.groups * prod(layer.kernel_size)
            if isinstance(layer, TRANSPOSED):
                meeting = max(1, meeting // prod(layer.stride))
            layer.weight.normal_(std=(2 / meeting) ** 0.5 * (0.1 if layer in small else 1.0))
            if layer.bias is not None:
                layer.bias.zero_()
