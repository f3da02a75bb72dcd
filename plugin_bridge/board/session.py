"""One stream of audio through a stem board: any block in, everything back in order."""

from functools import partial

import numpy as np

from plugin_bridge.board.backlog import Backlog
from plugin_bridge.board.grid import LARGEST_GRID, SMALLEST_GRID
from plugin_bridge.board.parameter_tree import MASTER, Key, Movable, Value, changes_delay, set_value
from plugin_bridge.board.rack import Mixed, Rack
from plugin_bridge.errors import PluginBridgeError, UnknownAddress
from plugin_bridge.separation.gate import finite
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import Audio, Separator, Stems, StreamingSeparator
from plugin_bridge.separation.stream import whole_hops
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

    def __init__(self, separator: Separator, board: Movable, sample_rate: float, channels: int) -> None:
        self._mono = check_channels(separator, channels)
        self.channels, self.sample_rate = channels, sample_rate
        hosted = at_rate(separator, sample_rate)
        self._hosted: StreamingSeparator | Windowed = (
            hosted if isinstance(hosted, StreamingSeparator) else in_windows(hosted)
        )
        self._stream = self._hosted.stream()
        self._hop = self._stream.hop
        self._board = board
        self._rack = Rack(board, sample_rate, channels, grid_for(self._hop))
        self._rows = len(self._hosted.sources) + 1
        self.refusals: list[str] = []
        """What scheduled changes came to nothing, and why; whoever reads it may empty it."""
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

    def move(self, key: Key, value: Value) -> int:
        """Move a parameter from the next hop on, and say for which frame of the input that counts.

        Raises as `set_value`, and `ValueError` for a parameter that changes how late an effect is.
        """
        self._check_delay(key)
        set_value(self._board, key, value)
        return self.next_frame(key)

    def next_frame(self, key: Key) -> int:
        """The first frame of the input for which a parameter can still be moved; changes before are made."""
        return self._rack.position - self._stream.latency - self._rack.delay_of(key)

    def schedule(self, frame: int, key: Key, value: Value) -> None:
        """Move a parameter for the audio that enters from a frame on; 0 is the first frame of the stream.

        Levels ramp from exactly there; effects change exactly there, those that lag at most a block of
        their grid before. A frame that is past counts as the next one that can be moved. What is refused
        when the time comes is told in `refusals`. Raises `UnknownAddress` for an unknown strip, and
        `ValueError` for a parameter that changes how late an effect is.
        """
        if key.strip != MASTER and key.strip not in self._board.strips:
            raise UnknownAddress(f"a strip must be one of the board's, got '{key.strip}'")
        self._check_delay(key)
        self._rack.schedule(frame + self._stream.latency, key, partial(self._change, key, value))

    def _check_delay(self, key: Key) -> None:
        if changes_delay(self._board, key):
            raise ValueError(
                f"a parameter must leave its effect as late as it is while a stream runs, got {key.said()}; "
                "set it before the stream begins"
            )

    def _change(self, key: Key, value: Value) -> None:
        try:
            set_value(self._board, key, value)
        except (PluginBridgeError, ValueError, TypeError) as error:
            self.refusals.append(str(error))

    def push(self, block: Audio) -> Mixed:
        """All that the audio so far allows. Shape: `(channels, frames)` to `frames - latency` in all."""
        return self._mixed(self._pushed_through(block))

    def push_mix(self, block: Audio) -> Audio:
        """As `push`, but the mix alone, which costs less; the stems of its frames are gone."""
        return self._ready.take(self._pushed_through(block), -1)

    def _pushed_through(self, block: Audio) -> int:
        """Take a block in; the number of frames to be given for it."""
        self._follow_edits()
        self._pushed += block.shape[1]
        self._run(block)
        # What is ready lags by what waits for a whole hop; what is given lags by a constant.
        return max(0, self._ready.frames - (self._hop - 1 - self._waiting.shape[1]))

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

    def advance(self, block: Audio) -> list[Audio]:
        """All that whole hops give at once, for one who keeps time: n frames in, n less both latencies out.

        Shape: `(channels, n * hop)` to `sources + 1` times `(channels, frames)`, the mix last.
        """
        self._follow_edits()
        self._pushed += block.shape[1]
        rows, drop = self._made(block)
        return [row[:, drop:] for row in rows]

    def flush(self) -> Mixed:
        """What is still inside, so that as many frames came out as went in; then starts anew."""
        self._follow_edits()
        rest = self._ready.frames + self._waiting.shape[1] + self._dropped
        self._run(np.zeros((self.channels, self.latency), np.float32))
        mixed = self._mixed(rest)
        self.reset()
        return mixed

    def whole(self, audio: Audio) -> Mixed:
        """A whole signal through a fresh stream. Shape: `(channels, frames)` to the same number of frames."""
        self.reset()
        self._run(np.pad(audio, ((0, 0), (0, self.latency))))
        mixed = self._mixed(audio.shape[1])
        self.reset()
        return mixed

    def reset(self) -> None:
        """Forget everything, and every change to come, as if the session were new."""
        self._stream.reset()
        self._rack.reset()
        self._clear()

    def _clear(self) -> None:
        self._waiting = np.zeros((self.channels, 0), np.float32)
        self._ready = Backlog(self.channels)
        self._pushed = self._dropped = 0

    def _run(self, block: Audio) -> None:
        """Separate and mix every hop that this block completes."""
        waiting = np.concatenate((self._waiting, block), axis=1) if self._waiting.size else block
        frames = waiting.shape[1] // self._hop * self._hop
        if self._waiting.size or frames < waiting.shape[1]:
            self._waiting = waiting[:, frames:].copy()
        if frames:
            rows, drop = self._made(waiting[:, :frames])
            self._ready.put(rows, drop)

    def _made(self, hops: Audio) -> tuple[list[Audio], int]:
        """The rows that whole hops yield, and how many frames of them lie before the first frame."""
        rows = self._rack.process(self._separated(hops))
        drop = min(self._late - self._dropped, hops.shape[1])
        self._dropped += drop
        return rows, drop

    def _separated(self, block: Audio) -> Stems:
        """The next hops of every stem; mono enters a stereo separator on both sides."""
        if not self._mono:
            return whole_hops(self._stream, block)
        both = whole_hops(self._stream, np.repeat(block, 2, axis=0))
        mono: Stems = both.mean(axis=1, keepdims=True)
        return mono

    def _mixed(self, frames: int) -> Mixed:
        out = self._ready.take_all(frames, self._rows)
        return Mixed(out[:-1], out[-1])


def whole_signal(separator: Separator, board: Movable, rate: float, audio: Audio) -> Mixed:
    """A whole signal through a separator that cannot stream, then through the strips.

    Shape: `(channels, frames)`, mono as dual mono, to the same number of frames. Raises as `Session`.
    """
    mono = check_channels(separator, len(audio))
    stereo, _ = finite(np.repeat(audio, 2, axis=0) if mono else audio)
    stems = at_rate(separator, rate).separate(stereo)
    if mono:
        stems = stems.mean(axis=1, keepdims=True)
    channels, frames = audio.shape
    rack = Rack(board, rate, channels, LARGEST_GRID)
    room = -(-(frames + rack.latency) // LARGEST_GRID) * LARGEST_GRID
    *strips, mix = rack.process(np.pad(stems, ((0, 0), (0, 0), (0, room - frames))))
    span = slice(rack.latency, rack.latency + frames)
    return Mixed(np.stack(strips)[..., span], mix[:, span])


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
