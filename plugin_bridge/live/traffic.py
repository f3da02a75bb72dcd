"""Moves on their way to the workers: what waits to be said, what is not answered, what has a time to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.live.crew import Slot
from plugin_bridge.live.protocol import Applied, Change

MOST_TIMED = 4096
"""Changes that may wait for their frame."""


@dataclass(eq=False)
class Timed:
    """Changes for a frame to come, the workers that are to be told, and that owe an answer."""

    frame: int
    changes: tuple[Change, ...]
    untold: set[int] = field(default_factory=set)
    owed: set[int] = field(default_factory=set)
    done: bool = False
    """Whether a worker has carried them out."""


class Traffic:
    """Gathers moves, says them to the workers, and matches their answers.

    Nothing is said to a worker that has no ear for it; it waits until the next time.
    """

    def __init__(self) -> None:
        self._waiting: dict[Key, Value] = {}
        self._unanswered: dict[tuple[int, int], tuple[Key, ...]] = {}
        self._open: Counter[tuple[int, Key]] = Counter()
        self._timed: dict[Timed, None] = {}
        self._untold: dict[Timed, None] = {}
        self._timed_changes = 0
        self._by_serial: dict[tuple[int, int], Timed] = {}

    def gather(self, changes: Iterable[Change]) -> None:
        """Take moves to be made at once; of several of one parameter the last one counts."""
        self._waiting.update(changes)

    def send(self, slots: Sequence[Slot]) -> None:
        """Say what waits to the workers that work; the others follow their plan when they begin."""
        for timed in tuple(self._untold):
            self._tell(timed, slots)
        if not self._waiting:
            return
        working = [slot for slot in slots if slot.state == "working"]
        if all(slot.listens() for slot in working):
            for slot in working:
                self._say_waiting(slot)
            self._waiting.clear()

    def _say_waiting(self, slot: Slot) -> None:
        changes = [change for change in self._waiting.items() if slot.knows(change[0])]
        self._unanswered[slot.number, slot.move(changes)] = tuple(key for key, _ in changes)
        self._open.update((slot.number, key) for key, _ in changes)
        slot.has(changes)

    def schedule(self, frame: int, changes: Iterable[Change], slots: Sequence[Slot]) -> None:
        """Let every worker that works make moves at an input frame.

        Raises `ValueError` when too many wait already.
        """
        timed = Timed(frame, tuple(changes), {slot.number for slot in slots if slot.state == "working"})
        if self._timed_changes + len(timed.changes) > MOST_TIMED:
            raise ValueError(
                f"moves to come must be at most {MOST_TIMED}, got more; wait for some to be made"
            )
        self._timed[timed] = None
        self._timed_changes += len(timed.changes)
        self._tell(timed, slots)

    def hand_over(self, slot: Slot) -> None:
        """Tell a worker that begins to work what is still to come."""
        for timed in self._timed:
            timed.untold.add(slot.number)
            self._tell(timed, [slot])

    def _tell(self, timed: Timed, slots: Iterable[Slot]) -> None:
        for slot in slots:
            if slot.number in timed.untold and slot.listens():
                timed.untold.discard(slot.number)
                known = [change for change in timed.changes if slot.knows(change[0])]
                if known:
                    timed.owed.add(slot.number)
                    self._by_serial[slot.number, slot.move(known, timed.frame)] = timed
        if timed.untold:
            self._untold[timed] = None
        else:
            self._untold.pop(timed, None)

    def answer(self, slot: Slot, applied: Applied) -> list[Change]:
        """Take a worker's answer; the timed changes in it that are now where the parameters are.

        A timed change does not count where a newer move of the parameter is on its way.
        """
        keys = self._unanswered.pop((slot.number, applied.serial), ())
        self._open.subtract((slot.number, key) for key in keys)
        timed = self._by_serial.get((slot.number, applied.serial))
        if timed is None:
            return []
        timed.done = True
        if applied.last:
            del self._by_serial[slot.number, applied.serial]
            self._settle(slot.number, timed)
        return [(key, value) for _, key, value in applied.changes if not self._newer(slot, key)]

    def _newer(self, slot: Slot, key: Key) -> bool:
        return key in self._waiting or self._open[slot.number, key] > 0

    def _settle(self, number: int, timed: Timed) -> None:
        """Expect no answer from a slot, and forget what nobody has to make any more."""
        timed.owed.discard(number)
        timed.untold.discard(number)
        if timed.done and not timed.owed and not timed.untold:
            self._drop(timed)

    def _drop(self, timed: Timed) -> None:
        self._untold.pop(timed, None)
        if timed in self._timed:
            del self._timed[timed]
            self._timed_changes -= len(timed.changes)

    def lose(self, slot: Slot) -> None:
        """Expect nothing more of a worker: it is gone, or rests."""
        number = slot.number
        self._unanswered = {at: keys for at, keys in self._unanswered.items() if at[0] != number}
        self._open = Counter({at: count for at, count in self._open.items() if at[0] != number})
        self._by_serial = {at: timed for at, timed in self._by_serial.items() if at[0] != number}
        for timed in tuple(self._timed):
            self._settle(number, timed)

    def forget_before(self, frame: int) -> None:
        """Drop timed changes from before a frame, which nobody has carried out."""
        late = {timed for timed in self._timed if timed.frame < frame}
        for timed in late:
            self._drop(timed)
        if late:
            self._by_serial = {at: timed for at, timed in self._by_serial.items() if timed not in late}
