"""Streams and block sizes: a whole signal through a stream, and any block in and out of a fixed hop."""

import numpy as np

from plugin_bridge.separation.gate import GatedStream, check_mix
from plugin_bridge.separation.separator import Audio, Stems, Stream

_MANY_HOPS = 32
"""Hops separated at once where that is faster; more would leave the processor's cache."""

_MANY_FRAMES = 2**21
"""Frames separated at once, at most, unless one hop has more; more would take memory for nothing."""


def whole_hops(stream: Stream, block: Audio) -> Stems:
    """Any number of whole hops through a stream, at once where it can.

    Shape: `(channels, n * hop)` to `(sources, channels, n * hop)`.
    """
    hop = stream.hop
    if block.shape[1] == hop:
        return stream.process(block)
    if isinstance(stream, GatedStream):
        return stream.process_hops(block)
    parts = [stream.process(block[:, at : at + hop]) for at in range(0, block.shape[1], hop)]
    return np.concatenate(parts, axis=2)


def run_through(stream: Stream, mix: Audio, channels: int, sources: int) -> Stems:
    """A whole signal through a fresh stream, its latency taken out.

    Shape: `(channels, frames)` to `(sources, channels, frames)`. Raises as `check_mix`.
    """
    check_mix(mix, channels)
    frames, latency = mix.shape[1], stream.latency
    if not frames:
        return np.zeros((sources, channels, 0), np.float32)
    stems = np.empty((sources, channels, frames), np.float32)
    most = min(_MANY_HOPS, max(1, _MANY_FRAMES // stream.hop))
    step = stream.hop * min(most, -(-(frames + latency) // stream.hop))
    block = np.empty((channels, step), np.float32)
    for start in range(0, frames + latency, step):
        piece = mix[:, start : start + step]
        if piece.shape[1] < step:
            block[:, : piece.shape[1]] = piece
            block[:, piece.shape[1] :] = 0
            piece = block
        out = whole_hops(stream, piece)
        into = start - latency
        if into + step > 0:
            skip = max(0, -into)
            kept = stems[..., into + skip : into + step]
            kept[...] = out[..., skip : skip + kept.shape[-1]]
    return stems


class Reblocked:
    """A stream fed with blocks of any size, that gives back blocks of the same size.

    It needs `hop - 1` frames more than the stream itself, whatever the blocks are, so that its
    `latency` is one constant.
    """

    def __init__(self, stream: Stream, channels: int, sources: int) -> None:
        self._stream = stream
        self.latency = stream.latency + stream.hop - 1
        self._waiting = np.zeros((channels, 0), np.float32)
        self._ready = np.zeros((sources, channels, stream.hop - 1), np.float32)

    def process(self, block: Audio) -> Stems:
        """Separate any number of frames. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        frames, hop = block.shape[1], self._stream.hop
        waiting = np.concatenate((self._waiting, block), axis=1)
        hops = waiting.shape[1] // hop
        parts = [self._stream.process(waiting[:, k * hop : (k + 1) * hop]) for k in range(hops)]
        ready = np.concatenate((self._ready, *parts), axis=2)
        self._waiting, self._ready = waiting[:, hops * hop :], ready[..., frames:]
        return ready[..., :frames]

    def reset(self) -> None:
        """Forget everything, as if the stream were new."""
        self._stream.reset()
        self._waiting = self._waiting[:, :0]
        self._ready = np.zeros((*self._ready.shape[:2], self._stream.hop - 1), np.float32)
