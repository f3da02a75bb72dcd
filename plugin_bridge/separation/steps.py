"""A causal network's stream, whatever engine runs its steps, and what is made of raw estimates."""

from typing import Protocol

import numpy as np

from plugin_bridge.separation.consistency import close, share
from plugin_bridge.separation.gate import silent_for
from plugin_bridge.separation.separator import Audio, Stems


class Engine(Protocol):
    """The running state of one causal network."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all stems."""

    @property
    def channels(self) -> int:
        """The number of channels."""

    @property
    def hop(self) -> int:
        """Frames of a step."""

    @property
    def latency(self) -> int:
        """Frames by which the estimates are late."""

    @property
    def tail(self) -> int:
        """Frames, beyond `latency`, for which an input may still matter."""

    def step(self, block: Audio) -> Stems:
        """Raw estimates for the next hop, which the next step may overwrite.

        Shape: `(channels, hop)` to `(estimated, channels, hop)`, all sources or all but the last.
        """

    def reset(self) -> None:
        """Forget everything."""


class Steps:
    """An engine's steps, their stems summing to the mix of `latency` frames ago."""

    def __init__(self, engine: Engine) -> None:
        self.sources, self.channels = engine.sources, engine.channels
        self.hop, self.latency, self.tail = engine.hop, engine.latency, engine.tail
        self._engine = engine
        self._past: Audio = np.zeros((self.channels, self.latency + self.hop), np.float32)
        self._quiet = self.tail

    def process(self, block: Audio) -> Stems:
        """Shape: `(channels, hop)` to `(sources, channels, hop)`."""
        estimates = self._engine.step(block)
        if not np.isfinite(estimates).all():
            estimates = estimates.copy()  # may lie in what is reset
            self._engine.reset()  # a state that has overflowed would never recover by itself
        self._past[:, : self.latency] = self._past[:, self.hop :]
        self._past[:, self.latency :] = block
        heard = self._past[:, : self.hop]
        stems = consistent(estimates, heard, len(self.sources))
        quiet = silent_for(heard, self._quiet)
        self._quiet = int(quiet[-1])
        stems[..., quiet > self.tail] = 0
        return stems

    def reset(self) -> None:
        """Forget everything."""
        self._engine.reset()
        self._past[:] = 0
        self._quiet = self.tail


def completed(estimates: Stems, mix: Audio, sources: int) -> Stems:
    """All stems as they were estimated, a sample that is no number taken as silence.

    A source that is not estimated is what the others leave.
    Shape: `(estimated, channels, frames)` and `(channels, frames)` to `(sources, channels, frames)`.
    """
    estimates = _finite(estimates)
    if len(estimates) < sources:
        estimates = np.concatenate((estimates, (mix - estimates.sum(axis=0))[None]))
    return np.ascontiguousarray(estimates, np.float32)


def consistent(estimates: Stems, mix: Audio, sources: int) -> Stems:
    """All stems of a mix, which they sum to, an estimate that is no number taken as silence.

    Shape: as `completed`.
    """
    estimates = _finite(estimates)
    return close(estimates, mix) if len(estimates) < sources else share(estimates, mix)


def _finite(estimates: Stems) -> Stems:
    fine = np.isfinite(estimates)
    return estimates if fine.all() else np.where(fine, estimates, np.float32(0))
