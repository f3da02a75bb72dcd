"""Separators that need the whole signal at once."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.consistency import close
from plugin_bridge.separation.gate import check_mix, finite, sounding
from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.separation.windowed import WINDOW_SECONDS


class WholeSignalSeparator(ABC):
    """A method that is given clean, sounding audio and gives all stems but the residual one."""

    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    window_seconds: ClassVar[float] = WINDOW_SECONDS

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal; digital silence at its ends stays silence and is not looked at.

        Shape: `(channels, frames)` to `(sources, channels, frames)`. Raises as `gate.check_mix`.
        """
        check_mix(mix, self.channels)
        mix, _ = finite(mix)
        stems = np.zeros((len(self.sources), *mix.shape), np.float32)
        where = sounding(mix)
        if where.stop > where.start:
            sound = mix[:, where]
            stems[..., where] = close(self.estimate(sound.astype(np.float64)), sound)
        return stems

    @abstractmethod
    def estimate(self, mix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate all sources but the last.

        Shape: `(channels, frames)` to `(sources - 1, channels, frames)`.
        """
