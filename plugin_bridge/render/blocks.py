"""Blocks on their way from the source to the stems, always with the source beside what came of it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, NamedTuple, Protocol

import numpy as np
import soxr

from plugin_bridge.render.encoding import Encoding
from plugin_bridge.separation.separator import Audio, Stems

SPOOL_FRAMES = 32768


class Block(NamedTuple):
    """Some frames of the source, `(channels, n)`, and of all signals to write, `(signals, channels, n)`."""

    source: Audio
    signals: Stems


class Separated(Protocol):
    """What a session answers: `stems` of `(sources, channels, m)` and `mix` of `(channels, m)`."""

    @property
    def stems(self) -> Stems:
        """The stems after their strips."""

    @property
    def mix(self) -> Audio:
        """Their sum through the master."""


class Session(Protocol):
    """One signal through a board: as many frames out as in, from the first on, some of them later."""

    def push(self, block: Audio) -> Separated:
        """Take some frames and give what is ready."""

    def flush(self) -> Separated:
        """Give the rest."""


class Board(Protocol):
    """What a render needs of a `StemBoard`."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""

    @property
    def is_neutral(self) -> bool:
        """Whether the stems still sum to the source: no level, effect or mute alters them."""

    def session(self, *, sample_rate: int, channels: int) -> Session:
        """A fresh state for one signal."""


def separated(
    blocks: Iterable[Audio],
    session: Session,
    rows: Sequence[int],
    *,
    channels: int,
    mix: bool,
    advance: Callable[[int], None],
) -> Iterator[Block]:
    """Run a source through a session; keeps the stems of `rows`, then the mix if it is asked for.

    `advance` is told of the frames read. Raises `RuntimeError` when the session gives too few or too many.
    """
    waiting = _Waiting(channels)
    for block in blocks:
        waiting.push(block)
        yield _beside(waiting, session.push(block), rows, mix)
        advance(block.shape[-1])
    yield _beside(waiting, session.flush(), rows, mix)
    if waiting.frames:
        raise RuntimeError(f"a session must give as many frames as it takes, got {waiting.frames} too few")


def _beside(waiting: "_Waiting", out: Separated, rows: Sequence[int], mix: bool) -> Block:
    stems = out.stems[list(rows)]
    signals = np.concatenate([stems, out.mix[None]]) if mix else stems
    return Block(waiting.pop(out.mix.shape[-1]), np.ascontiguousarray(signals, dtype=np.float32))


class _Waiting:
    """Frames of the source that the session has not answered yet."""

    def __init__(self, channels: int) -> None:
        self._nothing = np.zeros((channels, 0), np.float32)
        self._blocks: deque[Audio] = deque()
        self.frames = 0

    def push(self, block: Audio) -> None:
        self._blocks.append(block)
        self.frames += block.shape[-1]

    def pop(self, frames: int) -> Audio:
        if frames > self.frames:
            surplus = frames - self.frames
            raise RuntimeError(f"a session must give as many frames as it takes, got {surplus} too many")
        self.frames -= frames
        parts = [self._nothing]
        while frames:
            first = self._blocks.popleft()
            parts.append(first[:, :frames])
            if first.shape[-1] > frames:
                self._blocks.appendleft(first[:, frames:])
            frames -= parts[-1].shape[-1]
        return np.concatenate(parts, axis=-1)


def resampled(blocks: Iterable[Block], source_rate: int, sample_rate: int, frames: int) -> Iterator[Block]:
    """Everything at another rate (soxr VHQ), source included, so that the null still compares like with like.

    `frames` is the exact length of the result; soxr's own differs by a frame at most.
    """
    resampler = None
    shape: tuple[int, ...] = ()
    for block in blocks:
        stacked = np.concatenate([block.source[None], block.signals])
        shape = stacked.shape[:2]
        if resampler is None:
            resampler = soxr.ResampleStream(source_rate, sample_rate, shape[0] * shape[1], "float32", "VHQ")
        flat = resampler.resample_chunk(np.ascontiguousarray(stacked.reshape(shape[0] * shape[1], -1).T))
        frames -= len(flat)
        yield _unstacked(flat, shape)
    if resampler is not None:
        flat = resampler.resample_chunk(np.zeros((0, shape[0] * shape[1]), np.float32), last=True)[:frames]
        missing = np.zeros((frames - len(flat), flat.shape[1]), np.float32)
        yield _unstacked(np.concatenate([flat, missing]), shape)


def _unstacked(flat: Audio, shape: tuple[int, ...]) -> Block:
    stacked = np.ascontiguousarray(flat.T).reshape(*shape, -1)
    return Block(stacked[0], stacked[1:])


class Spool:
    """Blocks kept on disk as float32 until the peaks of the whole song are known."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._shape: tuple[int, ...] = ()
        self._highest = self._lowest = 0.0

    def fill(self, blocks: Iterable[Block]) -> None:
        """Write all blocks. Raises `OSError` when the disk refuses."""
        for block in blocks:
            stacked = np.concatenate([block.source[None], block.signals])
            self._shape = stacked.shape[:2]
            self._file.write(np.ascontiguousarray(stacked.transpose(2, 0, 1), dtype="<f4").tobytes())
            if block.signals.size:
                self._highest = max(self._highest, float(block.signals.max()))
                self._lowest = min(self._lowest, float(block.signals.min()))

    def common_gain(self, encoding: Encoding) -> float:
        """The one gain with which every signal fits the encoding."""
        return encoding.common_gain(self._highest, self._lowest)

    def blocks(self) -> Iterator[Block]:
        """The same frames again."""
        self._file.seek(0)
        size = 4 * self._shape[0] * self._shape[1]
        while data := self._file.read(size * SPOOL_FRAMES):
            flat = np.frombuffer(data, "<f4").astype(np.float32)
            stacked = flat.reshape(-1, *self._shape).transpose(1, 2, 0)
            yield Block(stacked[0], stacked[1:])
