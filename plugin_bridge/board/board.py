"""A chain of pedalboard plugins and separating nodes, called like a `pedalboard.Pedalboard`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pedalboard import Plugin

from plugin_bridge.board.call import PedalboardCall
from plugin_bridge.board.effects import effect_from_dict, effect_to_dict
from plugin_bridge.board.grid import SMALLEST_GRID, GridEffects
from plugin_bridge.board.listing import CheckedList
from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.separation.separator import Audio, StreamingSeparator


class Board(PedalboardCall, CheckedList):
    """A list of effects through which audio goes in order.

    Takes pedalboard's plugins (hosted VST3s and Audio Units, `Chain`, `Mix` and `Pedalboard` too) and
    stem boards in one list. Neighbouring plugins run as one native `Pedalboard`, which leaves Python's
    lock free while it works.

    Raises `TypeError` for anything else in the list.
    """

    def __init__(self, plugins: Iterable[Any] = ()) -> None:
        PedalboardCall.__init__(self)
        CheckedList.__init__(self, plugins)
        self._running: _Chain | None = None

    def checked(self, item: Any) -> Any:
        """The item, if a board can hold it."""
        if isinstance(item, StemBoard) or (isinstance(item, Plugin) and item.is_effect):
            return item
        raise TypeError(
            f"a board must hold pedalboard effects and stem boards, got {item!r}; "
            "wrap a separator as StemBoard(separator), and join boards with +"
        )

    def stems(
        self, input_array: NDArray[Any], sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> dict[str, Audio]:
        """The stems of the last stem board, after their strips, by name; what follows it is not applied.

        Shape: as a call, for each stem. Raises `TypeError` when the board holds no stem board.
        """
        last = max((at for at, item in enumerate(self) if isinstance(item, StemBoard)), default=None)
        if last is None:
            raise TypeError("stems must come from a stem board, got a board without one; add StemBoard(...)")
        with self._lock:
            before = self._before(last)
            audio = before.process(input_array, sample_rate, buffer_size, reset) if len(before) else input_array
            stems: dict[str, Audio] = self[last].stems(audio, sample_rate, buffer_size, reset)
            return stems

    @property
    def reported_latency_samples(self) -> int:
        """Frames that streaming keeps inside, at the rate and channels of the last call (44.1 kHz stereo before)."""
        with self._lock:
            return (self._running or _Chain(list(self), 44100.0, 2)).latency

    def to_dict(self) -> dict[str, Any]:
        """The board as data. Raises `TypeError` for a plugin or separator that cannot be described."""
        return {
            "plugins": [
                {"stem_board": item.to_dict()} if isinstance(item, StemBoard) else effect_to_dict(item)
                for item in self
            ]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Board":
        """The board that the data describe. Raises `PresetError`, `ModelError`, `ValueError` as they deserve."""
        return cls(
            StemBoard.from_dict(item["stem_board"]) if "stem_board" in item else effect_from_dict(item)
            for item in values["plugins"]
        )

    def __eq__(self, other: object) -> bool:
        return self.__getstate__() == other.__getstate__() if isinstance(other, Board) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a board is mutable

    def __getstate__(self) -> list[Any]:
        return [item if isinstance(item, StemBoard) else effect_to_dict(item) for item in self]

    def __setstate__(self, state: list[Any]) -> None:
        Board.__init__(self, [effect_from_dict(item) if isinstance(item, dict) else item for item in state])

    def __reduce__(self) -> tuple[Any, ...]:
        # An empty board has an empty state, which pickle would leave out.
        return (type(self), (), self.__getstate__() or None)

    def __copy__(self) -> Self:
        raise TypeError("a board must be copied deeply, since two boards cannot share effects; use copy.deepcopy")

    def __repr__(self) -> str:
        count = f"{len(self)} plugin{'' if len(self) == 1 else 's'}"
        return f"<plugin_bridge.Board with {count}: {list(self)!r} at {id(self):#x}>"

    def _before(self, index: int) -> "Board":
        """The part of this board before an item, kept between calls so that it can stream."""
        key = (index, self.edits)
        if getattr(self, "_before_key", None) != key:
            self._before_key, self._before_board = key, self[:index]
        return self._before_board

    def _whole(self, audio: Audio, sample_rate: float) -> Audio:
        return self._chain(sample_rate, len(audio)).whole(audio)

    def _push(self, audio: Audio, sample_rate: float) -> Audio:
        return self._chain(sample_rate, len(audio)).push(audio)

    def _flush(self, channels: int) -> Audio:
        return self._running.flush() if self._running else np.zeros((channels, 0), np.float32)

    def _clear(self) -> None:
        if self._running:
            self._running.reset()

    def _chain(self, sample_rate: float, channels: int) -> "_Chain":
        form = (self.edits, sample_rate, channels)
        if self._running is None or self._running.form != form:
            self._running = _Chain(list(self), sample_rate, channels, form)
        return self._running


class _Stage(ABC):
    """A part of a chain: any block in, what is ready out, aligned with the first frame."""

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
        self._effects = GridEffects(plugins, sample_rate, channels, grid)
        self._channels, self._grid = channels, grid
        self.latency = self._effects.lag + grid - 1
        self._clear()

    def _clear(self) -> None:
        self._waiting = np.zeros((self._channels, 0), np.float32)
        self._pushed, self._given, self._skip = 0, 0, self._effects.lag

    def reset(self) -> None:
        self._effects.reset()
        self._clear()

    def push(self, audio: Audio) -> Audio:
        self._pushed += audio.shape[1]
        waiting = np.concatenate((self._waiting, audio), axis=1)
        cut = waiting.shape[1] - waiting.shape[1] % self._grid
        self._waiting = waiting[:, cut:]
        if not cut:
            return waiting[:, :0]
        made = self._effects.process(np.ascontiguousarray(waiting[:, :cut]))
        drop = min(self._skip, cut)
        self._skip -= drop
        self._given += cut - drop
        return made[:, drop:]

    def flush(self) -> Audio:
        due = self._pushed - self._given
        rest = self.push(np.zeros((self._channels, self.latency), np.float32))[:, :due]
        self.reset()
        return rest

    def whole(self, audio: Audio) -> Audio:
        self.reset()
        out = self.push(np.pad(audio, ((0, 0), (0, self.latency))))[:, : audio.shape[1]]
        self.reset()
        return out


class _StemStage(_Stage):
    """A stem board in a chain; one that cannot stream still works on whole signals."""

    def __init__(self, board: StemBoard, sample_rate: float, channels: int) -> None:
        self._board, self._sample_rate, self._channels = board, sample_rate, channels
        self._session: Session | None = None
        if isinstance(board.separator, StreamingSeparator):
            self._session = board.session(sample_rate, channels)

    @property
    def latency(self) -> int:  # type: ignore[override]
        return self._streaming().latency

    def _streaming(self) -> Session:
        return self._session or self._board._streaming(self._sample_rate, self._channels)

    def push(self, audio: Audio) -> Audio:
        return self._streaming().push(audio).mix

    def flush(self) -> Audio:
        return self._streaming().flush().mix

    def whole(self, audio: Audio) -> Audio:
        return self._board._whole(audio, self._sample_rate)

    def reset(self) -> None:
        if self._session:
            self._session.reset()


class _Chain:
    """The stages of a board, running at one rate and channel count."""

    def __init__(self, items: list[Any], sample_rate: float, channels: int, form: tuple[Any, ...] = ()) -> None:
        self.form = form
        grids = [item.grid(sample_rate) for item in items if isinstance(item, StemBoard)]
        self._stages: list[_Stage] = []
        for native, group in groupby(items, key=lambda item: isinstance(item, Plugin)):
            if native:
                grid = min(grids, default=SMALLEST_GRID)
                self._stages.append(_NativeStage(list(group), sample_rate, channels, grid))
            else:
                self._stages += [_StemStage(board, sample_rate, channels) for board in group]

    @property
    def latency(self) -> int:
        return sum(stage.latency for stage in self._stages)

    def push(self, audio: Audio) -> Audio:
        for stage in self._stages:
            audio = stage.push(audio)
        return audio

    def flush(self) -> Audio:
        """The rest of every stage, each pushed through those behind it."""
        audio: Audio | None = None
        for stage in self._stages:
            rest = [stage.push(audio)] if audio is not None else []
            audio = np.concatenate([*rest, stage.flush()], axis=1)
        return audio if audio is not None else np.zeros((1, 0), np.float32)

    def whole(self, audio: Audio) -> Audio:
        for stage in self._stages:
            audio = stage.whole(audio)
        return audio

    def reset(self) -> None:
        for stage in self._stages:
            stage.reset()
