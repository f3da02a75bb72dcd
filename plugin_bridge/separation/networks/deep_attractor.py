"""The deep attractor network of Chen, Luo and Mesgarani, "Deep attractor network for single-microphone
speaker separation", ICASSP 2017.

Bidirectional LSTMs give each cell of the log spectrogram a point V. In training the attractor A of a source
is the mean of the points of the cells in which it is the loudest (Y), over cells that are heard (w); masks
follow from the scalar products of points and attractors, and the loss is that of the masked spectrogram:

    A = sum of V Y w / sum of Y w,    M = softmax over sources of A V',    loss = |S - X M|^2

In use, the paper finds the attractors by k-means or takes fixed ones, having seen that they hardly move from
mix to mix. Here they are those of training, so that each has its source's name; `iterations` of k-means may
move them from there. For each cell the magnitudes' difference is divided by the level of the mix.

It is trained by its own loss; a recipe's objective does not matter. The paper states no count of parameters;
four layers of 600 units, read as 300 a direction, and 20 numbers a cell come to 9.1 million. `music` is for
four sources in stereo at 44.1 kHz.
"""

from dataclasses import dataclass, replace

from torch import Tensor

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
class DeepAttractorConfig(NetworkConfig):
    """Sizes of a deep attractor network, those of the paper by default; `iterations` of k-means."""

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 8000
    channels: int = 1
    window_seconds: float = 4.0
    window: int = 256
    hop: int = 64
    hidden: int = 300
    layers: int = 4
    dimensions: int = 20
    iterations: int = 0


PAPER = DeepAttractorConfig()
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
    ),
    "tiny": replace(PAPER, window_seconds=0.25, window=128, hop=64, hidden=24, layers=1, dimensions=8),
}


def build(config: DeepAttractorConfig) -> "DeepAttractor":
    """An untrained network."""
    return DeepAttractor(config)


class DeepAttractor(SelfMeasuringNetwork):
    """Masks from what draws cells to it."""

    def __init__(self, config: DeepAttractorConfig) -> None:
        super().__init__(config)
        self.iterations = config.iterations
        self.embedding = CellEmbedding(config, unit=False)
        self.attractors = NamedCentres(len(config.sources), config.dimensions)

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        stft = self.embedding.stft
        spectra = stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs().mean(dim=1)
        points = self.embedding(magnitudes)  # (batch, cells, dimensions)
        attractors = soft_k_means(
            points, loudness(magnitudes), self.attractors(mix.shape[0]), 1.0, self.iterations, unit=False
        )
        masks = masks_of(shares_of(points, attractors, 1.0), stft.bins)
        estimates: Tensor = stft.synthesise(masks[:, :, None] * spectra[:, None], mix.shape[-1])
        return estimates

    def own_loss(self, mix: Tensor, stems: Tensor) -> Tensor:
        """The mean square by which masked magnitudes miss the stems', by the attractors of the stems."""
        stft = self.embedding.stft
        magnitudes = stft.analyse(mix).abs().mean(dim=1)
        wanted = stft.analyse(stems).abs().mean(dim=2)  # (batch, sources, bins, steps)
        points = self.embedding(magnitudes)
        belongs = dominant(wanted) * loudness(magnitudes)[:, :, None]
        if self.training:
            self.attractors.follow(points, belongs)
        counts = belongs.sum(dim=1)[:, :, None]
        attractors = (belongs.transpose(1, 2) @ points) / counts.clamp(min=1)
        masks = masks_of(shares_of(points, attractors, 1.0), stft.bins)
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(1, 2), keepdim=True)[:, None] + 1e-8
        return ((wanted - masks * magnitudes[:, None]).square() / level).mean()
