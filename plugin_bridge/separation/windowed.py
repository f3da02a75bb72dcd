"""The streaming form of whatever separates one window at a time."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.gate import GatedStream
from plugin_bridge.separation.separator import Audio, Separator, Stems, Stream
from plugin_bridge.separation.stream import run_through

WINDOW_SECONDS = 36.0
"""How much a whole-signal separator is given at once when a signal is too long to hold."""

FADE_SECONDS = 6.0
"""How much two such windows overlap."""

_HOP_GRID = 512


@runtime_checkable
class ManyWindows(Separator, Protocol):
    """A separator that takes several windows at once, and gives the same stems then."""

    def separate_windows(self, windows: Audio) -> Stems:
        """Shape: `(windows, channels, frames)` to `(windows, sources, channels, frames)`."""


def in_windows(separator: Separator) -> "Windowed":
    """A whole-signal separator in bounded memory: windows of `WINDOW_SECONDS` that overlap by `FADE_SECONDS`.

    A separator may state its own `window_seconds`.
    """
    seconds = getattr(separator, "window_seconds", WINDOW_SECONDS)
    hop = round((seconds - FADE_SECONDS) * separator.sample_rate / _HOP_GRID) * _HOP_GRID
    return Windowed(separator, hop + round(FADE_SECONDS * separator.sample_rate), hop)


@dataclass(frozen=True)
class Windowed:
    """A separator run on overlapping windows of `window` frames, every `hop`, cross-faded linearly.

    Each frame is final when the last window that holds it has been separated, so the look-ahead is
    `window - hop` and shows as the stream's `latency`. Memory is bounded by the window.

    Raises `ValueError` unless `0 < hop < window`.
    """

    separator: Separator
    window: int
    hop: int

    def __post_init__(self) -> None:
        if not 0 < self.hop < self.window:
            raise ValueError(f"hop must be between 0 and the window of {self.window} frames, got {self.hop}")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.separator.sources

    @property
    def sample_rate(self) -> int:
        """The rate in Hz."""
        return self.separator.sample_rate

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.separator.channels

    def fade(self) -> NDArray[np.float32]:
        """The weight of each frame of a window, `(window,)`; overlapping weights sum to one."""
        rise = np.minimum(np.arange(self.window), self.window - self.hop) + 0.5
        shape = np.minimum(rise, rise[::-1])
        # Windows meet every frame at all offsets of one remainder modulo the hop: normalise by those.
        total = np.zeros(self.hop)
        np.add.at(total, np.arange(self.window) % self.hop, shape)
        return (shape / total[np.arange(self.window) % self.hop]).astype(np.float32)

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(_WindowStream(self), many_hops=isinstance(self.separator, ManyWindows))

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))


class _WindowStream:
    def __init__(self, windowed: Windowed) -> None:
        self.sources, self.channels = windowed.sources, windowed.channels
        self.hop, self.latency = windowed.hop, windowed.window - windowed.hop
        self.tail = windowed.window  # a frame may matter in every window that holds it, and to its end
        self._separator, self._fade = windowed.separator, windowed.fade()
        self._past = np.zeros((self.channels, windowed.window), np.float32)
        self._overlap = np.zeros((len(self.sources), self.channels, windowed.window), np.float32)

    def process(self, block: Audio) -> Stems:
        """One hop, or several at once where the separator takes several windows."""
        hop, window = self.hop, self._past.shape[1]
        past = np.concatenate((self._past[:, hop:], block), axis=1)
        starts = range(0, block.shape[1], hop)
        separated = self._windows(np.stack([past[:, at : at + window] for at in starts]))
        self._past = past[:, -window:]
        return np.concatenate([self._next(stems) for stems in separated], axis=2)

    def _windows(self, windows: Audio) -> Stems:
        if isinstance(self._separator, ManyWindows):
            return self._separator.separate_windows(windows)
        return np.stack([self._separator.separate(window) for window in windows])

    def _next(self, stems: Stems) -> Stems:
        """Lay one separated window over those before it; what no later window holds is done."""
        hop = self.hop
        self._overlap += stems * self._fade
        done = self._overlap[..., :hop].copy()
        self._overlap[..., :-hop] = self._overlap[..., hop:]
        self._overlap[..., -hop:] = 0
        return done

    def reset(self) -> None:
        self._past.fill(0)
        self._overlap.fill(0)
