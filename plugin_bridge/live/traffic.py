"""Moves on their way to the workers: what waits to be said, what is not answered, what has a time to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.live.crew import Slot
from plugin_bridge.live.protocol import Applied, Change

MOST_TIMED = 4096
"""Changes that may wait for their frame."""


@dataclass
class Timed:
    """Changes for a frame to come, the workers that were told, and whether one has carried them out."""

    frame: int
    changes: tuple[Change, ...]
    owed: dict[int, int] = field(default_factory=dict)
    """The serial by which each slot was told."""
    done: bool = False


class Traffic:
    """Gathers moves, says them to the workers, and matches their answers."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Value] = {}
        self._unanswered: dict[tuple[int, int], tuple[Key, ...]] = {}
        self._open: Counter[tuple[int, Key]] = Counter()
        self._timed: list[Timed] = []

    def gather(self, changes: Iterable[Change]) -> None:
        """Take moves to be made at once; of several of one parameter the last one counts."""
        self._waiting.update(changes)

    def send(self, slots: Iterable[Slot]) -> None:
        """Say what was gathered to the workers that work; the others follow their plan when they begin.

        Moves wait while a worker has no ear for them.
        """
        if not self._waiting:
            return
        working = [slot for slot in slots if slot.state == "working" and slot.member is not None]
        if any(not slot.member.listens() for slot in working if slot.member is not None):
            return
        for slot in working:
            changes = [change for change in self._waiting.items() if slot.knows(change[0])]
            self._unanswered[slot.number, slot.move(changes)] = tuple(key for key, _ in changes)
            self._open.update((slot.number, key) for key, _ in changes)
            slot.has(changes)
        self._waiting.clear()

    def schedule(self, frame: int, changes: Iterable[Change], slots: Iterable[Slot]) -> None:
        """Let every worker that works make moves at an input frame.

        Raises `ValueError` when too many wait already.
        """
        timed = Timed(frame, tuple(changes))
        if sum(len(each.changes) for each in self._timed) + len(timed.changes) > MOST_TIMED:
            raise ValueError(
                f"moves to come must be at most {MOST_TIMED}, got more; wait for some to be made"
            )
        self._timed.append(timed)
        for slot in slots:
            if slot.state == "working":
                self._owe(slot, timed)

    def hand_over(self, slot: Slot) -> None:
        """Tell a worker that begins to work what is still to come."""
        for timed in self._timed:
            self._owe(slot, timed)

    def _owe(self, slot: Slot, timed: Timed) -> None:
        known = [change for change in timed.changes if slot.knows(change[0])]
        if known:
            timed.owed[slot.number] = slot.move(known, timed.frame)

    def answer(self, slot: Slot, applied: Applied) -> list[Change]:
        """Take a worker's answer; the timed changes in it that are now where the parameters are.

        A timed change does not count where a newer move of the parameter is on its way.
        """
        keys = self._unanswered.pop((slot.number, applied.serial), ())
        self._open.subtract((slot.number, key) for key in keys)
        timed = next((each for each in self._timed if each.owed.get(slot.number) == applied.serial), None)
        if timed is None:
            return []
        del timed.owed[slot.number]
        timed.done = True
        self._sweep()
        return [(key, value) for _, key, value in applied.changes if not self._newer(slot, key)]

    def _newer(self, slot: Slot, key: Key) -> bool:
        return key in self._waiting or self._open[slot.number, key] > 0

    def lose(self, slot: Slot) -> None:
        """Expect nothing more of a worker: it is gone, or rests."""
        self._unanswered = {at: keys for at, keys in self._unanswered.items() if at[0] != slot.number}
        self._open = Counter({at: count for at, count in self._open.items() if at[0] != slot.number})
        for timed in self._timed:
            timed.owed.pop(slot.number, None)
        self._sweep()

    def forget_before(self, frame: int) -> None:
        """Drop timed changes from before a frame, which nobody has carried out."""
        self._timed = [timed for timed in self._timed if timed.frame >= frame]

    def _sweep(self) -> None:
        self._timed = [timed for timed in self._timed if timed.owed or not timed.done]
