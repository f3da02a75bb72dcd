"""Multiple low-rank representation (MLRR) of Yang, "Low-rank representation of both singing voice and music
accompaniment via learned dictionaries", ISMIR 2013.

The magnitude spectrogram X of a mix is represented by dictionaries D, one for each source, which were learned
from clean stems; both representations Z are of low rank, and what neither explains, E, is sparse:

    minimise  sum over s of |Z[s]|*  +  rest_weight |E|1    so that    X = sum over s of D[s] Z[s] + E

Stems are D[s] Z[s] with the phase of the mix. The dictionaries are learned by sparse coding, each for its own
stem: minimise |X[s] - D[s] A|^2 / 2 + sparsity |A|1 over codes A and atoms of unit length. The paper does
so by Mairal et al., "Online dictionary learning for sparse coding", ICML 2009; here the training loop's
optimiser takes the steps in D. This is no neural network, but its weights are learned, kept and checked as
those of one, so it has its place among them. Its loss is its own; a recipe's objective does not matter.

The paper's full text was not at hand: the number of atoms, the transform and the weights are ours;
`rest_weight` is the best of ten on six of MIR-1K's training clips, with atoms learned on forty others. The
atoms are all that is learned, 102 600 numbers.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.low_rank import low_rank_codes, sparse_codes
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import NetworkConfig, SelfMeasuringNetwork

_CODING_ITERATIONS = 50


@dataclass(frozen=True, kw_only=True)
class MlrrConfig(NetworkConfig):
    """Sizes and weights of MLRR.

    `sparsity` is in units of 1 / sqrt(bins) for columns of length 1, as Mairal et al. state theirs.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 16000
    channels: int = 1
    window: int = 1024
    hop: int = 256
    atoms: int = 100
    sparsity: float = 1.2
    rest_weight: float = 0.5
    iterations: int = 60


PAPER = MlrrConfig()
PRESETS = {
    "paper": PAPER,
    "tiny": replace(
        PAPER, sample_rate=8000, window_seconds=0.25, window=128, hop=64, atoms=12, iterations=30
    ),
}


def build(config: MlrrConfig) -> "Mlrr":
    """Dictionaries of noise, to be trained."""
    return Mlrr(config)


class Mlrr(SelfMeasuringNetwork):
    """One dictionary for each source, and the low-rank representation of a mix by all of them."""

    def __init__(self, config: MlrrConfig) -> None:
        super().__init__(config)
        self.stft = Stft(config.window, config.hop)
        self.rest_weight, self.iterations = config.rest_weight, config.iterations
        self.sparsity = config.sparsity * self.stft.bins**-0.5
        self.atoms = nn.Parameter(torch.rand(len(config.sources), self.stft.bins, config.atoms))

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self.estimates(mix)
        else:  # scripting leaves out a branch, but not what follows one
            # Networks run in half precision on a graphics processor, where no eigenvalues are to be had.
            with torch.autocast(mix.device.type, enabled=False):
                return self.estimates(mix)

    def estimates(self, mix: Tensor) -> Tensor:
        """Shape: as `forward`."""
        batch, channels, frames = mix.shape
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs().flatten(0, 1)
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-5
        dictionaries = unit(self.atoms)
        codes = low_rank_codes(magnitudes / level, dictionaries, self.rest_weight, self.iterations)
        found = torch.relu(dictionaries @ codes) * level[:, None]  # (batch * channels, sources, bins, steps)
        found = found.reshape(batch, channels, -1, spectra.shape[2], spectra.shape[3]).transpose(1, 2)
        phases = torch.sgn(spectra)[:, None]
        estimates: Tensor = self.stft.synthesise(found * phases, frames)
        return estimates

    def own_loss(self, mix: Tensor, stems: Tensor) -> Tensor:
        """What the dictionaries, each by sparse codes, leave of their stems, as a share of the energy."""
        with torch.autocast(mix.device.type, enabled=False):
            return self.unexplained(stems)

    def unexplained(self, stems: Tensor) -> Tensor:
        """Shape: `(batch, sources, channels, frames)` to a single number."""
        magnitudes = self.stft.analyse(stems).abs()  # (batch, sources, channels, bins, steps)
        columns = magnitudes.permute(1, 3, 0, 2, 4).flatten(2)  # (sources, bins, all steps)
        level = columns.square().sum(dim=1, keepdim=True).mean(dim=2, keepdim=True).sqrt() + 1e-5
        losses = [
            self.left(known / its, dictionary)
            for known, its, dictionary in zip(columns, level, unit(self.atoms), strict=True)
        ]
        return torch.stack(losses).mean()

    def left(self, columns: Tensor, dictionary: Tensor) -> Tensor:
        """Shape: `(bins, steps)` and `(bins, atoms)` to a single number."""
        codes = sparse_codes(columns, dictionary, self.sparsity, _CODING_ITERATIONS)
        return (columns - dictionary @ codes).square().sum(dim=0).mean()


def unit(atoms: Tensor) -> Tensor:
    """Atoms of length 1. Shape: `(sources, bins, atoms)` to the same."""
    return nn.functional.normalize(atoms, dim=1)
