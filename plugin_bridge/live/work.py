"""A worker's work: input hop by hop through a session, results where they belong, times counted."""

import time
from bisect import insort

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.board.session import Session
from plugin_bridge.errors import PluginBridgeError
from plugin_bridge.live.protocol import Applied, Moves, Unable
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS, time_bin
from plugin_bridge.separation.separator import Audio


class Place:
    """What the worker of a slot reads and writes in shared memory."""

    def __init__(self, segment: Segment, slot: int) -> None:
        self.input, self.output = Ring(segment, "in"), Ring(segment, f"out{slot}")
        self.statistics: NDArray[np.int64] = segment[f"statistics{slot}"]
        self.times: NDArray[np.int64] = segment[f"times{slot}"]
        # What a lost worker of this slot has counted still counts.
        self.note("position", 0)
        self.note("working", 0)

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the worker's counters."""
        self.statistics[STATISTICS.index(name)] += by

    def note(self, name: str, value: int) -> None:
        """Set one of the worker's figures."""
        self.statistics[STATISTICS.index(name)] = value


class Work:
    """A session at work from a position on. Results of `n` frames of input lie at the same positions."""

    def __init__(self, session: Session, place: Place, history: int) -> None:
        self._session, self._place = session, place
        self._deadline = session.hop / session.sample_rate
        self._block = np.zeros((2, session.hop), np.float32)
        self._results = np.zeros((2, 0), np.float32)
        self.answers: list[Applied | Unable] = []
        self._to_come: list[tuple[int, int, Key, Value]] = []
        self._worst_ns = int(place.statistics[STATISTICS.index("worst_ns")])
        self._start(history)

    def _start(self, history: int) -> None:
        self._session.reset()
        # Some past is worked through first, so that the model knows the song and the results begin early.
        self._position = self._began = max(0, self._place.input.end - history)
        for frame, _, key, value in self._to_come:
            self._session.schedule(frame - self._began, key, value)
        self._place.output.start_at(self._position)
        self._place.note("position", self._position)
        self._place.note("working", 1)

    def hop(self) -> bool:
        """Work on the next hop; False if it is not there yet."""
        if not self._place.input.read(self._position, self._block):
            if self._position < self._place.input.end - self._place.input.capacity:
                # So late that the input is written over: begin anew where it is not.
                self._place.count("skipped")
                self._start(self._place.input.capacity // 4)
            return False
        begin, own = time.perf_counter(), time.thread_time()
        self._publish(self._session.advance(self._block))
        self._position += self._session.hop
        self._tell_made()
        self._account(time.perf_counter() - begin, time.thread_time() - own)
        return True

    def move(self, moves: Moves) -> None:
        """Make moves at once, or at their frame when that is still to come; `answers` says when they count.

        A move that the board refuses is answered by a complaint.
        """
        made, waits = [], False
        for key, value in moves.changes:
            try:
                if moves.frame is not None and moves.frame >= self._next_frame(key):
                    self._session.schedule(moves.frame - self._began, key, value)
                    insort(self._to_come, (moves.frame, moves.serial, key, value), key=lambda each: each[0])
                    waits = True
                else:
                    made.append((self._began + self._session.move(key, value), key, value))
            except (PluginBridgeError, ValueError, TypeError) as error:
                self.answers.append(Unable(str(error)))
        if made or not waits:
            self.answers.append(Applied(moves.serial, tuple(made), last=not waits))

    def _next_frame(self, key: Key) -> int:
        return self._began + self._session.next_frame(key)

    def _tell_made(self) -> None:
        """Answer for the moves whose frame has gone by."""
        if not self._to_come or self._to_come[0][0] >= self._position:
            return
        made: dict[int, list[tuple[int, Key, Value]]] = {}
        waits = []
        for change in self._to_come:
            frame, serial, key, value = change
            if frame < self._position and frame < self._next_frame(key):
                made.setdefault(serial, []).append((frame, key, value))
            else:
                waits.append(change)
        self._to_come = waits
        open_serials = {serial for _, serial, _, _ in waits}
        self.answers += [
            Applied(serial, tuple(changes), last=serial not in open_serials)
            for serial, changes in made.items()
        ]
        self.answers += [Unable(reason) for reason in self._session.refusals]
        self._session.refusals.clear()

    def rest(self) -> None:
        """Say that nothing more comes."""
        self._place.note("working", 0)

    def _publish(self, rows: list[Audio]) -> None:
        """Write results as they are played: main first, then the stems, each left and right."""
        frames = rows[0].shape[1]
        if not frames:
            return
        if self._results.shape != (2 * len(rows), frames):
            self._results = np.zeros((2 * len(rows), frames), np.float32)
        self._results[:2] = rows[-1]
        for at, stem in enumerate(rows[:-1], start=1):
            self._results[2 * at : 2 * at + 2] = stem
        self._place.output.write(self._results)

    def _account(self, seconds: float, own_seconds: float) -> None:
        place = self._place
        place.count("hops")
        if own_seconds > self._deadline:
            place.count("own_misses")
        elif seconds > self._deadline:
            place.count("machine_late")
        if seconds * 1e9 > self._worst_ns:
            self._worst_ns = int(seconds * 1e9)
            place.note("worst_ns", self._worst_ns)
        place.note("position", self._position)
        place.times[time_bin(seconds)] += 1
