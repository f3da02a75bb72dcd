"""The processes of an engine, from the control process's side: how they are started, watched and ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Semaphore
from typing import Any

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.errors import DeviceError
from plugin_bridge.live import protocol
from plugin_bridge.live.entrance import enter
from plugin_bridge.live.plans import moved, moves
from plugin_bridge.live.room import has_room
from plugin_bridge.live.worker import run_worker

SPAWN = multiprocessing.get_context("spawn")
"""Spawn, never fork: a forked child would hold our locks and our sockets."""

PATIENCE_SECONDS = 120.0
"""How long a process may take to start or to build a board."""


@dataclass
class Member:
    """One process and our end of its pipe."""

    process: SpawnProcess
    pipe: Connection

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.is_alive()

    def tell(self, message: object) -> bool:
        """Say something; False when nobody is there to hear."""
        try:
            self.pipe.send(message)
        except (BrokenPipeError, OSError):
            return False
        return True

    def listens(self) -> bool:
        """Whether there is ample room for a message; who sent without would wait for a stopped process."""
        return has_room(self.pipe)

    def heard(self) -> list[Any]:
        """All that was said to us since."""
        messages = []
        try:
            while self.pipe.poll():
                messages.append(self.pipe.recv())
        except (EOFError, OSError):
            pass  # what was said before the end is still worth hearing
        return messages

    def answer(self, what: str) -> Any:
        """Wait for an answer. Raises `DeviceError` when none comes."""
        try:
            if self.pipe.poll(PATIENCE_SECONDS):
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        raise DeviceError(f"{what} must answer when it starts, got none; see the lines above for the reason")

    def end(self, patience_seconds: float) -> None:
        """Ask the process to quit, and end it if it does not."""
        self.tell(protocol.Quit())
        self.process.join(patience_seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def hire(target: Any, *arguments: Any) -> Member:
    """Start a process that runs `target(pipe, *arguments)`; `target` is a function of a module."""
    ours, theirs = SPAWN.Pipe()
    named = (target.__module__, target.__name__)
    process = SPAWN.Process(target=enter, args=(theirs, *named, *arguments), daemon=True)
    with _interrupts_held():
        process.start()
    theirs.close()
    return Member(process, ours)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let a child begin with SIGINT held back, so that Ctrl-C cannot meet it before it is deaf to it."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Slot:
    """A worker's place: the process in it, the board it holds, and what it is doing."""

    number: int
    wake: Semaphore
    member: Member | None = None
    state: str = "empty"  # empty, building, resting, working
    plan: protocol.BoardPlan | None = None
    built: protocol.Built | None = None
    refused: str = ""
    told: bool = False
    complaints: list[str] = field(default_factory=list)
    applied: list[protocol.Applied] = field(default_factory=list)
    described: protocol.Described | None = None
    serial: int = 0
    position: int = 0
    moved_at: float = field(default_factory=time.monotonic)

    def hire(self, plan: protocol.BoardPlan, sample_rate: int, join: protocol.Join | None) -> None:
        """Put a new process into the slot and let it build."""
        self.member = hire(run_worker, self.wake)
        if join is not None:
            self.member.tell(join)
        self.build(plan, sample_rate)

    def build(self, plan: protocol.BoardPlan, sample_rate: int) -> None:
        """Let the process build a board."""
        self.state, self.plan, self.built, self.refused = "building", plan, None, ""
        self.told = False
        self.moved_at = time.monotonic()
        self._tell(protocol.Build(plan, sample_rate))

    def fits(self, plan: protocol.BoardPlan) -> bool:
        """Whether the process has the board of a plan, or builds it, but for what can be moved."""
        return self.member is not None and self.plan is not None and moves(self.plan, plan) is not None

    def follow(self, plan: protocol.BoardPlan) -> bool:
        """Move the board's levels and values to those of a plan; False if that takes building.

        While the process is busy, moves wait until the next call and become one.
        """
        if self.member is None or self.plan is None:
            return False
        if self.plan == plan:
            return True
        changes = moves(self.plan, plan)
        if changes is None:
            return False
        if self.state != "building" and self.member.listens():
            if changes:
                self.move(changes)
            self.plan = plan
        return True

    def move(self, changes: Iterable[protocol.Change], frame: int | None = None) -> int:
        """Let the process move parameters; the serial by which it will answer while it works."""
        self.serial += 1
        self._tell(protocol.Moves(self.serial, tuple(changes), frame))
        return self.serial

    def listens(self) -> bool:
        """Whether the process has an ear for a message."""
        return self.member is not None and self.member.listens()

    def has(self, changes: Iterable[protocol.Change]) -> None:
        """Take note that the board has moved."""
        if self.plan is not None:
            self.plan = moved(self.plan, changes)

    def knows(self, key: Key) -> bool:
        """Whether the board has a parameter."""
        return self.built is not None and key in self.built.values

    def describe(self) -> None:
        """Let the process describe its board into `described`."""
        self.described = None
        self._tell(protocol.Describe())

    def listen(self) -> None:
        """Take in what the process has said."""
        for message in self.member.heard() if self.member else []:
            for each in message if isinstance(message, list) else [message]:
                self.take(each)

    def take(self, message: object) -> None:
        """Take in one answer."""
        if isinstance(message, protocol.Built):
            self.state, self.built = "resting", message
        elif isinstance(message, protocol.Refused):
            self.state, self.refused = "resting", message.reason
        elif isinstance(message, protocol.Unable):
            self.complaints.append(message.reason)
        elif isinstance(message, protocol.Applied):
            self.applied.append(message)
        elif isinstance(message, protocol.Described):
            self.described = message

    def start(self, history: int) -> None:
        """Let the process work on the input."""
        self._tell(protocol.Start(history))
        self.state, self.moved_at = "working", time.monotonic()

    def rest(self) -> None:
        """Let the process keep its board and do nothing."""
        if self.member is not None and self.state == "working":
            self._tell(protocol.Rest())
            self.state = "resting"

    def _tell(self, message: object) -> None:
        if self.member is not None:
            self.member.tell(message)

    def bury(self) -> None:
        """Clear the slot of a process that is dead or must be."""
        if self.member is not None:
            self.member.process.kill()
            self.member.process.join()
            self.member.pipe.close()
        self.member, self.state, self.built = None, "empty", None
        self.applied.clear()
