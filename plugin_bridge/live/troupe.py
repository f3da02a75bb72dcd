"""The workers of an engine: one plays, the other stands by or builds what is to play next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.synchronize import Semaphore

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.errors import DeviceError, PresetError
from plugin_bridge.live import protocol
from plugin_bridge.live.crew import PATIENCE_SECONDS, Member, Slot
from plugin_bridge.live.deaths import Deaths
from plugin_bridge.live.latency import FADE_FRAMES, Latency
from plugin_bridge.live.notice import Notice
from plugin_bridge.live.plans import moved, moves, same_place, values_of
from plugin_bridge.live.playback import COUNTERS, SLOTS
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.traffic import Traffic
from plugin_bridge.live.worker_words import STATISTICS

_HUNG_SECONDS = 0.5
_HUNG_HOPS = 3
_HISTORY_SECONDS = 0.5
_STALE_SECONDS = 5.0
_WORKERS_PATIENCE_SECONDS = 0.2  # they keep nothing that would be lost

Told = Callable[[str], None]
"""Hears how a change ended: an empty sentence when it plays, else why it does not."""


class Troupe:
    """Two workers, the board they play, and the way to another.

    Raises `PresetError` for a board that cannot be built.
    """

    def __init__(self, plan: protocol.BoardPlan, sample_rate: int, wakes: Sequence[Semaphore]) -> None:
        self.slots = [Slot(number, wake) for number, wake in enumerate(wakes)]
        self.events: deque[str] = deque(maxlen=1000)
        self.deaths = Deaths()
        self.plan = plan
        self.next: protocol.BoardPlan | None = None
        self.playing = 0
        self.rebuilds = 0
        self.parameters: dict[Key, Parameter] = {}
        self.values: dict[Key, Value] = {}
        self.retargeted: deque[protocol.Change] = deque(maxlen=10_000)
        self.applied: deque[tuple[int, Key, Value]] = deque(maxlen=10_000)
        self._rate = sample_rate
        self._traffic = Traffic()
        self._told: Told | None = None
        self._describing: list[tuple[Slot, Member | None, Callable[[protocol.Described], None]]] = []

    def build_first(self) -> protocol.Built:
        """Let the first worker build the board."""
        first = self.slots[0]
        first.hire(self.plan, self._rate, None)
        assert first.member is not None
        first.take(first.member.answer("the worker"))
        if first.built is None:
            raise PresetError(first.refused)
        self._take_values(first)
        return first.built

    def join(self, segment: Segment, latency: Latency, largest_block: int) -> None:
        """Take the memory that everybody shares, and the latency that everything must fit."""
        first = self.slots[0]
        assert first.built is not None
        self._sources = first.built.sources
        self._latency, self._largest = latency, largest_block
        self._segment = segment
        self._counters = segment["counters"]
        self._statistics = [segment[f"statistics{slot}"] for slot in range(SLOTS)]
        self._input = Ring(segment, "in")
        self._results = [Ring(segment, f"out{slot}") for slot in range(SLOTS)]

    def begin(self) -> None:
        """Start the first worker at frame 0, so that the very first frame is wet, and hire the second."""
        first = self.slots[0]
        assert first.member is not None
        first.member.tell(self._join(0))
        first.follow(self.plan)
        first.start(0)
        patience = time.monotonic() + 30
        while not self._statistics[0][STATISTICS.index("working")]:
            if time.monotonic() > patience:
                raise DeviceError("the worker must start within 30 s, got nothing")
            time.sleep(0.001)
        self.slots[1].hire(self.plan, self._rate, self._join(1))

    def _join(self, slot: int) -> protocol.Join:
        return protocol.Join(self._segment.name, self._segment.specs, slot, 1 + len(self._sources))

    def stop(self) -> None:
        """End both processes and let go of the shared memory."""
        for slot in self.slots:
            if slot.member is not None:
                slot.member.end(_WORKERS_PATIENCE_SECONDS)
            slot.member = None
        for name in ("_counters", "_statistics", "_input", "_results", "_segment"):
            self.__dict__.pop(name, None)
        self._give_up_next("the engine was stopped")
        self._hear_description()

    # --- moves ---------------------------------------------------------------------------------------------

    def move(self, changes: Sequence[protocol.Change], frame: int | None) -> None:
        """Move parameters at once, with the next `flush`, or at an input frame.

        Raises `ValueError` when too many moves wait for their frame.
        """
        if frame is not None:
            self._traffic.schedule(frame, changes, self.slots)
            return
        self._traffic.gather(changes)
        self.plan = moved(self.plan, changes)
        self._carry(changes)
        self._retarget(changes)

    def flush(self) -> None:
        """Say the moves gathered since to the workers, as one."""
        self._traffic.send(self.slots)

    def _hear_applied(self, slot: Slot) -> None:
        playing = self.slots[self.playing]
        for applied in slot.applied:
            made = self._traffic.answer(slot, applied)
            slot.has(made)
            if slot is not playing and self.next is not None:
                self.next = moved(self.next, made)  # whose board it holds
            elif slot is playing or playing.state != "working":
                self.applied.extend(applied.changes)
                self.plan = moved(self.plan, made)
                self._retarget(made)
                if self.slots[1 - self.playing].state != "working":
                    self._carry(made)
        slot.applied.clear()

    def _carry(self, changes: Iterable[protocol.Change]) -> None:
        """Let moves hold for the next board too, where it has the same there."""
        if self.next is not None:
            kept = [change for change in changes if same_place(self.plan, self.next, change[0])]
            self.next = moved(self.next, kept)

    def _retarget(self, changes: Iterable[protocol.Change]) -> None:
        for key, value in changes:
            if key in self.parameters and self.values.get(key) != value:
                self.values[key] = value
                self.retargeted.append((key, value))

    def _take_values(self, slot: Slot) -> None:
        """Take parameters and values from a worker's board."""
        assert slot.built is not None
        assert slot.plan is not None
        self.parameters = {parameter.key: parameter for parameter in slot.built.parameters}
        named = {key: value for key, value in values_of(slot.plan).items() if key in self.parameters}
        self.values = slot.built.values | named

    def describe(self, told: Callable[[protocol.Described], None]) -> None:
        """Have the board described by a worker, by the one that does not play if it can be."""
        playing, other = self.slots[self.playing], self.slots[1 - self.playing]
        stands_by = self.next is None and self.standby == "ready" and other.follow(self.plan)
        slot = other if stands_by and other.plan == self.plan else playing
        slot.describe()
        self._describing.append((slot, slot.member, told))

    def _hear_description(self) -> None:
        for waiting in tuple(self._describing):
            slot, member, told = waiting
            if slot.member is not member or member is None:
                self._describing.remove(waiting)
                told(protocol.Described(refused="a worker must live to describe the board, got its end"))
            elif slot.described is not None:
                self._describing.remove(waiting)
                told(slot.described)

    # --- another board -------------------------------------------------------------------------------------

    def change(self, plan: protocol.BoardPlan, told: Told | None = None) -> None:
        """Change to another board; of several changes in a row the last one wins.

        Raises `PresetError` for strips that the stems lack, or where no worker can build it any more.
        """
        unknown = sorted(set(plan.strips) - set(self._sources))
        if unknown:
            raise PresetError(f"strips must be among {', '.join(self._sources)}, got '{unknown[0]}'")
        changes = moves(self.plan, plan)
        if changes is not None and self.next is None:
            self._follow(plan, changes)
            if told is not None:
                told("")
            return
        if self.deaths.given_up:
            raise PresetError(
                f"another board must be built by a second worker, got none: {self.deaths.given_up}; restart"
            )
        self._give_up_next("another board was asked for since")
        self.next, self._told = plan, told

    def _follow(self, plan: protocol.BoardPlan, changes: Sequence[protocol.Change]) -> None:
        self.move(changes, None)
        self.flush()
        self.plan = plan
        playing = self.slots[self.playing]
        if playing.state == "working" and playing.plan is not None and not moves(playing.plan, plan):
            playing.plan = plan

    def _give_up_next(self, reason: str) -> None:
        """Drop the next board and say why to whom it concerns."""
        told, self._told = self._told, None
        dropped, self.next = self.next, None
        if dropped is not None and told is not None:
            told(reason)

    def _pursue_change(self) -> None:
        """Carry the next plan forward: build it in the other worker, start it, swap when it is in step."""
        if self.next is None or self.deaths.given_up:
            return
        other = self.slots[1 - self.playing]
        if other.member is None or other.state == "building":
            return
        if not other.follow(self.next):
            self._rest(other)
            other.build(self.next, self._rate)
        elif other.refused or self._misfit(other):
            reason = other.refused or self._misfit(other)
            if self._told is None:
                self.events.append(Notice(reason, "refused"))
            self._give_up_next(reason)
            other.build(self.plan, self._rate)
        elif other.state == "resting":
            self._start(other)
        elif self._in_step(other):
            self._swap(other)

    def _swap(self, other: Slot) -> None:
        assert self.next is not None
        self.plan, self.next = self.next, None
        self.playing = other.number
        self._take_values(other)
        self._retarget(values_of(self.plan).items())
        self.rebuilds += 1
        told, self._told = self._told, None
        if told is not None:
            told("")

    def _misfit(self, slot: Slot) -> str:
        """Why a built board cannot play in this engine; empty if it can."""
        assert slot.built is not None
        if slot.built.sources != self._sources:
            return (
                f"the model must give the stems {', '.join(self._sources)} while the engine runs, got "
                f"{', '.join(slot.built.sources)}; restart to change them"
            )
        return self._latency.misfit(slot.built.need, self._largest, self._rate)

    def _in_step(self, slot: Slot) -> bool:
        """Whether a worker's results reach far enough ahead of what is being played."""
        needed = self._input.end - self._latency.total + self._largest + FADE_FRAMES
        return slot.state == "working" and self._results[slot.number].end >= needed

    def _start(self, slot: Slot) -> None:
        slot.start(round(_HISTORY_SECONDS * self._rate))
        self._traffic.hand_over(slot)

    def _rest(self, slot: Slot) -> None:
        slot.rest()
        self._traffic.lose(slot)

    # --- losses --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after the workers once."""
        for slot in self.slots:
            slot.listen()
            self.events.extend(Notice(reason, "refused") for reason in slot.complaints)
            slot.complaints.clear()
            self._hear_applied(slot)
            self._hear_refusal(slot)
            self._watch(slot)
        self._hear_description()
        self._traffic.forget_before(self._input.end - round(_STALE_SECONDS * self._rate))
        self.flush()
        self._pursue_change()
        self._keep_standby()

    def _watch(self, slot: Slot) -> None:
        member, now = slot.member, time.monotonic()
        if member is None:
            return
        if not member.alive:
            self._bury(slot, f"worker {slot.number} ended with code {member.process.exitcode}")
            return
        if slot.state == "building" and now - slot.moved_at > PATIENCE_SECONDS:
            self._bury(slot, f"worker {slot.number} built nothing in {PATIENCE_SECONDS:g} s")
        if slot.state != "working":
            return
        position, hop = int(self._statistics[slot.number][5]), slot.built.need.hop if slot.built else 1
        patience = max(_HUNG_SECONDS, _HUNG_HOPS * hop / self._rate)
        if position != slot.position or self._input.end - position < hop:
            slot.position, slot.moved_at = position, now
        elif now - slot.moved_at > patience:
            self._bury(slot, f"worker {slot.number} did nothing for {patience:g} s")

    def _hear_refusal(self, slot: Slot) -> None:
        """Tell why a worker cannot build the board that plays; of the next one `_pursue_change` tells."""
        if slot.refused and slot.fits(self.plan) and not slot.told and self.next is None:
            slot.told = True
            self.events.append(Notice(f"the board cannot be built again: {slot.refused}", "refused"))

    def _bury(self, slot: Slot, reason: str) -> None:
        self._statistics[slot.number][STATISTICS.index("working")] = 0
        if self.next is not None and slot.number != self.playing and slot.fits(self.next):
            # Whatever ended it, the board that plays must not end with it.
            given_up = f"the next board is given up: {reason} with it"
            self.events.append(Notice(given_up, "refused"))
            self._give_up_next(given_up)
        slot.bury()
        self._traffic.lose(slot)
        self.events.append(Notice(reason, "worker_lost"))
        if self.deaths.enter(reason):
            self._give_up_next(self.deaths.given_up)
            sentence = f"{self.deaths.given_up}; no more are started until the engine is restarted"
            self.events.append(Notice(sentence, "gave_up"))

    def _keep_standby(self) -> None:
        """Take over from a lost worker, replace the dead, and let the standby hold the board that plays."""
        playing, other = self.slots[self.playing], self.slots[1 - self.playing]
        playing.follow(self.plan)
        if playing.state != "working":
            if not self.deaths.given_up:
                self._take_over(playing, other)
        elif self.next is None and other.member is not None:
            self._settle(other)
        for slot in self.slots:
            if slot.member is None and not self.deaths.given_up:
                slot.hire(self.plan, self._rate, self._join(slot.number))

    def _take_over(self, lost: Slot, other: Slot) -> None:
        """Let the first worker that has the board play on."""
        if self._in_step(other) and other.fits(self.plan):
            self.playing = other.number
            self.events.append(Notice(f"worker {other.number} took over", "took_over"))
            return
        ready = [slot for slot in (other, lost) if slot.state == "resting" and slot.built is not None]
        if other.state != "working" and ready and ready[0].follow(self.plan):
            self._start(ready[0])

    def _settle(self, other: Slot) -> None:
        """Bring the worker that does not play to rest, with the playing board."""
        if other.state == "working" and int(self._counters[COUNTERS.index("playing")]) != other.number:
            self._rest(other)
        if other.state == "resting" and not other.fits(self.plan):
            other.build(self.plan, self._rate)

    @property
    def lost(self) -> bool:
        """Whether no worker plays and none will."""
        return bool(self.deaths.given_up) and self.slots[self.playing].state != "working"

    @property
    def standby(self) -> str:
        """What the worker that does not play is at: "ready", "building", "working" towards a swap, "none"."""
        other = self.slots[1 - self.playing]
        if other.member is None or other.refused:
            return "none"
        return "ready" if other.state == "resting" and other.built is not None else other.state
