"""The rate adapter: a separator at any sample rate, still summing to the mix.

Whatever does not survive the trip to the separator's rate and back goes to the last source
(`x - up(down(x))`, law 1). A streaming separator keeps law 2 at every rate: its whole-signal form
runs the same short polyphase filters as its stream. A whole-signal separator uses soxr's best filter.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import soxr

from plugin_bridge.separation.consistency import close
from plugin_bridge.separation.gate import GatedStream, UngatedStream, check_mix, finite
from plugin_bridge.separation.polyphase import Polyphase
from plugin_bridge.separation.separator import Audio, Separator, Stems, Stream, StreamingSeparator
from plugin_bridge.separation.stream import run_through
from plugin_bridge.separation.windowed import WINDOW_SECONDS

HOP_GRID = 64
"""A stream at another rate steps in multiples of this, so that hosts' blocks fit it well."""

_MOST_PHASES = 1024


def at_rate(separator: Separator, sample_rate: float) -> Separator:
    """The separator itself, or an adapter that takes and gives audio at `sample_rate` Hz.

    Raises `ValueError` unless the rate is between 1 kHz and 1 MHz.
    """
    if not 1_000 <= sample_rate <= 1_000_000:
        raise ValueError(f"sample_rate must be between 1000 and 1000000 Hz, got {sample_rate:g}")
    if sample_rate == separator.sample_rate:
        return separator
    rate = round(sample_rate)
    return (
        AtRateStreaming(separator, rate)
        if isinstance(separator, StreamingSeparator)
        else AtRate(separator, rate)
    )


@dataclass(frozen=True)
class AtRate:
    """A whole-signal separator at another rate, by soxr's very high quality filter."""

    separator: Separator
    sample_rate: int

    @property
    def window_seconds(self) -> float:
        """How much the separator wants at once, see `windowed.in_windows`."""
        return getattr(self.separator, "window_seconds", WINDOW_SECONDS)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.separator.sources

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.separator.channels

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        check_mix(mix, self.channels)
        mix, silent = finite(mix)
        if silent:
            return np.zeros((len(self.sources), *mix.shape), np.float32)
        inner = _resample(mix, self.sample_rate, self.separator.sample_rate)
        stems = self.separator.separate(inner)[:-1]
        back = [_resample(stem, self.separator.sample_rate, self.sample_rate, mix.shape[1]) for stem in stems]
        return close(np.stack(back), mix)


def _resample(audio: Audio, old: int, new: int, frames: int | None = None) -> Audio:
    out: Audio = soxr.resample(audio.T, old, new, "VHQ").T
    if frames is not None:
        out = np.pad(out[:, :frames], ((0, 0), (0, max(0, frames - out.shape[1]))))
    return np.ascontiguousarray(out, np.float32)


@dataclass(frozen=True)
class AtRateStreaming:
    """A streaming separator at another rate, by short polyphase filters of known delay."""

    separator: StreamingSeparator
    sample_rate: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.separator.sources

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.separator.channels

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(_RateStream(self.separator, self.sample_rate))

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))


class _RateStream:
    """Down, inner stream, up; with the mix delayed alongside for the residual.

    With r host frames to an inner frame, an inner frame waits for `lead` host frames after its own
    (the first filter), for its hop to fill, for the inner latency, and for `lead` inner frames after
    it (the second filter); `latency` is the sum. Both filters place their output by exact fractions of
    r, so r itself may be rounded to few phases: the inner separator then hears the music at a pitch
    off by less than one part in a million, and the trip back undoes it.
    """

    def __init__(self, separator: StreamingSeparator, sample_rate: int) -> None:
        inner: UngatedStream = separator.stream()  # type: ignore[assignment]  # every stream of ours is gated
        r = Fraction(sample_rate, separator.sample_rate).limit_denominator(_MOST_PHASES)
        if r.numerator > _MOST_PHASES:
            r = 1 / Fraction(separator.sample_rate, sample_rate).limit_denominator(_MOST_PHASES)
        self.sources, self.channels = separator.sources, separator.channels
        self._inner = inner
        self._down = Polyphase(r, self.channels)
        self._up = Polyphase(1 / r, (len(self.sources) - 1) * self.channels)
        self.hop = HOP_GRID * ceil(inner.hop * r / HOP_GRID)
        self.latency = ceil(self._down.lead + (inner.hop - 1 + inner.latency + self._up.lead) * r)
        self.tail = ceil(inner.tail * r + self._down.lead + self._up.lead * r)
        self.reset()

    def reset(self) -> None:
        self._inner.reset()
        self._down.reset()
        self._up.reset()
        self._waiting = np.zeros((self.channels, 0), np.float32)
        self._skip = self._inner.latency
        self._ready = np.zeros((len(self.sources) - 1, self.channels, self.latency), np.float32)
        self._delayed = np.zeros((self.channels, self.latency), np.float32)

    def process(self, block: Audio) -> Stems:
        self._ready = np.concatenate((self._ready, self._up_stems(self._step(block))), axis=2)
        self._delayed = np.concatenate((self._delayed, block), axis=1)
        stems = close(self._ready[..., : self.hop], self._delayed[:, : self.hop])
        self._ready, self._delayed = self._ready[..., self.hop :], self._delayed[:, self.hop :]
        return stems

    def _step(self, block: Audio) -> list[Stems]:
        """The inner stream on every inner hop that this block completes."""
        waiting = np.concatenate((self._waiting, self._down.process(block)), axis=1)
        hop = self._inner.hop
        hops = waiting.shape[1] // hop
        self._waiting = waiting[:, hops * hop :]
        return [self._inner.process(waiting[:, k * hop : (k + 1) * hop])[:-1] for k in range(hops)]

    def _up_stems(self, parts: list[Stems]) -> Stems:
        """What the inner stems, their latency dropped, allow at the host's rate."""
        shape = (len(self.sources) - 1, self.channels)
        made = np.concatenate(parts, axis=2) if parts else np.zeros((*shape, 0), np.float32)
        drop = min(self._skip, made.shape[2])
        self._skip -= drop
        up = self._up.process(made[..., drop:].reshape(shape[0] * shape[1], -1))
        return up.reshape(*shape, -1)
