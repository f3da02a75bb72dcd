"""The live engine, from the control process's side: start, watch, change, stop.

It never touches audio. `tick`, called some fifty times a second, is where everything happens that is not
a callback: dead or hung workers are replaced, a changed board is built in the standby worker and swapped in,
and what happened is collected for people.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plugin_bridge.errors import DeviceError, PresetError
from plugin_bridge.live import audio_process, protocol
from plugin_bridge.live.crew import SPAWN, Member, Slot, hire
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.latency import FADE_FRAMES, Latency
from plugin_bridge.live.playback import COUNTERS, DRY, SLOTS, playback_specs
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS, percentiles

_HUNG_SECONDS = 0.5
_DEATHS_WINDOW_SECONDS = 60.0
_MOST_DEATHS = 3
_HISTORY_SECONDS = 0.5
_RING_SECONDS = 2.0


@dataclass(frozen=True)
class EngineRequest:
    """What an engine is to be: its audio, its board, and how much latency to plan beyond the least.

    `safety_ms` is the time a worker may be late, 0 to derive it from a hop's measured time; `reserve_ms` is kept
    free for models, presets and blocks that need more; `largest_block` is the largest host block planned for, 0
    for the driver's own.
    """

    audio: AudioRequest
    plan: protocol.BoardPlan
    safety_ms: float = 0.0
    reserve_ms: float = 0.0
    largest_block: int = 0


class Engine:
    """An audio process, a worker that plays, and one that stands by.

    Raises `DeviceError` where the device cannot be opened or memory is short, and `PresetError` for a board that
    cannot be built.
    """

    def __init__(self, request: EngineRequest) -> None:
        self.request = request
        self.events: deque[str] = deque(maxlen=1000)
        self.finished = False
        self.bypass = False
        self._wakes = tuple(SPAWN.Semaphore(0) for _ in range(SLOTS))
        self._slots = [Slot(number, wake) for number, wake in enumerate(self._wakes)]
        self._segment: Segment | None = None
        self._audio: Member | None = None
        self._deaths: deque[float] = deque()
        self._given_up = ""
        self._next: protocol.BoardPlan | None = None
        self._plan = request.plan
        self._active = 0
        self._refused_block = 0
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    # --- start and stop ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._audio = hire(audio_process.run_audio, self._wakes, self.request.audio)
        opened = self._audio.answer("the audio process")
        if isinstance(opened, protocol.Refused):
            raise DeviceError(opened.reason)
        self.sample_rate, self.block = opened.sample_rate, opened.block
        first = self._slots[0]
        first.hire(self._plan, self.sample_rate, None)
        assert first.member is not None
        first.take(first.member.answer("the worker"))
        if first.built is None:
            raise PresetError(first.refused)
        self.sources = first.built.sources
        self.largest_block = max(self.block, self.request.largest_block)
        self.latency = self._planned(first.built)
        self._share()
        first.member.tell(self._join(0))
        self._begin(first)
        self._slots[1].hire(self._plan, self.sample_rate, self._join(1))

    def _planned(self, built: protocol.Built) -> Latency:
        rate, hop_frames = self.sample_rate, built.worst_seconds * self.sample_rate
        least = max(1.5 * hop_frames, 0.002 * rate)
        safety = round(self.request.safety_ms * rate / 1000) if self.request.safety_ms else round(least)
        reserve = round(self.request.reserve_ms * rate / 1000)
        return Latency.planned(built.need, self.largest_block, safety, reserve)

    def _share(self) -> None:
        rows = 1 + len(self.sources)
        room = max(round(_RING_SECONDS * self.sample_rate), 4 * (self.latency.total + self.largest_block))
        self._segment = Segment(playback_specs(rows, room))
        self._counters, self._wanted = self._segment["counters"], self._segment["wanted"]
        self._meters = self._segment["meters"]
        self._statistics = [self._segment[f"statistics{slot}"] for slot in range(SLOTS)]
        self._times = [self._segment[f"times{slot}"] for slot in range(SLOTS)]
        self._input = Ring(self._segment, "in")
        self._results = [Ring(self._segment, f"out{slot}") for slot in range(SLOTS)]
        self._wanted[0] = DRY

    def _join(self, slot: int) -> protocol.Join:
        assert self._segment is not None
        return protocol.Join(self._segment.name, self._segment.specs, slot, 1 + len(self.sources))

    def _begin(self, first: Slot) -> None:
        """Start the worker at frame 0, then the driver, so that the very first frame is wet."""
        assert self._segment is not None and self._audio is not None
        first.start(0)
        self._await(lambda: bool(self._statistics[0][STATISTICS.index("working")]), "the worker")
        self._active, self._wanted[0] = 0, 0
        rows = ("main", *self.sources)
        self._audio.tell(
            audio_process.Begin(
                self._segment.name, self._segment.specs, rows, self.latency.total, self.largest_block
            )
        )

    def _await(self, done: Any, who: str) -> None:
        patience = time.monotonic() + 30
        while not done():
            if time.monotonic() > patience:
                raise DeviceError(f"{who} must start within 30 s, got nothing")
            time.sleep(0.001)

    def stop(self) -> None:
        """End every process and give the shared memory back."""
        for member in [self._audio, *(slot.member for slot in self._slots)]:
            if member is not None:
                member.end()
        self._audio = None
        for slot in self._slots:
            slot.member = None
        if self._segment is not None:
            for name in ("_counters", "_wanted", "_meters", "_statistics", "_times", "_input", "_results"):
                self.__dict__.pop(name, None)
            self._segment.close()
            self._segment = None

    # --- changes ----------------------------------------------------------------------------------------------

    def move(self, strip: str, parameter: str, value: float | bool) -> None:
        """Move a strip's `gain_db`, `pan`, `mute` or `solo`; "master" names the master."""
        self._tell_workers(protocol.Move(strip, parameter, value))
        self._plan = _moved(self._plan, strip, {parameter: value})

    def set_bypass(self, bypass: bool) -> None:
        """Play the delayed mix instead of the board, at the same latency; also for a host's latency ping."""
        self.bypass = bypass
        self._point()

    def change(self, plan: protocol.BoardPlan) -> None:
        """Change to another board: levels and effect values move at once, all else is built aside and swapped in.

        Of several changes in a row the last one wins.
        """
        if _form(plan) == _form(self._plan) and self._next is None:
            for message in _moves(self._plan, plan):
                self._tell_workers(message)
            self._plan = plan
        else:
            self._next = plan

    def set_block(self, frames: int) -> None:
        """Another block size, for drivers without a device."""
        if self._audio is not None:
            self._audio.tell(audio_process.SetBlock(frames))

    def fail(self, how: str) -> None:
        """Let the playing worker raise or hang, to show that the engine survives it."""
        member = self._slots[self._active].member
        if member is not None:
            member.tell(protocol.Fail(how))

    @property
    def playing_process(self) -> int | None:
        """The process id of the worker that plays."""
        member = self._slots[self._active].member
        return member.process.pid if member is not None else None

    def _tell_workers(self, message: object) -> None:
        for slot in self._slots:
            if slot.member is not None and slot.plan is not None and _form(slot.plan) == _form(self._plan):
                slot.member.tell(message)

    # --- watching ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after everything once."""
        self._hear_audio()
        for slot in self._slots:
            slot.listen()
            self._watch(slot)
        self._pursue_change()
        self._keep_standby()
        self._point()

    def _hear_audio(self) -> None:
        assert self._audio is not None
        for message in self._audio.heard():
            if isinstance(message, audio_process.Happened):
                self.events.append(message.event)
            elif isinstance(message, audio_process.Finished):
                self.finished = True
        if not self.finished and not self._audio.alive:
            raise DeviceError("the audio process must run, got its end; see the lines above for the reason")
        refused = int(self._counters[COUNTERS.index("refused_block")])
        if refused != self._refused_block:
            self._refused_block = refused
            self.events.append(
                f"the host's block must be at most {self.largest_block} frames at this latency, got {refused}: it is "
                f"played as the delayed mix; restart with --largest-block {refused}"
            )

    def _watch(self, slot: Slot) -> None:
        member, now = slot.member, time.monotonic()
        if member is None:
            return
        if not member.alive:
            self._bury(slot, f"worker {slot.number} ended with code {member.process.exitcode}")
            return
        if slot.state != "working":
            return
        position, hop = int(self._statistics[slot.number][5]), slot.built.need.hop if slot.built else 1
        if position != slot.position or self._input.end - position < 2 * hop:
            slot.position, slot.moved_at = position, now
        elif now - slot.moved_at > _HUNG_SECONDS:
            self._bury(slot, f"worker {slot.number} did nothing for {_HUNG_SECONDS:g} s")

    def _bury(self, slot: Slot, reason: str) -> None:
        self._statistics[slot.number][STATISTICS.index("working")] = 0
        slot.bury()
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths and now - self._deaths[0] > _DEATHS_WINDOW_SECONDS:
            self._deaths.popleft()
        self.events.append(reason)
        if len(self._deaths) >= _MOST_DEATHS and not self._given_up:
            self._given_up = f"{len(self._deaths)} workers died within a minute, the last because: {reason}"
            self.events.append(f"{self._given_up}; the delayed mix plays until the engine is restarted")

    def _pursue_change(self) -> None:
        """Carry the next plan forward: build it in the other worker, start it, and swap when it is in step."""
        if self._next is None or self._given_up:
            return
        other = self._slots[1 - self._active]
        if other.member is None or other.state == "building":
            return
        if other.plan != self._next:
            other.rest()
            other.build(self._next, self.sample_rate)
        elif other.refused or self._misfit(other):
            self.events.append(other.refused or self._misfit(other))
            self._next = None
            other.build(self._plan, self.sample_rate)
        elif other.state == "resting":
            other.start(round(_HISTORY_SECONDS * self.sample_rate))
        elif self._in_step(other):
            self._plan, self._next = self._next, None
            self._active = other.number

    def _misfit(self, slot: Slot) -> str:
        """Why a built board cannot play in this engine; empty if it can."""
        assert slot.built is not None
        lacking = self.latency.lacks(slot.built.need, self.largest_block)
        if lacking:
            return (
                f"the board must fit the latency of {self.latency.total} frames, got one that needs {lacking} more; "
                f"restart with --reserve-ms {1000 * lacking / self.sample_rate:.0f}"
            )
        if slot.built.sources != self.sources:
            return (
                f"the model must give the stems {', '.join(self.sources)} while the engine runs, got "
                f"{', '.join(slot.built.sources)}; restart to change them"
            )
        return ""

    def _in_step(self, slot: Slot) -> bool:
        """Whether a worker's results reach far enough ahead of what is being played."""
        needed = self._input.end - self.latency.total + self.largest_block + FADE_FRAMES
        return slot.state == "working" and self._results[slot.number].end >= needed

    def _keep_standby(self) -> None:
        """Replace the dead, take over from a lost worker, and let the standby hold the plan that plays."""
        active, other = self._slots[self._active], self._slots[1 - self._active]
        if active.member is None and other.state == "resting" and other.built and other.plan == self._plan:
            other.start(round(_HISTORY_SECONDS * self.sample_rate))
        if active.member is None and self._in_step(other):
            self._active = other.number
            self.events.append(f"worker {other.number} took over")
            return
        for slot in self._slots:
            if slot.member is None and not self._given_up:
                slot.hire(self._plan, self.sample_rate, self._join(slot.number))
        if self._next is None and active.state == "working" and other.member is not None:
            self._settle(other)

    def _settle(self, other: Slot) -> None:
        """Bring the worker that does not play to rest, with the playing board."""
        if other.state == "working" and int(self._counters[COUNTERS.index("playing")]) != other.number:
            other.rest()
        if other.state == "resting" and other.plan is not None and _form(other.plan) != _form(self._plan):
            other.build(self._plan, self.sample_rate)

    def _point(self) -> None:
        active = self._slots[self._active]
        self._wanted[0] = DRY if self.bypass or (active.member is None and self._given_up) else active.number

    # --- status -----------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Counters and figures: frames and times as numbers, levels in dBFS."""
        counters = {name: int(self._counters[at]) for at, name in enumerate(COUNTERS)}
        statistics = [
            {name: int(words[at]) for at, name in enumerate(STATISTICS)} for words in self._statistics
        ]
        p50, p99, p999 = percentiles(np.sum(self._times, axis=0), 0.5, 0.99, 0.999)
        hops = {
            name: sum(words[name] for words in statistics) for name in ("hops", "own_misses", "machine_late")
        }
        built = self._slots[self._active].built
        deadline = built.need.hop / self.sample_rate if built else 0.0
        levels = 20 * np.log10(np.maximum(self._meters, 1e-9))
        return {
            **counters,
            **hops,
            "state": (self._given_up and "fallback") or ("bypass" if self.bypass else "running"),
            "sample_rate": self.sample_rate,
            "latency": self.latency.total,
            "hop_seconds": deadline,
            "worker_p50_ms": 1000 * p50,
            "worker_p99_ms": 1000 * p99,
            "worker_p999_ms": 1000 * p999,
            "worker_worst_ms": max(words["worst_ns"] for words in statistics) / 1e6,
            "load": p50 / deadline if deadline else 0.0,
            "ring_fill": self._results[self._active].end - counters["frames"] + self.latency.total,
            "deaths": len(self._deaths),
            "meters_dbfs": dict(zip(("main", *self.sources), levels.round(1).tolist(), strict=True)),
        }


