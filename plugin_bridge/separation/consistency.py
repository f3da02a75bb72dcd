"""Making estimates sum to the mix (law 1)."""

import numpy as np
from numpy.typing import NDArray


def close(estimates: NDArray[np.floating], mix: NDArray[np.floating]) -> NDArray[np.float32]:
    """All stems, of which the last is what `estimates` leave of `mix`.

    Shape: `(sources - 1, channels, frames)` and `(channels, frames)` to `(sources, channels, frames)`.
    """
    stems = np.empty((len(estimates) + 1, *mix.shape), np.float32)
    stems[:-1] = estimates
    # The difference is taken from the rounded stems, so that float32 readers get back the mix itself.
    stems[-1] = mix - stems[:-1].sum(axis=0, dtype=np.float64)
    return stems


def share(estimates: NDArray[np.floating], mix: NDArray[np.floating]) -> NDArray[np.float32]:
    """All stems, moved by equal parts of what they lack to sum to `mix`.

    The least-squares projection on the stems that sum to the mix (Wisdom et al., "Differentiable
    consistency constraints for improved deep speech enhancement", 2019, eq. 8).

    Shape: `(sources, channels, frames)` and `(channels, frames)` to `(sources, channels, frames)`.
    """
    lack = mix - estimates.sum(axis=0, dtype=np.float64)
    stems: NDArray[np.float32] = (estimates + lack / len(estimates)).astype(np.float32)
    return stems
