"""A separator made of a network: windows or steps, devices, averages over offsets, stems that sum to the mix.

A network that sees whole windows runs through `windowed.Windowed`, a causal one hop by hop; in both cases
`separate` is the stream run through, so that live and offline are one engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plugin_bridge.separation.device import compute_device, half_precision
from plugin_bridge.separation.gate import GatedStream
from plugin_bridge.separation.networks.network import CausalNetwork, Network, State
from plugin_bridge.separation.separator import Audio, Stems, Stream
from plugin_bridge.separation.steps import Steps, completed, consistent
from plugin_bridge.separation.stream import run_through
from plugin_bridge.separation.windowed import Windowed

SHIFT_SECONDS = 0.5
"""The largest offset of the random-offset averaging."""

_CONTINUED_SECONDS = 8.0

_Whole = Callable[[Stems, Audio, int], Stems]
"""What makes all stems of a mix from a network's estimates, given how many sources there are."""

_BATCH = {"cpu": 1, "cuda": 16, "mps": 4}
"""Windows separated at once. A processor gains nothing from more than one, and one keeps the bits."""


class NetworkSeparator:
    """A network as a separator, on a compute device and ready to run.

    `shifts` above 1 averages estimates over that many random delays of the input up to `SHIFT_SECONDS`
    (Défossez et al., "Music source separation in the waveform domain", 2019, section 5.4), drawn from
    `seed`; it costs as many times the work, and a causal network takes none. `weights` is the sha256 of
    the file that the weights came from, None for a network that has only now been made.

    Raises `ValueError` for `shifts` below 1, or above 1 with a causal network.
    """

    def __init__(
        self,
        network: Network,
        *,
        device: str = "cpu",
        shifts: int = 1,
        seed: int = 0,
        weights: str | None = None,
    ) -> None:
        if shifts < 1 or (shifts > 1 and isinstance(network, CausalNetwork)):
            raise ValueError(
                f"shifts must be 1 or more, and 1 for a causal network, got {shifts}; leave them out"
            )
        self.network = network.to(compute_device(device)).eval().requires_grad_(False)
        self.shifts, self.seed, self.weights = shifts, seed, weights
        self.sources, self.channels = network.sources, network.channels
        self.sample_rate = network.sample_rate

    def with_shifts(self, shifts: int) -> "NetworkSeparator":
        """The same network, averaged over so many offsets. Raises as the constructor."""
        device = self.network.device.type
        return NetworkSeparator(
            self.network, device=device, shifts=shifts, seed=self.seed, weights=self.weights
        )

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        if isinstance(self.network, CausalNetwork):
            return GatedStream(Steps(_EagerSteps(self.network)))
        return self._windowed(consistent).stream()

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))

    def raw_estimates(self, mix: Audio) -> Stems:
        """What the network gives before the stems are made to sum to the mix, for those who score it.

        A source that the network leaves out is what the others leave. Shape: `(channels, frames)` to
        `(sources, channels, frames)`.
        """
        if isinstance(self.network, CausalNetwork):
            return completed(_continued(self.network, mix), mix, len(self.sources))
        return self._windowed(completed).separate(mix)

    def _windowed(self, whole: _Whole) -> Windowed:
        config = self.network.config
        window = max(2, round(config.window_seconds * config.sample_rate))
        hop = min(window - 1, max(1, round(window * (1 - config.overlap))))
        return Windowed(_Windows(self.network, self._offsets(), whole), window, hop)

    def _offsets(self) -> tuple[int, ...]:
        if self.shifts == 1:
            return (0,)
        most = round(SHIFT_SECONDS * self.sample_rate)
        return tuple(np.random.default_rng(self.seed).integers(0, most + 1, self.shifts).tolist())

    def _key(self) -> tuple[object, ...]:
        known = self.weights or id(self.network)
        return (self.network.architecture, self.network.config, known, self.shifts, self.seed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkSeparator) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True)