def _form(plan: protocol.BoardPlan) -> tuple[Any, ...]:
    """What cannot be moved while running: the model, and which effects stand where."""

    def effects(strip: dict[str, Any]) -> tuple[Any, ...]:
        return tuple((effect["effect"], tuple(sorted(effect))) for effect in strip.get("effects", []))

    strips = tuple(
        (source, effects(strip)) for source, strip in sorted(plan.strips.items()) if strip.get("effects")
    )
    return plan.model, strips, effects(plan.master)


_LEVELS: dict[str, Any] = {"gain_db": 0.0, "pan": 0.0, "mute": False, "solo": False}


def _moves(old: protocol.BoardPlan, new: protocol.BoardPlan) -> list[object]:
    """What leads from one plan to another of the same form."""
    messages: list[object] = []
    for name in {*old.strips, *new.strips, "master"}:
        before = old.master if name == "master" else old.strips.get(name, {})
        after = new.master if name == "master" else new.strips.get(name, {})
        for parameter, default in _LEVELS.items():
            value = after.get(parameter, default)
            if value != before.get(parameter, default):
                messages.append(protocol.Move(name, parameter, value))
        pairs = zip(before.get("effects", []), after.get("effects", []), strict=True)
        for at, (one, other) in enumerate(pairs):
            messages += [
                protocol.MoveEffect(name, at, key, other[key]) for key in other if other[key] != one[key]
            ]
    return messages


def _moved(plan: protocol.BoardPlan, strip: str, values: dict[str, Any]) -> protocol.BoardPlan:
    if strip == "master":
        return replace(plan, master={**plan.master, **values})
    return replace(plan, strips={**plan.strips, strip: {**plan.strips.get(strip, {}), **values}})
