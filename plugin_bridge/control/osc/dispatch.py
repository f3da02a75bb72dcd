"""What a packet asks for, and the answers to it: every message gets one, at its sender's address."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.address_space import AddressSpace, Arguments, Leaf
from plugin_bridge.control.address_space.actions import Forbidden, UnknownName
from plugin_bridge.control.address_space.leaf import ENGINE_SWITCHES
from plugin_bridge.control.osc.codec import MalformedPacket, Message, decode, encode
from plugin_bridge.control.osc.failures import REFUSALS, Busy, failure
from plugin_bridge.control.osc.pattern import is_pattern
from plugin_bridge.control.osc.peers import BoundedLog, Peer
from plugin_bridge.control.osc.session import SessionCommands, done
from plugin_bridge.errors import UnknownAddress

HORIZON_SECONDS = 1.0
"""How far ahead a bundle may be dated."""
MOST_UNDER_WAY = 64
"""How many commands may be under way at once."""
MOST_AHEAD = 1024
"""How many messages that a time tag holds back may wait at once."""
MOST_REACHED = 2048
"""How many addresses the patterns of one packet may reach together."""

# Answers that come in (from ourselves, or from a server like us) are never answered: that would not end.
_NEVER_ANSWERED = frozenset(
    {"/done", "/fail", "/late", "/synced", "/error", "/heartbeat", "/status.reply", "/version.reply"}
)
_log = logging.getLogger("plugin_bridge.control.osc")


@dataclass
class _Instant:
    """Messages of one packet that count at one time; None: at once."""

    peer: Peer
    seconds: float | None
    moves: list[tuple[Key, Value]] = field(default_factory=list)
    so_far: dict[Key, Value] = field(default_factory=dict)
    answers: list[tuple[str, bool, Callable[[], None]]] = field(default_factory=list)
    """Of each message its address, whether it moves something, and how it is answered."""


class Dispatcher:
    """Carries out packets. `receive` never raises, and never waits."""

    def __init__(self, space: AddressSpace, session: SessionCommands) -> None:
        self._space, self._session = space, session
        self._under_way: set[asyncio.Task[None]] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._ahead: set[asyncio.TimerHandle] = set()
        self._logs = BoundedLog()
        self._reach = MOST_REACHED

    def close(self) -> None:
        """Drop what has not happened yet."""
        for timer in self._ahead:
            timer.cancel()
        for task in self._under_way:
            task.cancel()

    def receive(self, packet: bytes, peer: Peer) -> None:
        """Carry out a packet, or answer why not."""
        self._reach = MOST_REACHED
        self._guard("", peer, lambda: self._receive(packet, peer))

    def _guard(self, address: str, peer: Peer, act: Callable[[], None]) -> None:
        """Act, and answer with what goes wrong, whatever it is: the server goes on."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - answered, and logged where it is unforeseen
            self._refuse(address, error, peer)

    def _unforeseen(self, error: Exception) -> None:
        self._logs.once(repr(error)[:100], f"a packet led to an unforeseen error: {error!r:.300}")
        _log.debug("unforeseen", exc_info=error)

    def _receive(self, packet: bytes, peer: Peer) -> None:
        traffic = self._space.traffic
        if not peer.allowance.take():
            traffic.limited += 1
            self._warn(peer)
            return
        now = time.time()
        try:
            messages = decode(packet, now)
        except MalformedPacket as error:
            traffic.malformed += 1
            self._logs.once(f"malformed {peer.host}", f"{peer.host} sends what is no OSC: {error!s:.200}")
            peer.send(failure("", TypeError(str(error))))
            return
        traffic.messages += len(messages)
        peer.allowance.take(max(0, len(messages) - 1))
        if len(messages) == 1:
            self._at(messages[0].seconds, messages, peer, now)
            return
        with peer.gathering():
            for seconds, group in _by_time(messages).items():
                self._at(seconds, group, peer, now)

    def _warn(self, peer: Peer) -> None:
        """Say once a second that a sender sends too much."""
        if time.monotonic() - peer.warned_at >= 1.0:
            peer.warned_at = time.monotonic()
            self._logs.once(f"limit {peer.host}", f"{peer.host} sends more than is taken; it is counted")
            peer.send(failure("", Busy("a sender must send less at a time, got too much; some is dropped")))

    def _at(self, seconds: float | None, messages: list[Message], peer: Peer, now: float) -> None:
        if seconds is not None and seconds > now + HORIZON_SECONDS:
            error = ValueError(
                f"a time tag must lie at most {HORIZON_SECONDS:g} s ahead, got {seconds - now:.3f} s"
            )
            for message in messages:
                if message.address not in _NEVER_ANSWERED:
                    peer.send(failure(message.address, error))
            return
        if seconds is not None and seconds < now:
            peer.send(encode("/late", "f", (now - seconds,)))
            seconds = None
        instant = _Instant(peer, seconds)
        for message in messages:
            if message.address not in _NEVER_ANSWERED:
                self._guard(message.address, peer, partial(self._take, message, instant))
        refusal = self._move(instant)
        for address, moves, answer in instant.answers:
            if moves and refusal is not None:
                self._refuse(address, refusal, peer)
            else:
                self._guard(address, peer, answer)

    def _take(self, message: Message, instant: _Instant) -> None:
        """Sort a message into what moves now and what is answered after."""
        address, peer = message.address, instant.peer
        leaves = self._reached(address, peer)
        plain = _plain(address, message.arguments)
        if not plain and any(leaf.readable for leaf in leaves):
            self._later(instant, address, lambda: self._tell(address, leaves, peer))
        elif is_pattern(address) or leaves[0].is_settable:
            self._set(address, [leaf for leaf in leaves if leaf.is_settable], plain, instant)
        elif leaves[0].command is not None and leaves[0].writable:
            self._later(instant, address, lambda: self._perform(address, leaves[0], plain, peer))
        elif leaves[0].readable:
            raise Forbidden(f"{address} must only be asked, got a value")
        else:
            raise Forbidden(f"{address} must be sent by the server only, got it from a client")

    def _reached(self, address: str, peer: Peer) -> list[Leaf]:
        if not is_pattern(address):
            return [self._space.find(address)]
        leaves = self._space.matching(address)
        self._reach -= len(leaves)
        if self._reach < 0 or not peer.allowance.take(len(leaves)):
            self._space.traffic.limited += 1
            raise Busy("a sender must ask for less at a time, got too much")
        return leaves

    def _refuse(self, address: str, error: Exception, peer: Peer) -> None:
        packet = failure(address, error)
        if isinstance(error, UnknownAddress) and not isinstance(error, UnknownName):
            self._space.traffic.unknown += 1
            self._logs.once(address, f"{peer.host} asks for an unknown address: {error!s:.300}")
        elif b"internal\0" in packet:
            self._unforeseen(error)
        peer.send(packet)

    def _later(self, instant: _Instant, address: str, act: Callable[[], None]) -> None:
        """Act once everything of the instant is moved; at its time, where that lies ahead."""
        if instant.seconds is None:
            instant.answers.append((address, False, act))
            return
        if len(self._ahead) >= MOST_AHEAD:
            raise Busy(f"at most {MOST_AHEAD} messages may wait for their time, got one more")
        loop = asyncio.get_running_loop()

        def due() -> None:
            self._ahead.discard(timer)
            self._guard(address, instant.peer, act)

        timer = loop.call_later(max(0.0, instant.seconds - time.time()), due)
        self._ahead.add(timer)

    def _tell(self, asked: str, leaves: Iterable[Leaf], peer: Peer) -> None:
        """Answer a query on the address asked; one of a pattern on each address reached."""
        for leaf in leaves:
            if not leaf.readable:
                continue
            path = leaf.answer or (leaf.path if is_pattern(asked) else asked)
            held = leaf.arguments()
            if not leaf.row:
                peer.send(encode(path, leaf.types, held))
                continue
            for start in range(0, len(held), leaf.row):
                peer.send(encode(path, leaf.types, held[start : start + leaf.row]))
            peer.send(encode(f"{path}/end", "", ()))

    def _set(self, address: str, leaves: list[Leaf], arguments: Arguments, instant: _Instant) -> None:
        """Gather what one message moves; a pattern moves all that it reaches, or nothing."""
        if not leaves:
            raise Forbidden(f"{address} must reach what can be set")
        moves: list[tuple[Key, Value]] = []
        shown: list[tuple[Leaf, Arguments]] = []
        for leaf in leaves:
            more, now_shown = self._space.moves(leaf, arguments, instant.so_far)
            moves += more
            shown.append((leaf, now_shown))
        for leaf, now_shown in shown:
            if leaf.command in ENGINE_SWITCHES:
                turn = partial(self._space.switch, str(leaf.command), bool(now_shown[0]))
                self._later(instant, address, turn)
        instant.moves += moves
        instant.so_far.update(moves)
        acknowledge = partial(_acknowledge, address, shown, arguments, instant.peer)
        instant.answers.append((address, bool(moves), acknowledge))

    def _move(self, instant: _Instant) -> Exception | None:
        """Move everything of an instant in one step, or nothing; what was wrong then."""
        if instant.moves:
            try:
                self._space.commands.move(instant.moves, instant.seconds)
            except REFUSALS as error:
                return error
        return None

    def _perform(self, address: str, leaf: Leaf, arguments: Arguments, peer: Peer) -> None:
        if leaf.command in self._session.immediate:
            self._session.immediate[leaf.command](address, arguments, peer)
            return
        if len(self._under_way) >= MOST_UNDER_WAY:
            raise Busy(f"at most {MOST_UNDER_WAY} commands may be under way, got one more; try again later")
        if leaf.command == "sync":
            # It waits for what acts, not for others that wait.
            doing = self._session.sync(arguments, peer, frozenset(self._acting))
        else:
            doing = self._act(address, leaf, arguments, peer)
        task = asyncio.get_running_loop().create_task(self._answered(address, peer, doing))
        for tasks in (self._under_way, *([] if leaf.command == "sync" else [self._acting])):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _act(self, address: str, leaf: Leaf, arguments: Arguments, peer: Peer) -> None:
        done(peer, address, await self._space.perform(leaf, arguments))

    async def _answered(self, address: str, peer: Peer, doing: Awaitable[None]) -> None:
        try:
            await doing
        except Exception as error:  # noqa: BLE001 - as in _guard
            self._refuse(address, error, peer)


