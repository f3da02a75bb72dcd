"""Masks for the magnitudes of a mix, from one U-Net for each source."""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.unet_layouts import LayoutUNet, UNetSizes


class StemMasks(nn.Module):
    """One U-Net for each source, which sees all channels and gives a mask between 0 and 1 for each."""

    def __init__(self, sources: int, channels: int, sizes: UNetSizes) -> None:
        super().__init__()
        self.maskers = nn.ModuleList(LayoutUNet(channels, channels, sizes) for _ in range(sources))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Masks of each source for its own magnitudes, brought to unit level first.

        Shape: `(batch, sources, channels, bins, steps)` to the same; a dimension of 1 is for all sources.
        """
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(2, 3, 4), keepdim=True).sqrt() + 1e-5
        shown = (magnitudes / level).expand(-1, len(self.maskers), -1, -1, -1)
        masks = [masker(shown[:, source]) for source, masker in enumerate(self.maskers)]
        return torch.sigmoid(torch.stack(masks, dim=1))
