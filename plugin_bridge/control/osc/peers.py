"""Whoever sends us packets: where answers go, and how much may come."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from plugin_bridge.control.osc.codec import bundles

MESSAGES_PER_SECOND = 20_000
"""What one sender may ask for, a message that reaches several addresses counted as many; as much at once."""

_log = logging.getLogger("plugin_bridge.control.osc")


class Allowance:
    """How many messages a sender may still send: it fills up steadily, and to one second's worth."""

    def __init__(self, per_second: float = MESSAGES_PER_SECOND) -> None:
        self._per_second = self._left = per_second
        self._then = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._then) * self._per_second, self._per_second)
        self._then = now
        return self._left < 1.0

    def take(self, count: int = 1) -> bool:
        """Take some, unless there are none."""
        if self.is_empty:
            return False
        self._left -= count  # below zero: the sender waits for longer
        return True


class Peer(ABC):
    """A sender, and the only place that its answers go to: where its packets come from."""

    host: str
    target: Hashable
    """What tells peers apart."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self.warned_at = -1e9
        self._held: list[bytes] | None = None

    def send(self, packet: bytes) -> None:
        """Send a packet, or drop it where the peer is gone."""
        if self._held is None:
            self.deliver(packet)
        else:
            self._held.append(packet)

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Send what is sent meanwhile in as few packets as it fits in: who sends bundles can read them."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for packet in bundles(held):
                self.deliver(packet)

    @abstractmethod
    def deliver(self, packet: bytes) -> None:
        """Send a packet now, or drop it where the peer is gone."""

    @abstractmethod
    def at_port(self, port: int) -> Peer:
        """The same machine at another port. Raises `Forbidden` where that cannot be."""


class BoundedLog:
    """Logs each thing once, and no more than so many things."""

    def __init__(self, most: int = 100) -> None:
        self._seen: set[str] = set()
        self._most = most

    def once(self, what: str, sentence: str) -> None:
        """Log a sentence about a thing for the first time."""
        if what in self._seen or len(self._seen) > self._most:
            return
        self._seen.add(what)
        full = len(self._seen) > self._most
        _log.warning("%s", "more of the kind is only counted" if full else sentence)
