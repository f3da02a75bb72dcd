"""Changes that are to be made at a frame to come."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from plugin_bridge.board.parameter_tree import Key


@dataclass(frozen=True, order=True)
class Due:
    """A change and its frame; of several at one frame the first entered comes first."""

    frame: int
    number: int
    key: Key = field(compare=False)
    make: Callable[[], None] = field(compare=False)


class Agenda:
    """Changes in the order of their frames."""

    def __init__(self) -> None:
        self._numbers = count()
        self._due: list[Due] = []

    def enter(self, frame: int, key: Key, make: Callable[[], None]) -> None:
        """Note a change."""
        insort(self._due, Due(frame, next(self._numbers), key, make))

    def falls_before(self, frame: int) -> bool:
        """Whether a change is due before a frame."""
        return bool(self._due) and self._due[0].frame < frame

    def taken(self, frame: int) -> list[Due]:
        """The changes due before a frame, which are struck out."""
        end = next((at for at, due in enumerate(self._due) if due.frame >= frame), len(self._due))
        taken, self._due = self._due[:end], self._due[end:]
        return taken

    def clear(self) -> None:
        """Strike out everything."""
        self._due = []
