"""Several songs at once: spawned processes, each of which renders whole files.

A worker that dies (memory, a crash in a library) costs its one song; another takes its place. Ctrl-C and
SIGTERM reach the workers through their parent, so that each leaves its folder clean before it ends.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from plugin_bridge.render.naming import display
from plugin_bridge.render.observer import Observer
from plugin_bridge.render.plan import Song
from plugin_bridge.render.report import Report

_SECONDS_TO_CLEAN_UP = 10.0

Render = Callable[[Song, Observer], Report]
Prepare = Callable[[], Render]
"""Runs in the worker, once: builds the board and returns what renders one song. Must be picklable."""
Clean = Callable[[int | None], None]
"""Removes what a process that died left behind."""


def render_in_processes(
    songs: Sequence[Song], prepare: Prepare, jobs: int, observer: Observer, clean: Clean
) -> list[Report]:
    """Render songs in `jobs` processes; reports come in the songs' order."""
    crew = _Crew(deque(songs), prepare, observer, clean)
    try:
        crew.run(min(jobs, len(songs)))
    finally:
        crew.dismiss()
    return [crew.reports[song] for song in songs]


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    song: Song


class _Crew:
    """The processes at work and what they are at."""

    def __init__(self, waiting: deque[Song], prepare: Prepare, observer: Observer, clean: Clean) -> None:
        self._waiting, self._prepare = waiting, prepare
        self._observer, self._clean = observer, clean
        self._workers: dict[Connection, _Worker] = {}
        self.reports: dict[Song, Report] = {}

    def run(self, jobs: int) -> None:
        """Keep `jobs` processes busy until every song has a report."""
        for _ in range(jobs):
            self._hire()
        while self._workers:
            for connection in wait(list(self._workers)):
                assert isinstance(connection, Connection)
                self._listen(connection)

    def dismiss(self) -> None:
        """End all processes: politely, so that they clean up, then for good."""
        for worker in self._workers.values():
            worker.process.terminate()
        for connection, worker in self._workers.items():
            worker.process.join(_SECONDS_TO_CLEAN_UP)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            connection.close()
        self._workers.clear()

    def _hire(self) -> None:
        if not self._waiting:
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._prepare), daemon=True)
        with _deaf_to_interrupts():
            process.start()
        theirs.close()
        self._give(ours, process)

    def _give(self, connection: Connection, process: BaseProcess) -> None:
        """The next song for a worker, or its leave."""
        if not self._waiting:
            self._workers.pop(connection, None)
            connection.close()
            process.join()
            return
        song = self._waiting.popleft()
        self._workers[connection] = _Worker(process, song)
        try:
            connection.send(song)
        except OSError:
            self._bury(connection)

    def _listen(self, connection: Connection) -> None:
        worker = self._workers[connection]
        try:
            event, arguments = connection.recv()
        except (EOFError, OSError):
            self._bury(connection)
            return
        getattr(self._observer, event)(worker.song.path, *arguments)
        if event == "end":
            self.reports[worker.song] = arguments[0]
            self._give(connection, worker.process)

    def _bury(self, connection: Connection) -> None:
        """A worker is gone: its song has failed, another worker takes the next."""
        worker = self._workers.pop(connection)
        connection.close()
        worker.process.join()
        self._clean(worker.process.pid)
        name = display(worker.song.path)
        report = Report(
            source=name,
            status="failed",
            error=f"{name} must be rendered by a process that lives, got its end with exit code "
            f"{worker.process.exitcode}; if memory ran out, use fewer jobs",
        )
        self.reports[worker.song] = report
        self._observer.end(worker.song.path, report)
        self._hire()


class _Wire:
    """An observer at the worker's end; the parent knows which song this worker is at."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """Tell the parent."""
        self._send("begin", frames, sample_rate)

    def advance(self, path: Path, frames: int) -> None:
        """Tell the parent."""
        self._send("advance", frames)

    def end(self, path: Path, report: Report) -> None:
        """Tell the parent."""
        self._send("end", report)

    def _send(self, event: str, *arguments: Any) -> None:
        self._connection.send((event, arguments))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a child inherit that SIGINT is ignored: a terminal sends it to all, and the parent decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, prepare: Prepare) -> None:
    """A worker's life. A parent that is gone closes the pipe, which ends it like a signal would."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name != "nt":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # N processes with N threads each would fight for cores
    wire = _Wire(connection)
    try:
        render = prepare()
        while True:
            song: Song = connection.recv()
            wire.end(song.path, render(song, wire))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
