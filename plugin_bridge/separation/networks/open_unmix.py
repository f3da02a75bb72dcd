"""Open-Unmix of Stöter, Uhlich, Liutkus and Mitsufuji, "Open-Unmix - a reference implementation for music
source separation", JOSS 2019.

For each source, a linear layer narrows the magnitudes below 16 kHz of all channels to 512, a bidirectional
LSTM of three layers follows, with a skip around it, and two linear layers make a mask for all magnitudes.
In use, multichannel Wiener filtering makes the stems of the masked mix; in training it is left out.

Parameters have the published names and shapes, so that published weights of a target load (`load_target`).
They come to 8.90 million for each target, 35.6 million for four, as published for umxhq.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from plugin_bridge.errors import ModelError
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.layers.wiener_em import wiener_em
from plugin_bridge.separation.networks.network import Network, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class OpenUnmixConfig(NetworkConfig):
    """Sizes of Open-Unmix, those of umxhq by default.

    It looks at what lies below `bandwidth_hz`. `iterations` of the Wiener filter, each over `filter_steps`
    steps; with none, the phase is that of the mix.
    """

    window: int = 4096
    hop: int = 1024
    bandwidth_hz: float = 16000.0
    hidden: int = 512
    recurrent_layers: int = 3
    dropout: float = 0.4
    iterations: int = 1
    filter_steps: int = 300

    @property
    def seen_bins(self) -> int:
        """How many bins the network looks at."""
        return min(int(self.bandwidth_hz * self.window / self.sample_rate), self.window // 2) + 1


PAPER = OpenUnmixConfig()
PRESETS = {
    "umxhq": PAPER,
    "umxl": replace(PAPER, hidden=1024),
    "tiny": replace(
        PAPER,
        sample_rate=8000,
        window_seconds=0.5,
        window=256,
        hop=128,
        bandwidth_hz=3000.0,
        hidden=24,
        recurrent_layers=1,
        dropout=0.0,
    ),
}

STATED = {"umxhq": "8.9 M for each target"}

UNTRAINED_BUFFERS = {"sample_rate", "stft.window", "transform.0.window"}
"""What published files hold beside what is learned; it follows from the config."""


def build(config: OpenUnmixConfig) -> "OpenUnmix":
    """An untrained network."""
    return OpenUnmix(config)


class OpenUnmix(Network):
    """One mask network for each source, and the filter behind them."""

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__(config)
        self.iterations, self.filter_steps = config.iterations, config.filter_steps
        self.stft = Stft(config.window, config.hop)
        self.target_models = nn.ModuleDict({source: Target(config) for source in config.sources})

    def forward(self, mix: Tensor) -> Tensor:
        """Shape: `(batch, channels, frames)` to `(batch, sources, channels, frames)`."""
        spectra = self.stft.analyse(mix)  # (batch, channels, bins, steps)
        magnitudes = spectra.abs()
        masks = torch.stack([target(magnitudes) for target in self.target_models.values()], dim=1)
        estimates = masks * spectra[:, None]  # (batch, sources, channels, bins, steps)
        if self.iterations > 0 and not self.training:
            estimates = wiener_em(spectra, estimates, self.iterations, self.filter_steps)
        stems: Tensor = self.stft.synthesise(estimates, mix.shape[-1])
        return stems

    def load_target(self, source: str, weights: Mapping[str, Tensor]) -> None:
        """Take the published weights of one target.

        Raises `ModelError` for an unknown source, or names or shapes that are not those of this config.
        """
        if source not in self.target_models:
            known = ", ".join(self.target_models)
            raise ModelError(f"source must be one of {known}, got '{source}'")
        learned = {name: tensor for name, tensor in weights.items() if name not in UNTRAINED_BUFFERS}
        try:
            self.target_models[source].load_state_dict(learned)
        except RuntimeError as error:
            raise ModelError(
                f"weights of '{source}' must fit the config of {self.architecture}, got: {error}"
            ) from error


class Target(nn.Module):
    """The mask of one source; its parts keep the published names."""

    def __init__(self, config: OpenUnmixConfig) -> None:
        super().__init__()
        self.seen, bins, hidden = config.seen_bins, config.window // 2 + 1, config.hidden
        self.input_mean = nn.Parameter(torch.zeros(self.seen))
        self.input_scale = nn.Parameter(torch.ones(self.seen))
        self.fc1 = nn.Linear(self.seen * config.channels, hidden, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.lstm = nn.LSTM(
            hidden,
            hidden // 2,
            config.recurrent_layers,
            bidirectional=True,
            dropout=config.dropout if config.recurrent_layers > 1 else 0.0,
        )
        self.fc2 = nn.Linear(2 * hidden, hidden, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.fc3 = nn.Linear(hidden, bins * config.channels, bias=False)
        self.bn3 = nn.BatchNorm1d(bins * config.channels)
        self.output_scale = nn.Parameter(torch.ones(bins))
        self.output_mean = nn.Parameter(torch.ones(bins))

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Shape: `(batch, channels, bins, steps)` to the same."""
        batch, channels, bins, steps = magnitudes.shape
        x = magnitudes.permute(3, 0, 1, 2)[..., : self.seen]  # (steps, batch, channels, seen bins)
        x = (x + self.input_mean) * self.input_scale
        x = torch.tanh(self.bn1(self.fc1(x.reshape(steps * batch, channels * self.seen))))
        x = x.reshape(steps, batch, -1)
        x = torch.cat((x, self.lstm(x)[0]), dim=-1).flatten(0, 1)
        x = torch.relu(self.bn2(self.fc2(x)))
        x = self.bn3(self.fc3(x)).reshape(steps, batch, channels, bins)
        x = torch.relu(x * self.output_scale + self.output_mean)
        return x.permute(1, 2, 3, 0)
