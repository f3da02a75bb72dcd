"""What every network is: a config, a module from mix to estimates, and for causal ones a step.

A network gives raw estimates. That they sum to the mix, that silence stays silence, windows, devices
and averaging over offsets are the business of `network_separator`, so that no network has to repeat them.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.short_synthesis import ShortSynthesis

State = dict[str, Tensor]
"""All that a causal network remembers from one step to the next, by name; batch is the first dimension."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What all networks state; an architecture's config adds its sizes.

    A network that is not causal is given `window_seconds` at once, in windows that overlap by `overlap`
    of their length.
    """

    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    sample_rate: int = 44100
    channels: int = 2
    window_seconds: float = 8.0
    overlap: float = 0.25

    def __post_init__(self) -> None:
        if len(self.sources) < 2 or len(set(self.sources)) < len(self.sources):
            raise ValueError(f"sources must be two or more different names, got {self.sources}")
        if self.sample_rate < 1 or self.channels < 1:
            raise ValueError(
                f"sample_rate and channels must be at least 1, got {self.sample_rate} and {self.channels}"
            )
        if self.window_seconds <= 0 or not 0 < self.overlap <= 0.9:
            raise ValueError(
                "window_seconds must be above 0 and overlap between 0 and 0.9, "
                f"got {self.window_seconds} and {self.overlap}"
            )


class Network(nn.Module):
    """A network that sees a whole window.

    Subclasses pad and trim inside `forward`, so that any number of frames from one up is welcome.
    """

    __jit_unused_properties__ = (
        "architecture",
        "sources",
        "sample_rate",
        "channels",
        "estimated",
        "device",
    )

    extends: tuple[str, ...] = ()
    """Architectures whose weights training may begin with."""

    added: tuple[str, ...] = ()
    """Names of the modules which those lack, and which then begin as they are made."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def architecture(self) -> str:
        """Its name: that of the module which defines the network."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all stems."""
        return self.config.sources

    @property
    def sample_rate(self) -> int:
        """The rate, in Hz, of mix and stems."""
        return self.config.sample_rate

    @property
    def channels(self) -> int:
        """Channels of mix and stems."""
        return self.config.channels

    @property
    def estimated(self) -> tuple[str, ...]:
        """Names of the stems that `forward` gives: all sources, or all but the last.

        Where the last is left out, it is what the others leave of the mix.
        """
        return self.config.sources

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def compilable(self) -> tuple[nn.Module, ...]:
        """Parts that a compiler makes faster in training; an architecture names them."""
        return ()

    @abstractmethod
    def forward(self, mix: Tensor) -> Tensor:
        """Raw estimates of `estimated`.

        Shape: `(batch, channels, frames)` to `(batch, estimated, channels, frames)`, float32.
        """


class SelfMeasuringNetwork(Network):
    """A network whose paper trains it by a loss of its own, in place of a distance of estimates and stems."""

    @abstractmethod
    def own_loss(self, mix: Tensor, stems: Tensor) -> Tensor:
        """The loss of a batch, a single number.

        Shape: `(batch, channels, frames)` and `(batch, sources, channels, frames)`, the stems of the mix.
        """


class CausalNetwork(Network):
    """A network that steps: `hop` frames in, `hop` frames out that are `latency` frames late.

    `tail` is for how many frames beyond `latency` an input may still matter; a recurrent network states
    after how many it may be taken as forgotten.
    """

    hop: int
    latency: int
    tail: int

    @abstractmethod
    def state(self, batch: int) -> State:
        """What the network remembers before frame 0."""

    @abstractmethod
    def step(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        """Estimates for the next hop and the new state; the given state is left as it was.

        Shape: `(batch, channels, hop)` to `(batch, estimated, channels, hop)`.
        """

    def continued(self, mix: Tensor, state: State) -> tuple[Tensor, State]:
        """The steps of a part of a stream, in one piece, `latency` frames late, and the state behind it.

        Shape: `(batch, channels, n * hop)` to `(batch, estimated, channels, n * hop)`. A subclass may compute
        the same in parallel.
        """
        parts = []
        for at in range(0, mix.shape[-1], self.hop):
            stems, state = self.step(mix[..., at : at + self.hop], state)
            parts.append(stems)
        return torch.cat(parts, dim=-1), state

    def forward(self, mix: Tensor) -> Tensor:
        """All steps of a signal, the latency taken out; a subclass may compute the same in parallel.

        Shape: `(batch, channels, frames)` to `(batch, estimated, channels, frames)`.
        """
        frames = mix.shape[-1]
        room = -(-(frames + self.latency) // self.hop) * self.hop
        padded = nn.functional.pad(mix, (0, room - frames))
        stems, _ = self.continued(padded, self.state(mix.shape[0]))
        return stems[..., self.latency : self.latency + frames]


class SpectralNetwork(CausalNetwork):
    """A causal network that is a `middle` between windows of low delay, so that another engine can run it.

    The middle has no Fourier transform in it. It maps a step's spectra, `(batch, steps, bins, channels, 2)`,
    and the parts of the state that `remembered` names, in that order, to spectra of the estimates, `(batch,
    steps, estimated, bins, channels, 2)` with or without the highest bins, and the same parts of the state.
    """

    transform: ShortSynthesis
    remembered: tuple[str, ...]

    @property
    @abstractmethod
    def middle(self) -> nn.Module:
        """From spectra and state to spectra and state."""
