"""Depthwise separable convolutions, as in Chen et al., "Encoder-decoder with atrous separable convolution for
semantic image segmentation", ECCV 2018 (section 3.1)."""

from torch import Tensor, nn


class SeparableConvolution(nn.Module):
    """One kernel for each channel, then a 1x1 convolution over the channels; the size is kept.

    It learns `given * (kernel**2 + made)` weights where an ordinary one learns `given * made * kernel**2`.
    """

    def __init__(self, given: int, made: int, kernel: int = 3, dilation: int = 1) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.depthwise = nn.Conv2d(
            given, given, kernel, padding=reach, dilation=dilation, groups=given, bias=False
        )
        self.pointwise = nn.Conv2d(given, made, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, given, bins, steps)` to `(batch, made, bins, steps)`."""
        x = self.pointwise(self.depthwise(x))
        return x


def convolution(given: int, made: int, kernel: int = 3, dilation: int = 1, *, separable: bool) -> nn.Module:
    """A convolution that keeps the size, depthwise separable or not, normalised over the batch, and ReLU."""
    if separable:
        layer: nn.Module = SeparableConvolution(given, made, kernel, dilation)
    else:
        reach = dilation * (kernel // 2)
        layer = nn.Conv2d(given, made, kernel, padding=reach, dilation=dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(made), nn.ReLU())
