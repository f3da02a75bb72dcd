"""A board at work: native plugins on their grid and stem boards, one after the other."""

from abc import ABC, abstractmethod
from itertools import count, groupby
from typing import Any, NamedTuple

import numpy as np
from pedalboard import Plugin

from plugin_bridge.board.grid import SMALLEST_GRID, GridEffects, refuse_doubles
from plugin_bridge.board.rack import Mixed
from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.separation.separator import Audio, Stems


class ChainForm(NamedTuple):
    """What a chain is built for."""

    edits: int
    sample_rate: float
    channels: int


class _Stage(ABC):
    """A part of a chain: any block in, all but the last `latency` frames out."""

    latency: int

    @abstractmethod
    def push(self, audio: Audio) -> Audio: ...

    @abstractmethod
    def flush(self) -> Audio: ...

    @abstractmethod
    def whole(self, audio: Audio) -> Audio: ...

    @abstractmethod
    def reset(self) -> None: ...


class _NativeStage(_Stage):
    """Neighbouring native plugins on their grid."""

    def __init__(self, plugins: list[Plugin], sample_rate: float, channels: int, grid: int) -> None:
        # Pedalboard takes the longer side of a block for its time.
        grid = next(multiple for multiple in count(grid, grid) if multiple > channels)
        self._effects = GridEffects(plugins, sample_rate, channels, grid)
        self._channels, self._grid = channels, grid
        self.latency = self._effects.lag + grid - 1
        self._clear()

    def _clear(self) -> None:
        self._waiting = self._ready = np.zeros((self._channels, 0), np.float32)
        self._pushed, self._given, self._skip = 0, 0, self._effects.lag

    def reset(self) -> None:
        self._effects.reset()
        self._clear()

    def push(self, audio: Audio) -> Audio:
        self._pushed += audio.shape[1]
        self._run(audio)
        return self._give(max(0, self._pushed - self.latency) - self._given)

    def flush(self) -> Audio:
        self._run(np.zeros((self._channels, self.latency), np.float32))
        rest = self._give(self._pushed - self._given)
        self.reset()
        return rest

    def whole(self, audio: Audio) -> Audio:
        self.reset()
        self._run(np.pad(audio, ((0, 0), (0, self.latency))))
        out = self._give(audio.shape[1])
        self.reset()
        return out

    def _run(self, audio: Audio) -> None:
        waiting = np.concatenate((self._waiting, audio), axis=1)
        cut = waiting.shape[1] - waiting.shape[1] % self._grid
        self._waiting = waiting[:, cut:]
        if cut:
            made = self._effects.process(np.ascontiguousarray(waiting[:, :cut]))
            drop = min(self._skip, cut)
            self._skip -= drop
            self._ready = np.concatenate((self._ready, made[:, drop:]), axis=1)

    def _give(self, frames: int) -> Audio:
        out, self._ready = self._ready[:, :frames], self._ready[:, frames:]
        self._given += frames
        return out


class _StemStage(_Stage):
    """A stem board in a chain, on its own stream; one that cannot stream works on whole signals."""

    def __init__(self, board: StemBoard, sample_rate: float, channels: int) -> None:
        self._board, self._sample_rate, self._channels = board, sample_rate, channels

    @property
    def latency(self) -> int:  # type: ignore[override]
        return self._session().latency

    def _session(self) -> Session:
        return self._board.own_session(self._sample_rate, self._channels)

    def push(self, audio: Audio) -> Audio:
        return self.mixed_push(audio).mix

    def flush(self) -> Audio:
        return self.mixed_flush().mix

    def whole(self, audio: Audio) -> Audio:
        return self.mixed_whole(audio).mix

    def mixed_push(self, audio: Audio) -> Mixed:
        return self._session().push(audio)

    def mixed_flush(self) -> Mixed:
        return self._session().flush()

    def mixed_whole(self, audio: Audio) -> Mixed:
        return self._board.mixed_whole(audio, self._sample_rate)

    def named(self, stems: Stems) -> dict[str, Audio]:
        return dict(zip(self._board.sources, stems, strict=True))

    def reset(self) -> None:
        self._board.forget()


class Chain:
    """The stages of a board, running at one rate and channel count."""

    def __init__(self, items: list[Any], form: ChainForm) -> None:
        self.form = form
        _, sample_rate, channels = form
        boards = [item for item in items if isinstance(item, StemBoard)]
        refuse_doubles([*items, *(effect for board in boards for effect in board.effects)])
        grid = min((board.grid(sample_rate) for board in boards), default=SMALLEST_GRID)
        self._stages: list[_Stage] = []
        for native, group in groupby(items, key=lambda item: isinstance(item, Plugin)):
            if native:
                self._stages.append(_NativeStage(list(group), sample_rate, channels, grid))
            else:
                self._stages += [_StemStage(board, sample_rate, channels) for board in group]

    @property
    def latency(self) -> int:
        """Frames that stay inside until `flush`."""
        return sum(stage.latency for stage in self._stages)

    def push(self, audio: Audio) -> Audio:
        """The mix that the audio so far allows. Shape: `(channels, frames)` to `frames - latency` in all."""
        return _push(self._stages, audio) if self._stages else audio.copy()

    def flush(self) -> Audio:
        """What is still inside; then a new stream starts."""
        return _flush(self._stages, self.form.channels)

    def whole(self, audio: Audio) -> Audio:
        """The mix of a whole signal. Shape: `(channels, frames)` to the same."""
        return _whole(self._stages, audio) if self._stages else audio.copy()

    def stems_push(self, audio: Audio) -> dict[str, Audio]:
        """As `push`, for each stem of the last stem board, by name. Raises `TypeError` without one."""
        before, last = self._to_stems()
        return last.named(last.mixed_push(_push(before, audio)).stems)

    def stems_flush(self) -> dict[str, Audio]:
        """As `flush`, for each stem of the last stem board, by name. Raises `TypeError` without one."""
        before, last = self._to_stems()
        rest = last.mixed_push(_flush(before, self.form.channels)).stems
        stems = last.named(np.concatenate((rest, last.mixed_flush().stems), axis=2))
        self.reset()
        return stems

    def stems_whole(self, audio: Audio) -> dict[str, Audio]:
        """As `whole`, for each stem of the last stem board, by name. Raises `TypeError` without one."""
        before, last = self._to_stems()
        return last.named(last.mixed_whole(_whole(before, audio)).stems)

    def _to_stems(self) -> tuple[list[_Stage], _StemStage]:
        """The last stem board, and all before it."""
        for at in reversed(range(len(self._stages))):
            stage = self._stages[at]
            if isinstance(stage, _StemStage):
                return self._stages[:at], stage
        raise TypeError("stems must come from a stem board, got a board without one; add StemBoard(...)")

    def reset(self) -> None:
        """Forget everything, as if the chain were new."""
        for stage in self._stages:
            stage.reset()


def _push(stages: list[_Stage], audio: Audio) -> Audio:
    for stage in stages:
        audio = stage.push(audio)
    return audio


def _flush(stages: list[_Stage], channels: int) -> Audio:
    """The rest of every stage, each pushed through those behind it."""
    audio = np.zeros((channels, 0), np.float32)
    for stage in stages:
        audio = np.concatenate((stage.push(audio), stage.flush()), axis=1)
    return audio


def _whole(stages: list[_Stage], audio: Audio) -> Audio:
    for stage in stages:
        audio = stage.whole(audio)
    return audio
