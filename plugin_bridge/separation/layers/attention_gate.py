"""The attention gate of Oktay et al., "Attention U-Net", 2018, for the skips of a U-Net over spectrograms."""

import torch
from torch import Tensor, nn


class AttentionGate(nn.Module):
    """Weighs each place of a skip by what the decoder, at the same size, makes of it.

        q = psi relu(N(Wg g) + N(Wx x)) + b,  a = sigmoid(N(q)),  gated x = a x        (Oktay et al., eq. 1)

    with 1x1 convolutions Wg, Wx to half of the skip's channels and psi to one, and instance normalisation
    as N. One weight for each place, the same for all channels.
    """

    def __init__(self, decoded: int, skipped: int) -> None:
        super().__init__()
        inner = max(1, skipped // 2)
        self.query = normalised(decoded, inner)
        self.key = normalised(skipped, inner)
        self.weigh = normalised(inner, 1)

    def forward(self, decoded: Tensor, skip: Tensor) -> Tensor:
        """Shape: `(batch, decoded, bins, steps)` and `(batch, skipped, bins, steps)` to the latter."""
        weights = torch.sigmoid(self.weigh(torch.relu(self.query(decoded) + self.key(skip))))
        return weights * skip


def normalised(given: int, made: int) -> nn.Module:
    """A 1x1 convolution and instance normalisation with learned scale and offset."""
    return nn.Sequential(nn.Conv2d(given, made, 1, bias=False), nn.InstanceNorm2d(made, affine=True))
