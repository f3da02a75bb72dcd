"""The worker process: builds boards, obeys the control process, and works while it is told to."""

from __future__ import annotations

import gc
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore

import numpy as np
from msgspec.structs import asdict

from plugin_bridge.board.parameter_tree import MASTER, board_parameters, board_values, set_value
from plugin_bridge.board.preset import Preset
from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.errors import PluginBridgeError
from plugin_bridge.live import protocol
from plugin_bridge.live.latency import Need
from plugin_bridge.live.priority import WORKER_PRIORITY, lock_memory, lower_priority, raise_priority
from plugin_bridge.live.room import has_room
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.work import Place, Work

_WARM_HOPS = 24
_WAIT_SECONDS = 0.05
_IDLE_SECONDS = 1.0
_MOST_ANSWERS = 256


def run_worker(pipe: Connection, wake: Semaphore) -> None:
    """The process's main function: obeys the pipe until it is closed or told to quit."""
    worker = Worker(pipe, wake)
    try:
        while worker.turn():
            pass
    except (EOFError, BrokenPipeError):
        pass  # the control process is gone, and so is our reason to be
    except Exception as error:  # noqa: BLE001
        # Whatever it was: one line, not a traceback, and the control process replaces us.
        sys.exit(f"worker: {type(error).__name__}: {error}")
    finally:
        worker.close()


class Worker:
    """The state of a worker process."""

    def __init__(self, pipe: Connection, wake: Semaphore) -> None:
        self._pipe, self._wake = pipe, wake
        self._board: StemBoard | None = None
        self._session: Session | None = None
        self._segment: Segment | None = None
        self._place: Place | None = None
        self._work: Work | None = None
        lock_memory()

    def turn(self) -> bool:
        """Work on one hop and obey what has been said, or wait for either; False to end."""
        busy = self._work is not None and self._work.hop()
        self._answer()
        while self._pipe.poll(_IDLE_SECONDS if self._work is None else 0):
            message = self._pipe.recv()
            if isinstance(message, protocol.Quit):
                return False
            self._obey(message)
            self._answer()
        if self._work is not None and not busy:
            self._wake.acquire(timeout=_WAIT_SECONDS)
        return True

    def close(self) -> None:
        """Let the shared memory go; the views on it first."""
        self._work = self._place = None
        if self._segment is not None:
            self._segment.close()

    def _obey(self, message: object) -> None:
        match message:
            case protocol.Build():
                self._pipe.send(self._build(message))
            case protocol.Join():
                self._segment = Segment(message.specs, message.segment)
                self._place = Place(self._segment, message.slot)
            case protocol.Start():
                if self._session is not None and self._place is not None:
                    raise_priority(WORKER_PRIORITY)
                    self._work = Work(self._session, self._place, message.history)
            case protocol.Rest():
                self._rest()
            case protocol.Moves():
                self._move(message)
            case protocol.Describe():
                self._pipe.send(self._described())
            case protocol.Fail():
                _fail(message.how)
            case _:
                raise TypeError(f"a worker must be told what it knows, got {message!r}")

    def _answer(self) -> None:
        # A control process that does not listen must not keep the audio waiting.
        if self._work is not None and self._work.answers and has_room(self._pipe):
            answers = self._work.answers
            self._pipe.send(answers[:_MOST_ANSWERS])
            del answers[:_MOST_ANSWERS]

    def _move(self, moves: protocol.Moves) -> None:
        if self._work is not None:
            self._work.move(moves)
            return
        for key, value in moves.changes:
            try:
                set_value(self._needed_board, key, value)
            except (PluginBridgeError, ValueError, TypeError) as error:
                self._pipe.send(protocol.Unable(str(error)))

    @property
    def _needed_board(self) -> StemBoard:
        if self._board is None:
            raise RuntimeError("a board must be built before it is moved or described, got none")
        return self._board

    def _described(self) -> protocol.Described:
        board = self._needed_board
        try:
            preset = Preset.of(board, "described")
        except TypeError as error:
            return protocol.Described(refused=str(error))
        strips = {source: asdict(settings) for source, settings in preset.strips.items()}
        return protocol.Described(strips, asdict(preset.master))

    def _rest(self) -> None:
        if self._work is not None:
            self._work.rest()
            lower_priority()  # what is built must not keep what plays waiting
        self._work = None

    def _build(self, build: protocol.Build) -> protocol.Built | protocol.Refused:
        self._rest()
        self._board = self._session = None
        try:
            board, session = _made(build)
            times = _warm_up(session)
        except (PluginBridgeError, ValueError, TypeError) as error:
            return protocol.Refused(str(error))
        except Exception as error:  # noqa: BLE001
            # A model may fail in any way of its own; it is refused like one that says why.
            reason = f"{build.plan.model} must build and run, got {type(error).__name__}: {error}"
            return protocol.Refused(reason)
        self._board, self._session = board, session
        gc.unfreeze()  # the board before this one may be caught in circles
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection takes as long as a hop; what we make goes by reference count
        need = Need(session.hop, session.stream_latency, session.strips_latency)
        median, worst = float(np.median(times)), max(times[_WARM_HOPS // 2 :])
        tree = board_parameters(board.strips, board.master, build.sample_rate)
        return protocol.Built(board.sources, need, median, worst, tuple(tree.values()), board_values(board))


def _made(build: protocol.Build) -> tuple[StemBoard, Session]:
    plan = build.plan
    board = StemBoard.from_dict({"model": plan.model, "strips": plan.strips, "master": plan.master})
    for key, value in plan.moved.items():
        # A model of other stems is refused for them, which says more than its first strange key would.
        if key.strip in board or key.strip == MASTER:
            set_value(board, key, value)
    return board, board.live_session(build.sample_rate)


def _warm_up(session: Session) -> list[float]:
    """Run on noise until first calls, page faults and caches are behind us; the time of each hop."""
    noise = (0.1 * np.random.default_rng(0).standard_normal((2, session.hop))).astype(np.float32)
    times = []
    for _ in range(_WARM_HOPS):
        begin = time.perf_counter()
        session.advance(noise)
        times.append(time.perf_counter() - begin)
    session.reset()
    return times


def _fail(how: str) -> None:
    if how == "hang":
        time.sleep(3600)
    raise RuntimeError(f"told to fail: {how}")
