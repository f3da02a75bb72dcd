"""One stream of audio through a stem board: any block in, everything back in order."""

from collections.abc import Sequence

import numpy as np

from plugin_bridge.board.grid import LARGEST_GRID, SMALLEST_GRID
from plugin_bridge.board.rack import Mixed, Rack
from plugin_bridge.board.strip import Strip
from plugin_bridge.separation.gate import finite
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import Audio, Separator, StreamingSeparator
from plugin_bridge.separation.windowed import Windowed, in_windows


def grid_for(hop: int) -> int:
    """The largest part of a hop, up to `LARGEST_GRID` frames, that effects can step in."""
    parts = (part for part in range(min(hop, LARGEST_GRID), SMALLEST_GRID - 1, -1) if hop % part == 0)
    return next(parts, hop)


class Session:
    """A separator with its strips and master, running.

    What is pushed comes back aligned with its first frame: after n frames in, `n - latency` frames have
    come out, whatever the blocks were, and `flush` gives the rest. Memory does not grow with time; a
    whole-signal separator runs in windows of a stated length.

    Raises `ValueError` for more than two channels or a channel count that the separator does not take.
    """

    def __init__(
        self, separator: Separator, strips: Sequence[Strip], master: Strip, sample_rate: float, channels: int
    ) -> None:
        self._mono = channels == 1 and separator.channels == 2
        if not self._mono and channels != separator.channels:
            raise ValueError(
                f"audio must have {' or '.join(str(n) for n in range(1, separator.channels + 1))} channels, got "
                f"{channels}; choose or mix down two of them"
            )
        self.channels, self.sample_rate = channels, sample_rate
        hosted = at_rate(separator, sample_rate)
        self._hosted: StreamingSeparator | Windowed = (
            hosted if isinstance(hosted, StreamingSeparator) else in_windows(hosted)
        )
        self._stream = self._hosted.stream()
        self._hop = self._stream.hop
        self._rack = Rack(strips, master, sample_rate, separator.channels, grid_for(self._hop))
        self._late = self._stream.latency + self._rack.latency
        self._clear()

    @property
    def latency(self) -> int:
        """Frames that stay inside until `flush`: the stream's, the effects', and the wait for a whole hop."""
        return self._late + self._hop - 1

    def push(self, block: Audio) -> Mixed:
        """All that the audio so far allows. Shape: `(channels, frames)` to `frames - latency` in all."""
        self._rack.follow_edits()
        self._pushed += block.shape[1]
        self._run(np.repeat(block, 2, axis=0) if self._mono else block)
        return self._give(max(0, self._pushed - self.latency) - self._given)

    def flush(self) -> Mixed:
        """What is still inside, so that as many frames came out as went in; then starts anew."""
        self._rack.follow_edits()
        self._run(np.zeros((self._hosted.channels, self.latency), np.float32))
        rest = self._give(self._pushed - self._given)
        self.reset()
        return rest

    def whole(self, audio: Audio) -> Mixed:
        """A whole signal through a fresh stream. Shape: `(channels, frames)` to the same number of frames."""
        self.reset()
        self._rack.follow_edits()
        self._pushed = audio.shape[1]
        padded = np.pad(audio, ((0, 0), (0, self.latency)))
        self._run(np.repeat(padded, 2, axis=0) if self._mono else padded)
        mixed = self._give(self._pushed)
        self.reset()
        return mixed

    def reset(self) -> None:
        """Forget everything, as if the session were new."""
        self._stream.reset()
        self._rack.reset()
        self._clear()

    def _clear(self) -> None:
        form = (len(self._hosted.sources), self._hosted.channels)
        self._waiting = np.zeros((form[1], 0), np.float32)
        self._ready = Mixed(np.zeros((*form, 0), np.float32), np.zeros((form[1], 0), np.float32))
        self._pushed = self._given = 0
        self._skip = self._late

    def _run(self, block: Audio) -> None:
        """Separate and mix every hop that this block completes."""
        waiting = np.concatenate((self._waiting, block), axis=1) if self._waiting.size else block
        hop, hops = self._hop, waiting.shape[1] // self._hop
        self._waiting = waiting[:, hops * hop :].copy()
        if not hops:
            return
        stems = np.empty((len(self._hosted.sources), self._hosted.channels, hops * hop), np.float32)
        for at in range(0, hops * hop, hop):
            stems[..., at : at + hop] = self._stream.process(waiting[:, at : at + hop])
        made = self._rack.process(stems)
        drop = min(self._skip, hops * hop)
        self._skip -= drop
        fresh = Mixed(made.stems[..., drop:], made.mix[:, drop:])
        self._ready = _joined(self._ready, fresh) if self._ready.mix.size else fresh

    def _give(self, frames: int) -> Mixed:
        stems, mix = self._ready
        self._given += frames
        self._ready = Mixed(stems[..., frames:], mix[:, frames:])
        out = Mixed(stems[..., :frames], mix[:, :frames])
        if self._mono:
            return Mixed(out.stems.mean(axis=1, keepdims=True), out.mix.mean(axis=0, keepdims=True))
        return out


def _joined(first: Mixed, second: Mixed) -> Mixed:
    return Mixed(
        np.concatenate((first.stems, second.stems), axis=2), np.concatenate((first.mix, second.mix), axis=1)
    )


def whole_signal(separator: Separator, strips: Sequence[Strip], master: Strip, rate: float, audio: Audio) -> Mixed:
    """A whole signal through a separator that cannot stream, then through the strips.

    Shape: `(channels, frames)`, mono as dual mono, to the same number of frames.
    """
    mono = audio.shape[0] == 1 and separator.channels == 2
    stereo, _ = finite(np.repeat(audio, 2, axis=0) if mono else audio)
    stems = at_rate(separator, rate).separate(stereo)
    rack = Rack(strips, master, rate, separator.channels, LARGEST_GRID)
    frames = audio.shape[1]
    room = -(-(frames + rack.latency) // LARGEST_GRID) * LARGEST_GRID
    mixed = rack.process(np.pad(stems, ((0, 0), (0, 0), (0, room - frames))))
    cut = slice(rack.latency, rack.latency + frames)
    if mono:
        return Mixed(mixed.stems[..., cut].mean(axis=1, keepdims=True), mixed.mix[:, cut].mean(axis=0, keepdims=True))
    return Mixed(mixed.stems[..., cut], mixed.mix[:, cut])
