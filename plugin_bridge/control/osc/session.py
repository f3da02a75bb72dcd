"""Commands between us and one sender: subscriptions, the state again, and waiting for what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from plugin_bridge.control.address_space import Argument, Arguments
from plugin_bridge.control.address_space.leaf import switch_of
from plugin_bridge.control.commands import Commands
from plugin_bridge.control.osc.codec import encode, tags_of
from plugin_bridge.control.osc.peers import Peer
from plugin_bridge.control.osc.subscribers import (
    FASTEST_HZ,
    LONGEST_TTL_SECONDS,
    METER_HZ,
    TOPICS,
    TTL_SECONDS,
    Subscribers,
)

Plain = TypeVar("Plain", int, str)


class SessionCommands:
    """Answers at once what `immediate` holds by the command's name."""

    def __init__(self, commands: Commands, subscribers: Subscribers) -> None:
        self._commands, self._subscribers = commands, subscribers
        self.immediate: dict[str | None, Callable[[str, Arguments, Peer], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "refresh": self._refresh,
        }

    def _subscribe(self, address: str, arguments: Arguments, peer: Peer) -> None:
        topic = _topic(arguments)
        ttl = min(max(_optional(arguments, 1, TTL_SECONDS), 1), LONGEST_TTL_SECONDS)
        rate_hz = min(max(_optional(arguments, 2, METER_HZ), 1), FASTEST_HZ)
        port = _optional(arguments, 3, 0)
        if len(arguments) > 4:
            raise TypeError(f"{address} must get at most 4 arguments, got {len(arguments)}")
        receiver = peer.at_port(port) if len(arguments) == 4 else peer
        lease, is_news = self._subscribers.lease(receiver, peer, topic, ttl, rate_hz)
        done(peer, address, (lease.number, ttl))
        if is_news:
            self._subscribers.dump([receiver])

    def _unsubscribe(self, address: str, arguments: Arguments, peer: Peer) -> None:
        self._subscribers.end(peer, _topic(arguments))
        done(peer, address)

    def _refresh(self, address: str, arguments: Arguments, peer: Peer) -> None:
        if not arguments or switch_of(arguments[0]):
            self._subscribers.dump(self._subscribers.of(peer))
        done(peer, address)

    async def sync(self, arguments: Arguments, peer: Peer, before: frozenset[asyncio.Task[None]]) -> None:
        """Answer when all commands before are done."""
        number = _optional(arguments, 0, 0)
        if before:
            await asyncio.wait(before)
        await self._commands.settle()
        peer.send(encode("/synced", "i", (number,)))


def done(peer: Peer, address: str, results: Iterable[Argument] = ()) -> None:
    """Tell a sender that a command is carried out, and with which results."""
    told = (address, *results)
    peer.send(encode("/done", tags_of(told), told))


def _topic(arguments: Arguments) -> str:
    topic = _optional(arguments, 0, "all")
    if topic not in TOPICS:
        raise ValueError(f"a topic must be one of {', '.join(TOPICS)}, got '{topic[:40]}'")
    return topic


def _optional(arguments: Arguments, place: int, usual: Plain) -> Plain:
    """The argument at a place, of the type of the usual one. Raises `TypeError` for another type."""
    if len(arguments) <= place:
        return usual
    given = arguments[place]
    if isinstance(usual, int) and isinstance(given, float) and given.is_integer():
        given = int(given)  # phone apps send whole numbers as floats
    if type(given) is not type(usual):
        wanted = "a word" if isinstance(usual, str) else "a whole number"
        raise TypeError(f"argument {place + 1} must be {wanted}, got {given!r:.40}")
    return given
