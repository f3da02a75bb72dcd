"""One stream of audio through a stem board: any block in, everything back in order."""

from collections.abc import Sequence

import numpy as np

from plugin_bridge.board.grid import LARGEST_GRID, SMALLEST_GRID
from plugin_bridge.board.rack import Mixed, Rack
from plugin_bridge.board.strip import Strip
from plugin_bridge.separation.gate import finite
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import Audio, Separator, Stems, StreamingSeparator
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
        self._mono = check_channels(separator, channels)
        self.channels, self.sample_rate = channels, sample_rate
        hosted = at_rate(separator, sample_rate)
        self._hosted: StreamingSeparator | Windowed = (
            hosted if isinstance(hosted, StreamingSeparator) else in_windows(hosted)
        )
        self._stream = self._hosted.stream()
        self._hop = self._stream.hop
        self._rack = Rack(strips, master, sample_rate, channels, grid_for(self._hop))
        self._pushed = self._given = self._dropped = 0
        self._ready: Stems
        self._clear()

    @property
    def latency(self) -> int:
        """Frames that stay inside until `flush`: the stream's, the effects', and the wait for a whole hop."""
        if not self._pushed:
            self._follow_edits()
        return self._late + self._hop - 1

    @property
    def _late(self) -> int:
        return self._stream.latency + self._rack.latency

    def _follow_edits(self) -> None:
        self._rack.follow_edits(running=self._pushed > 0)

    def push(self, block: Audio) -> Mixed:
        """All that the audio so far allows. Shape: `(channels, frames)` to `frames - latency` in all."""
        self._follow_edits()
        self._pushed += block.shape[1]
        self._run(block)
        return self._give(max(0, self._pushed - self.latency) - self._given)

    @property
    def hop(self) -> int:
        """Frames in which the separator steps."""
        return self._hop

    @property
    def stream_latency(self) -> int:
        """Frames by which the separator's stream, its rate adapter included, is late after a hop."""
        return self._stream.latency

    @property
    def strips_latency(self) -> int:
        """Frames by which the strips and the master are late."""
        return self._rack.latency

    def advance(self, block: Audio) -> Stems:
        """All that whole hops give at once, for one who keeps time: n frames in, n less both latencies out.

        Shape: `(channels, n * hop)` to `(sources + 1, channels, frames)`, the mix in the last row.
        """
        self._follow_edits()
        self._pushed += block.shape[1]
        self._run(block)
        rows: Stems = self._ready
        self._ready = rows[..., :0]
        self._given += rows.shape[2]
        return rows

    def flush(self) -> Mixed:
        """What is still inside, so that as many frames came out as went in; then starts anew."""
        self._follow_edits()
        self._run(np.zeros((self.channels, self.latency), np.float32))
        rest = self._give(self._pushed - self._given)
        self.reset()
        return rest

    def whole(self, audio: Audio) -> Mixed:
        """A whole signal through a fresh stream. Shape: `(channels, frames)` to the same number of frames."""
        self.reset()
        self._run(np.pad(audio, ((0, 0), (0, self.latency))))
        mixed = self._give(audio.shape[1])
        self.reset()
        return mixed

    def reset(self) -> None:
        """Forget everything, as if the session were new."""
        self._stream.reset()
        self._rack.reset()
        self._clear()

    def _clear(self) -> None:
        rows = len(self._hosted.sources) + 1
        self._waiting = np.zeros((self.channels, 0), np.float32)
        self._ready = np.zeros((rows, self.channels, 0), np.float32)
        self._pushed = self._given = self._dropped = 0

    def _run(self, block: Audio) -> None:
        """Separate and mix every hop that this block completes."""
        waiting = np.concatenate((self._waiting, block), axis=1) if self._waiting.size else block
        hop = self._hop
        frames = waiting.shape[1] // hop * hop
        if self._waiting.size or frames < waiting.shape[1]:
            self._waiting = waiting[:, frames:].copy()
        if not frames:
            return
        # The stems, and in the last row the mix.
        rows = np.empty((len(self._ready), self.channels, frames), np.float32)
        for at in range(0, frames, hop):
            rows[:-1, :, at : at + hop] = self._separated(waiting[:, at : at + hop])
        self._rack.process(rows)
        drop = min(self._late - self._dropped, frames)
        if drop:
            self._dropped += drop
            rows = rows[..., drop:]
        self._ready = np.concatenate((self._ready, rows), axis=2) if self._ready.size else rows

    def _separated(self, block: Audio) -> Stems:
        """The next hop of every stem; mono enters a stereo separator on both sides."""
        if not self._mono:
            return self._stream.process(block)
        both: Stems = self._stream.process(np.repeat(block, 2, axis=0))
        mono: Stems = both.mean(axis=1, keepdims=True)
        return mono

    def _give(self, frames: int) -> Mixed:
        out, self._ready = self._ready[..., :frames], self._ready[..., frames:]
        self._given += frames
        return Mixed(out[:-1], out[-1])


def whole_signal(
    separator: Separator, strips: Sequence[Strip], master: Strip, rate: float, audio: Audio
) -> Mixed:
    """A whole signal through a separator that cannot stream, then through the strips.

    Shape: `(channels, frames)`, mono as dual mono, to the same number of frames. Raises as `Session`.
    """
    mono = check_channels(separator, len(audio))
    stereo, _ = finite(np.repeat(audio, 2, axis=0) if mono else audio)
    stems = at_rate(separator, rate).separate(stereo)
    if mono:
        stems = stems.mean(axis=1, keepdims=True)
    channels, frames = audio.shape
    rack = Rack(strips, master, rate, channels, LARGEST_GRID)
    room = -(-(frames + rack.latency) // LARGEST_GRID) * LARGEST_GRID
    rows = np.zeros((len(stems) + 1, channels, room), np.float32)
    rows[:-1, :, :frames] = stems
    rack.process(rows)
    out = rows[..., rack.latency : rack.latency + frames]
    return Mixed(out[:-1], out[-1])


def check_channels(separator: Separator, channels: int) -> bool:
    """Whether audio of so many channels must enter as dual mono. Raises `ValueError` for other misfits."""
    if channels == 1 and separator.channels == 2:
        return True
    if channels != separator.channels:
        takes = "mono or stereo" if separator.channels == 2 else f"{separator.channels}-channel"
        raise ValueError(
            f"audio must be {takes}, got {channels} channels; choose or mix down what is to be separated"
        )
    return False
