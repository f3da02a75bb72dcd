"""Deep clustering of Hershey, Chen, Le Roux and Watanabe, "Deep clustering: discriminative embeddings for
segmentation and separation", ICASSP 2016.

Bidirectional LSTMs give each cell of the log spectrogram a point V on a unit sphere, and are trained so that
points of cells with the same loudest source (for which Y is 1, for others 0) lie together:

    loss = |V V' - Y Y'|^2 = |V'V|^2 - 2 |V'Y|^2 + |Y'Y|^2

in Frobenius norms, over the cells within 40 dB of the loudest, divided here by the number of their pairs. In
use, k-means over the points of a window gives masks. The paper's clusters have no names, as its speakers have
none; here k-means begins where each source's points were on average in training. Masks are soft, as in Luo
et al., "Deep clustering and conventional networks for music separation", 2017; the larger `sharpness`, the
more binary they are, as the paper's.

It is trained by its own loss; a recipe's objective does not matter. The paper states no count of parameters;
two layers of 600 units a direction and 40 numbers a cell come to 18.4 million. `music` is for four sources in
stereo at 44.1 kHz; its sizes are ours.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.cell_embedding import (
    CellEmbedding,
    NamedCentres,
    dominant,
    loudness,
    masks_of,
    shares_of,
    soft_k_means,
)
from plugin_bridge.separation.networks.network import NetworkConfig, SelfMeasuringNetwork


@dataclass(frozen=True, kw_only=True)
class DeepClusteringConfig(NetworkConfig):
    """Sizes of deep clustering, those of the paper by default; `iterations` of k-means."""

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8000
    channels: int = 1
    window_seconds: float = 4.0
    window: int = 256
    hop: int = 64
    hidden: int = 600
    layers: int = 2
    dimensions: int = 40
    sharpness: float = 8.0
    iterations: int = 10


PAPER = DeepClusteringConfig()
PRESETS = {
    "paper": PAPER,
    "music": replace(
        PAPER,
        sources=("vocals", "drums", "bass", "other"),
        sample_rate=44100,
        channels=2,
        window=2048,
        hop=512,
        hidden=500,
        layers=4,
        dimensions=20,
    ),
    "tiny": replace(PAPER, window_seconds=0.25, window=128, hop=64, hidden=24, layers=1, dimensions=8),
}


def build(config: DeepClusteringConfig) -> "DeepClustering":
    """An untrained network."""
    return DeepClustering(config)


class DeepClustering(SelfMeasuringNetwork):
    """Masks from clusters of cells."""

    def __init__(self, config: DeepClusteringConfig) -> None:
        super().__init__(config)
        self.sharpness, self.iterations = config.sharpness, config.iterations
        self.embedding = CellEmbedding(config, unit=True)
        self.centres = NamedCentres(len(config.sources), config.dimensions)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        stft = self.embedding.stft
        spectra = stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs().mean(dim=1)
        points = self.embedding(magnitudes)  # (batch, cells, dimensions)
        # A mean of points on the sphere lies inside it, where its scalar products would be too small.
        named = nn.functional.normalize(self.centres(mix.shape[0]), dim=-1)
        centres = soft_k_means(
            points, loudness(magnitudes), named, self.sharpness, self.iterations, unit=True
        )
        masks = masks_of(shares_of(points, centres, self.sharpness), stft.bins)
        estimates: Tensor = stft.synthesise(masks[:, :, None] * spectra[:, None], mix.shape[-1])
        return estimates

    def own_loss(self, mix: Tensor, stems: Tensor) -> Tensor:
        """How far the points' nearness is from that of the loudest sources, from 0 to about 1."""
        stft = self.embedding.stft
        magnitudes = stft.analyse(mix).abs().mean(dim=1)
        points = self.embedding(magnitudes)
        weights = loudness(magnitudes)
        belongs = dominant(stft.analyse(stems).abs().mean(dim=2)) * weights[:, :, None]
        if self.training:
            self.centres.follow(points, belongs)
        points = points * weights[:, :, None]
        return affinity_loss(points, belongs, weights.sum(dim=1))


def affinity_loss(points: Tensor, belongs: Tensor, counts: Tensor) -> Tensor:
    """The mean square of `V V' - Y Y'` over all pairs of cells, without making the matrix.

    Shape: `(batch, cells, dimensions)`, `(batch, cells, sources)` and `(batch,)` to a single number.
    """

    def pairs(one: Tensor, other: Tensor) -> Tensor:
        return (one.transpose(1, 2) @ other).square().sum(dim=(1, 2))

    total = pairs(points, points) - 2 * pairs(points, belongs) + pairs(belongs, belongs)
    return torch.mean(total / counts.clamp(min=1).square())
