"""A chain of pedalboard plugins and separating nodes, called like a `pedalboard.Pedalboard`."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pedalboard import Plugin

from plugin_bridge.board.call import PedalboardCall
from plugin_bridge.board.chain import Chain, ChainForm
from plugin_bridge.board.effects import effect_from_dict, effect_to_dict, known_keys, same_effects
from plugin_bridge.board.listing import CheckedList
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.errors import PresetError
from plugin_bridge.separation.separator import Audio


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
        self._running: Chain | None = None

    title = "the plugins of a board"

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

        Shape: as a call, for each stem. Raises `TypeError` when the board holds no stem board. One stream
        gives either the mix, by calls, or the stems.
        """
        with self._lock:
            entered = self._enter(input_array, sample_rate, buffer_size, reset)
            chain = self._chain(float(sample_rate), len(entered.audio))
            stems = chain.stems_whole(entered.audio) if reset else chain.stems_push(entered.audio)
            return {source: entered.back(stem) for source, stem in stems.items()}

    def flush_stems(self) -> dict[str, Audio]:
        """The frames of every stem that streaming left inside; then a new stream starts."""
        with self._lock:
            if self._running is None or self._last is None:
                return {}
            return {source: self._last.back(stem) for source, stem in self._running.stems_flush().items()}

    @property
    def reported_latency_samples(self) -> int:
        """Frames that streaming keeps inside, at the rate and channels of the last call.

        Before the first call: at 44.1 kHz, stereo.
        """
        with self._lock:
            sample_rate, channels = self._running.form[1:] if self._running else (44100.0, 2)
            return self._chain(sample_rate, channels).latency

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
        """The board that the data describe. Raises `ModelError` or `PresetError` where there is none."""
        plugins = known_keys(values, "a board", ("plugins",)).get("plugins", [])
        if not isinstance(plugins, list):
            raise PresetError(f"plugins of a board must be a list, got {plugins!r}")
        return cls(
            StemBoard.from_dict(known_keys(item, "a board's item", ("stem_board",))["stem_board"])
            if isinstance(item, Mapping) and "stem_board" in item
            else effect_from_dict(item)
            for item in plugins
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Board):
            return NotImplemented
        return len(self) == len(other) and all(map(_alike, self, other))

    __hash__ = None  # type: ignore[assignment]  # a board is mutable

    def __getstate__(self) -> list[Any]:
        return [item if isinstance(item, StemBoard) else effect_to_dict(item) for item in self]

    def __setstate__(self, state: list[Any]) -> None:
        Board.__init__(self, [effect_from_dict(item) if isinstance(item, dict) else item for item in state])

    def __reduce__(self) -> tuple[Any, ...]:
        # An empty board has an empty state, which pickle would leave out.
        return (type(self), (), self.__getstate__() or None)

    def __copy__(self) -> Self:
        raise TypeError(
            "a board must be copied deeply, since two boards cannot share effects; use copy.deepcopy"
        )

    def __repr__(self) -> str:
        count = f"{len(self)} plugin{'' if len(self) == 1 else 's'}"
        return f"<plugin_bridge.Board with {count}: {list(self)!r} at {id(self):#x}>"

    def _whole(self, audio: Audio, sample_rate: float) -> Audio:
        return self._chain(sample_rate, len(audio)).whole(audio)

    def _push(self, audio: Audio, sample_rate: float) -> Audio:
        return self._chain(sample_rate, len(audio)).push(audio)

    def _flush(self, channels: int) -> Audio:
        return self._running.flush() if self._running else np.zeros((channels, 0), np.float32)

    def _clear(self) -> None:
        if self._running:
            self._running.reset()

    def _chain(self, sample_rate: float, channels: int) -> "Chain":
        form = ChainForm(self.edits, sample_rate, channels)
        if self._running is None or self._running.form != form:
            self._running = Chain(list(self), form)
        return self._running


def _alike(one: object, other: object) -> bool:
    if isinstance(one, Plugin) and isinstance(other, Plugin):
        return same_effects([one], [other])
    return one == other
