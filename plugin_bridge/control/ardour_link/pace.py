"""Send what changes often at a bounded rate, and always its last state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Name = TypeVar("Name")


class Pace(Generic[Name]):
    """Calls `send` for each name asked for: at once, but no sooner than `seconds` after the time before.

    `send` looks up the present state itself: however many changes came meanwhile, it is the last that goes.
    """

    def __init__(self, send: Callable[[Name], None], seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._resting: dict[Name, asyncio.TimerHandle] = {}
        self._asked: set[Name] = set()

    def want(self, name: Name) -> None:
        """Have a name sent as soon as its turn comes."""
        self._asked.add(name)
        if name not in self._resting:
            self._turn(name)

    def _turn(self, name: Name) -> None:
        self._resting.pop(name, None)
        if name in self._asked:
            self._asked.discard(name)
            loop = asyncio.get_running_loop()
            self._resting[name] = loop.call_later(self._seconds, self._turn, name)
            self._send(name)

    def close(self) -> None:
        """Send nothing more."""
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()
        self._asked.clear()
