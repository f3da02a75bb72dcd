"""The contract: a separator turns a mix into stems that sum back to the mix.

Five laws hold for every separator (`tests/test_laws.py` finds each one and checks all that apply):

1. **Null.** `separate(x).sum(0)` equals `x` to 1e-4, and a stream's sum equals the mix delayed by
   `latency`. What a trip to another sample rate loses goes to the last source.
2. **Streaming = offline.** A stream's output, advanced by `latency`, equals `separate` to 1e-5, the
   tail included. `separate` of a streaming separator therefore runs the stream.
3. **Causality.** Changing the input from frame n on changes no output of the stream before the hop
   that holds n, and none of `separate` before n - latency - hop.
4. **Independence.** Two streams never disturb each other; `reset()` equals a new stream.
5. **Finite.** NaN, Inf and magnitudes beyond `gate.LOUDEST` are taken as silence; no input gives NaN
   or Inf. Digital silence longer than the tail gives digital silence and resets the state.

The last of `sources` is the residual: it takes what no other source claims.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
"""One signal, `(channels, frames)`."""

Stems = NDArray[np.float32]
"""One signal for each source, `(sources, channels, frames)`."""


@runtime_checkable
class Separator(Protocol):
    """Anything that separates a whole signal."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems; the last one takes the residual."""

    @property
    def sample_rate(self) -> int:
        """The rate, in Hz, that `separate` expects."""

    @property
    def channels(self) -> int:
        """The number of channels that `separate` expects."""

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal.

        Shape: `(channels, frames)` to `(sources, channels, frames)`.
        """


@runtime_checkable
class Stream(Protocol):
    """The running state of one separation, fed hop by hop."""

    @property
    def hop(self) -> int:
        """Frames that each `process` takes and gives, exactly."""

    @property
    def latency(self) -> int:
        """Frames by which the output is late, constant; algorithmic latency is `hop + latency`."""

    def process(self, block: Audio) -> Stems:
        """Separate the next hop; what comes out belongs to the input of `latency` frames ago.

        Shape: `(channels, hop)` to `(sources, channels, hop)`.
        """

    def reset(self) -> None:
        """Forget everything, as if the stream were new."""


@runtime_checkable
class StreamingSeparator(Separator, Protocol):
    """A separator that also runs hop by hop."""

    def stream(self) -> Stream:
        """A fresh state, independent of every other."""


@runtime_checkable
class EstimatingSeparator(StreamingSeparator, Protocol):
    """A network's separator, whose estimates can be had before they are made to sum to the mix."""

    def raw_estimates(self, mix: Audio) -> Stems:
        """What the network itself gives, for those who score it.

        A source that the network leaves out is what the others leave.
        Shape: `(channels, frames)` to `(sources, channels, frames)`.
        """
