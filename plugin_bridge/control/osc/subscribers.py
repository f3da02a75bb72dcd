"""Who is told of changes: leases, coalesced state, meters and the heartbeat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from plugin_bridge.control.address_space import METERS, STATE, AddressSpace, Leaf
from plugin_bridge.control.commands import Event, Fault, Rebuilt, RenderProgress
from plugin_bridge.control.osc.codec import bundles, encode
from plugin_bridge.control.osc.failures import Busy
from plugin_bridge.control.osc.peers import BoundedLog, Peer

TTL_SECONDS, LONGEST_TTL_SECONDS = 10, 3600
METER_HZ, FASTEST_HZ = 10, 20
MOST_SUBSCRIBERS = 64
NUMBERS = "numbers"
"""The topic of the state with stems by number, for programs that count tracks and know no names."""
TOPICS = {
    "all": frozenset({STATE, METERS}),
    **{topic: frozenset({topic}) for topic in (STATE, NUMBERS, METERS)},
}

_STATE_SECONDS = 1.0 / FASTEST_HZ
_FAULTS_PER_SECOND = 10


@dataclass
class Lease:
    """One subscriber: what it is told, how often, until when (`time.monotonic()`'s seconds)."""

    number: int
    peer: Peer
    asked_by: Hashable
    topics: frozenset[str]
    until: float
    rate_hz: int
    next_meter: float = 0.0


class Subscribers:
    """Everyone with a lease. Each address is sent at most 20 times a second, its last value always.

    A lease that is not renewed ends silently.
    """

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._leases: dict[Hashable, Lease] = {}
        self._count = 0
        self._changed: dict[str, Leaf] = {}
        self._notes: dict[str, bytes] = {}
        self._told: dict[str, bytes] = {}
        self._flush_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0
        self._faults = 0
        self._logs = BoundedLog()
        self._deafen = space.watch(self._hear)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send meters and heartbeats."""
        self._task = asyncio.get_running_loop().create_task(self._beat())

    def close(self) -> None:
        """Tell nobody anything any more."""
        self._deafen()
        self._leases.clear()
        if self._timer:
            self._timer.cancel()
        if self._task:
            self._task.cancel()

    def __len__(self) -> int:
        return len(self._leases)

    def subscribes(self, peer: Peer) -> bool:
        """Whether a peer has a lease."""
        return any(lease.peer is peer for lease in self._leases.values())

    def lease(self, peer: Peer, asked_by: Peer, topic: str, ttl: int, rate_hz: int) -> tuple[Lease, bool]:
        """Give a lease, or renew it; and whether the state is news to the peer. Raises `Busy` when full."""
        self._expire()
        known = self._leases.get(peer.target)
        if known is None and len(self._leases) >= MOST_SUBSCRIBERS:
            raise Busy(f"there must be at most {MOST_SUBSCRIBERS} subscribers, got one more; try again later")
        topics = TOPICS[topic] | (known.topics if known else frozenset())
        until = time.monotonic() + ttl
        if known is None:
            self._count += 1
            known = Lease(self._count, peer, asked_by.target, frozenset(), until, rate_hz)
            self._leases[peer.target] = known
        is_news = bool((topics - known.topics) & {STATE, NUMBERS})
        known.topics, known.until, known.rate_hz, known.peer = topics, until, rate_hz, peer
        return known, is_news

    def end(self, peer: Peer, topic: str = "all") -> None:
        """End what a peer has asked for, or one topic of it."""
        for target, lease in list(self._leases.items()):
            if peer.target in (target, lease.asked_by):
                lease.topics = frozenset() if topic == "all" else lease.topics - TOPICS[topic]
                if not lease.topics:
                    del self._leases[target]

    def dump(self, peers: Iterable[Peer]) -> None:
        """Send the whole state."""
        self._told.clear()  # what these are told now may be other than what the others were told last
        for peer in peers:
            topics = lease.topics if (lease := self._leases.get(peer.target)) else frozenset()
            for by_number in sorted({topic == NUMBERS for topic in topics & {STATE, NUMBERS}} or {False}):
                for packet in bundles(_packet(leaf, by_number) for leaf in self._space.state()):
                    peer.send(packet)

    def of(self, peer: Peer) -> list[Peer]:
        """Where a peer's subscriptions go; to itself where it has none."""
        found = [
            each.peer for each in self._leases.values() if peer.target in (each.peer.target, each.asked_by)
        ]
        return found or [peer]

    def _hear(self, event: Event) -> None:
        if not self._leases:
            return
        if isinstance(event, Fault):
            self._faults += 1
            if self._faults <= _FAULTS_PER_SECOND:
                self._tell_all(encode("/error", "ss", (event.code, event.message)))
            return
        if isinstance(event, RenderProgress):
            told = (event.job, event.share, event.stage, event.message)
            self._notes[event.job] = encode("/render/progress", "sfss", told)
        if isinstance(event, Rebuilt):
            self._changed.clear()
            self._told.clear()
        for leaf in self._space.touched(event):
            self._changed[leaf.path] = leaf
        if self._timer is None and (self._changed or self._notes):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._flush_at), self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._flush_at = asyncio.get_running_loop().time() + _STATE_SECONDS
        changed, self._changed = self._changed, {}
        notes, self._notes = self._notes, {}
        packets, numbered = [], []
        for path, leaf in changed.items():
            packet = _packet(leaf)
            # A client that sends back what it is told would go round for ever.
            if self._told.get(path) != packet:
                self._told[path] = packet
                packets.append(packet)
                numbered.append(_packet(leaf, by_number=True))
        self._expire()
        self._tell(STATE, bundles([*packets, *notes.values()]))
        self._tell(NUMBERS, bundles([*numbered, *notes.values()]))

    def _tell(self, topic: str, packets: Iterable[bytes]) -> None:
        for packet in packets:
            for lease in list(self._leases.values()):
                if topic in lease.topics:
                    lease.peer.send(packet)

    def _tell_all(self, packet: bytes) -> None:
        for lease in list(self._leases.values()):
            lease.peer.send(packet)

    def _expire(self) -> None:
        now = time.monotonic()
        for target, lease in list(self._leases.items()):
            if lease.until <= now:
                del self._leases[target]

    async def _beat(self) -> None:
        """Meters as often as asked for, once a second the heartbeat."""
        tick = 1.0 / (2 * FASTEST_HZ)
        next_beat = 0.0
        while True:
            await asyncio.sleep(tick)
            if not self._leases:
                continue
            self._expire()
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + 1.0
                self._faults = 0
                self._beats += 1
                self._tell_all(encode("/heartbeat", "i", (self._beats,)))
            try:
                self._send_meters(now)
            except Exception as error:  # noqa: BLE001 - the next ones may be well
                self._logs.once(repr(error)[:100], f"meters could not be read: {error!r:.300}")

    def _send_meters(self, now: float) -> None:
        due = [each for each in self._leases.values() if METERS in each.topics and now >= each.next_meter]
        if not due:
            return
        meters = [leaf for leaf in self._space.leaves.values() if leaf.topic == METERS]
        packets = bundles(_packet(leaf) for leaf in meters)
        for lease in due:
            lease.next_meter = now + 1.0 / lease.rate_hz
            for packet in packets:
                lease.peer.send(packet)


def _packet(leaf: Leaf, by_number: bool = False) -> bytes:
    path = leaf.aliases[0] if by_number and leaf.aliases else leaf.path
    return encode(path, leaf.types, leaf.arguments())