class _Windows:
    """Single windows through a network, `whole` making all stems of it; several at once on an accelerator."""

    network: Network
    offsets: tuple[int, ...]
    whole: _Whole

    @property
    def sources(self) -> tuple[str, ...]:
        return self.network.sources

    @property
    def sample_rate(self) -> int:
        return self.network.sample_rate

    @property
    def channels(self) -> int:
        return self.network.channels

    def separate(self, mix: Audio) -> Stems:
        stems: Stems = self.separate_windows(mix[None])[0]
        return stems

    def separate_windows(self, windows: Audio) -> Stems:
        """Shape: `(windows, channels, frames)` to `(windows, sources, channels, frames)`."""
        stems = np.zeros((len(windows), len(self.sources), *windows.shape[1:]), np.float32)
        # Digital silence has nothing to separate, whatever a network's biases make of it.
        sounding = np.flatnonzero(windows.any(axis=(1, 2)))
        at_once = _BATCH[self.network.device.type]
        for at in range(0, len(sounding), at_once):
            chosen = sounding[at : at + at_once]
            for which, estimates in zip(chosen, self._estimates(windows[chosen]), strict=True):
                stems[which] = self.whole(estimates, windows[which], len(self.sources))
        return stems

    @torch.inference_mode()
    def _estimates(self, windows: Audio) -> Stems:
        """Mean estimates over all offsets, `(windows, estimated, channels, frames)`."""
        mix = torch.tensor(windows, device=self.network.device)
        half = half_precision(self.network.device)
        estimates = self._averaged(mix, half)
        if half is not None and not bool(torch.isfinite(estimates).all()):
            estimates = self._averaged(mix, None)  # beyond the range of half precision
        made: Stems = estimates.cpu().numpy()
        return made

    def _averaged(self, mix: Tensor, half: torch.dtype | None) -> Tensor:
        with torch.autocast(mix.device.type, dtype=half, enabled=half is not None):
            total = self._delayed(mix, self.offsets[0])
            for offset in self.offsets[1:]:
                total = total + self._delayed(mix, offset)
        return total / len(self.offsets)

    def _delayed(self, mix: Tensor, offset: int) -> Tensor:
        estimates: Tensor = self.network(nn.functional.pad(mix, (offset, max(self.offsets) - offset)))
        return estimates[..., offset : offset + mix.shape[-1]].float()


class _EagerSteps:
    """A causal network's steps as PyTorch runs them, operation by operation."""

    def __init__(self, network: CausalNetwork) -> None:
        self.sources, self.channels = network.sources, network.channels
        self.hop, self.latency, self.tail = network.hop, network.latency, network.tail
        self._network = network
        self._state: State = {}
        self.reset()

    @torch.inference_mode()
    def step(self, block: Audio) -> Stems:
        """Shape: `(channels, hop)` to `(estimated, channels, hop)`."""
        given = torch.tensor(block[None], device=self._network.device)
        made, self._state = self._network.step(given, self._state)
        estimates: Stems = made[0].cpu().numpy()
        return estimates

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget everything."""
        self._state = self._network.state(1)


@torch.inference_mode()
def _continued(network: CausalNetwork, mix: Audio) -> Stems:
    """Estimates of a causal network over a whole signal, some seconds at a time, its state carried on."""
    hop, late, frames = network.hop, network.latency, mix.shape[-1]
    room = -(-(frames + late) // hop) * hop
    padded = np.pad(mix, ((0, 0), (0, room - frames)))
    step = hop * max(1, round(_CONTINUED_SECONDS * network.sample_rate / hop))
    state, parts = network.state(1), []
    for at in range(0, room, step):
        block = torch.tensor(padded[None, :, at : at + step], device=network.device)
        made, state = network.continued(block, state)
        parts.append(made[0].float().cpu().numpy())
    estimates: Stems = np.concatenate(parts, axis=-1)[..., late : late + frames]
    return estimates