def _acknowledge(address: str, shown: list[tuple[Leaf, Arguments]], arguments: Arguments, peer: Peer) -> None:
    """Answer a set value, and send back what is held where that is something else."""
    for leaf, held in shown:
        if leaf.view is not None and leaf.readable and not _alike(held, arguments):
            peer.send(encode(leaf.path if is_pattern(address) else address, leaf.types, held))
    done(peer, address, () if is_pattern(address) else shown[0][1])


def _alike(held: Arguments, sent: Arguments) -> bool:
    """Whether a value was taken as it was sent, to a float32's precision."""
    if len(held) != len(sent):
        return False
    (one,), (other,) = held, sent
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= 1e-6 * max(1.0, abs(other))


def _plain(address: str, arguments: tuple[object, ...]) -> Arguments:
    """The arguments, if they are numbers, switches and words. Raises `TypeError` for blobs and arrays."""
    for each in arguments:
        if not isinstance(each, bool | int | float | str):
            raise TypeError(f"{address} must get numbers, switches or words, got a {type(each).__name__}")
    return tuple(each for each in arguments if isinstance(each, bool | int | float | str))


def _by_time(messages: list[Message]) -> Mapping[float | None, list[Message]]:
    groups: dict[float | None, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.seconds, []).append(message)
    return groups
