"""Deep recurrent networks with soft masks: Huang, Kim, Hasegawa-Johnson and Smaragdis, "Joint optimization of
masks and deep recurrent neural networks for monaural source separation", IEEE/ACM TASLP 23(12), 2015; and, by
`enhanced`, one like the enhanced feature network (EFN) of Yuan et al., "Enhanced feature network for monaural
singing voice separation", Speech Communication 106, 2019.

Both give a magnitude a[s] for each source s and bin, and mask the mix z within the network:

    y[s] = |a[s]| / (sum over sources of |a|) * z

`drnn_2` is Huang's best on MIR-1K: a step and its two neighbours, three layers of 1000 rectified units, the
second of which is recurrent; 5.57 million parameters. Its discriminative loss is not used here. Of `efn` only
what its abstract tells is followed: convolutions over time add few numbers to the magnitudes (the enhanced
sequence), highway layers and a bidirectional GRU make the enhanced feature of them, one layer of GRU
separates. Its sizes are ours, 5.32 million parameters. Neither paper is known to state a count.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class DrnnConfig(NetworkConfig):
    """Sizes of a deep recurrent network, Huang's by default.

    `context` steps before and after are seen with a step. With `enhanced`, there are `narrow` numbers beside
    the magnitudes and `highways` layers.
    """

    sources: tuple[str, ...] = ("vocals", "accompaniment")
    sample_rate: int = 16000
    channels: int = 1
    window: int = 1024
    hop: int = 512
    hidden: int = 1000
    context: int = 1
    enhanced: bool = False
    narrow: int = 256
    highways: int = 2


PAPER = DrnnConfig()
PRESETS = {
    "drnn_2": PAPER,
    "efn": replace(PAPER, enhanced=True, hidden=512),
    "tiny": replace(PAPER, sample_rate=8000, window_seconds=0.25, window=128, hop=64, hidden=96),
    "tiny_efn": replace(
        PAPER,
        sample_rate=8000,
        window_seconds=0.25,
        window=128,
        hop=64,
        enhanced=True,
        hidden=64,
        narrow=16,
    ),
}


def build(config: DrnnConfig) -> "Drnn":
    """An untrained network."""
    return Drnn(config)


class Drnn(Network):
    """Masks from what a recurrent network thinks the stems' magnitudes are."""

    def __init__(self, config: DrnnConfig) -> None:
        super().__init__(config)
        self.stft = Stft(config.window, config.hop)
        given, made = config.channels * self.stft.bins, config.hidden
        if config.enhanced:
            self.hidden: nn.Module = nn.Sequential(
                EnhancedSequence(given, config.narrow),
                Rectified(given + config.narrow, made),
                *(Highway(made) for _ in range(config.highways)),
                Recurrence(nn.GRU(made, made // 2, batch_first=True, bidirectional=True)),
                Recurrence(nn.GRU(made // 2 * 2, made, batch_first=True)),
            )
        else:
            self.hidden = nn.Sequential(
                Context(config.context),
                Rectified((2 * config.context + 1) * given, made),
                Recurrence(nn.RNN(made, made, nonlinearity="relu", batch_first=True)),
                Rectified(made, made),
            )
        self.magnitudes = nn.Linear(made, len(config.sources) * given)
        self.split = nn.Unflatten(2, (len(config.sources), config.channels, self.stft.bins))

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs()
        # The summand keeps silence from being divided by nothing.
        level = magnitudes.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-5
        steps = (magnitudes / level).flatten(1, 2).transpose(1, 2)  # (batch, steps, channels * bins)
        found = self.split(self.magnitudes(self.hidden(steps))).abs()
        masks = found / (found.sum(dim=2, keepdim=True) + 1e-8)
        masks = masks.permute(0, 2, 3, 4, 1)  # (batch, sources, channels, bins, steps)
        estimates: Tensor = self.stft.synthesise(masks * spectra[:, None], mix.shape[-1])
        return estimates


class Context(nn.Module):
    """Each step with `reach` neighbours on both sides; silence lies before the first and after the last."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, steps, width)` to `(batch, steps, (2 * reach + 1) * width)`."""
        steps = x.shape[1]
        padded = nn.functional.pad(x, (0, 0, self.reach, self.reach))
        return torch.cat([padded[:, at : at + steps] for at in range(2 * self.reach + 1)], dim=2)


class EnhancedSequence(nn.Module):
    """Steps with few numbers beside them that tell of them and their neighbours."""

    def __init__(self, given: int, narrow: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv1d(given, narrow, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(narrow, narrow, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, steps, given)` to `(batch, steps, given + narrow)`."""
        return torch.cat((x, self.look(x.transpose(1, 2)).transpose(1, 2)), dim=2)


class Rectified(nn.Module):
    """A linear layer and ReLU."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.linear = nn.Linear(given, made)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(..., given)` to `(..., made)`."""
        return torch.relu(self.linear(x))


class Highway(nn.Module):
    """`t relu(A x) + (1 - t) x` with a gate t that passes most of x at first (Srivastava et al., 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(..., width)` to the same."""
        return torch.lerp(x, torch.relu(self.change(x)), torch.sigmoid(self.gate(x)))


class Recurrence(nn.Module):
    """The outputs of a recurrent layer."""

    def __init__(self, layer: nn.RNN | nn.GRU) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(batch, steps, given)` to `(batch, steps, made)`."""
        made: Tensor = self.layer(x)[0]
        return made
