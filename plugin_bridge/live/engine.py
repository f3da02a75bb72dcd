"""The live engine, from the control process's side: start, watch, change, stop.

It never touches audio. `tick`, called some fifty times a second, is where everything happens that is not
a callback: dead or hung workers are replaced, a changed board is built in the standby worker and swapped in,
and what happened is collected for people.
"""

from __future__ import annotations

import atexit
import time
from collections import deque
from typing import Any

from plugin_bridge.errors import DeviceError, PresetError
from plugin_bridge.live import audio_process, protocol
from plugin_bridge.live.audio_side import AudioSide
from plugin_bridge.live.crew import PATIENCE_SECONDS, SPAWN, Slot
from plugin_bridge.live.deaths import Deaths
from plugin_bridge.live.figures import RateMeter, counters, meters_dbfs, worker_figures
from plugin_bridge.live.latency import FADE_FRAMES, Latency
from plugin_bridge.live.plans import form, moved
from plugin_bridge.live.playback import COUNTERS, DRY, SLOTS, playback_specs
from plugin_bridge.live.request import LARGEST_BLOCK, EngineRequest, check_block
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.worker_words import STATISTICS

__all__ = ["Engine", "EngineRequest"]

_HUNG_SECONDS = 0.5
_HUNG_HOPS = 3
_HISTORY_SECONDS = 0.5
_RING_SECONDS = 2.0
_WORKERS_PATIENCE_SECONDS = 0.2  # they keep nothing that would be lost


class Engine:
    """An audio process, a worker that plays, and one that stands by.

    `run_audio` is what the audio process runs; a driver of one's own gets in there.

    Raises `DeviceError` where the device cannot be opened or memory is short, and `PresetError` for a
    board that cannot be built, `ValueError` for a request out of range.
    """

    def __init__(self, request: EngineRequest, run_audio: Any = audio_process.run_audio) -> None:
        self.request, self._run_audio = request, run_audio
        self.events: deque[str] = deque(maxlen=1000)
        self.finished = False
        self.bypass = False
        self._rate_meter = RateMeter()
        self._wakes = tuple(SPAWN.Semaphore(0) for _ in range(SLOTS))
        self._slots = [Slot(number, wake) for number, wake in enumerate(self._wakes)]
        self._segment: Segment | None = None
        self._audio: AudioSide | None = None
        self._deaths = Deaths()
        self._next: protocol.BoardPlan | None = None
        self._plan = request.plan
        self._active = 0
        self._refused_block = 0
        atexit.register(self.stop)  # for those who forget; before multiprocessing ends what is left
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._audio = AudioSide(self._run_audio, self._wakes, self.request.audio)
        self.sample_rate, self.block = self._audio.opened.sample_rate, self._audio.opened.block
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
        block = max(self.largest_block, LARGEST_BLOCK)  # a host may choose any while it runs
        room = max(round(_RING_SECONDS * self.sample_rate), 4 * (self.latency.total + block))
        self._segment = Segment(playback_specs(rows, room))
        self._counters, self._wanted = self._segment["counters"], self._segment["wanted"]
        self._statistics = [self._segment[f"statistics{slot}"] for slot in range(SLOTS)]
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
        self._audio.begin(
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
        if self._audio is not None:
            self._audio.tell(protocol.Quit())
        for slot in self._slots:
            if slot.member is not None:
                slot.member.end(_WORKERS_PATIENCE_SECONDS)
        if self._audio is not None:
            self._audio.stop()
        self._audio = None
        for slot in self._slots:
            slot.member = None
        if self._segment is not None:
            for name in ("_counters", "_wanted", "_statistics", "_input", "_results"):
                self.__dict__.pop(name, None)
            self._segment.close()
            self._segment = None
        atexit.unregister(self.stop)

    def move(self, strip: str, parameter: str, value: float | bool) -> None:
        """Move a strip's `gain_db`, `pan`, `mute` or `solo`; "master" names the master."""
        if self._next is not None:
            self._next = moved(self._next, strip, {parameter: value})
        self._follow(moved(self._plan, strip, {parameter: value}))

    def _follow(self, plan: protocol.BoardPlan) -> None:
        self._plan = plan
        self._slots[self._active].follow(plan)

    @property
    def plan(self) -> protocol.BoardPlan:
        """The board that plays, or the one on its way."""
        return self._next or self._plan

    def set_bypass(self, bypass: bool) -> None:
        """Play the delayed mix instead of the board, at the same latency; also for a host's latency ping."""
        self.bypass = bypass
        self._point()

    def change(self, plan: protocol.BoardPlan) -> None:
        """Change to another board.

        Levels and effect values move at once; all else is built aside and swapped in. Of several changes
        in a row the last one wins. Raises `PresetError` for strips that the stems lack, or where no worker
        can build it any more.
        """
        unknown = sorted(set(plan.strips) - set(self.sources))
        if unknown:
            raise PresetError(f"strips must be among {', '.join(self.sources)}, got '{unknown[0]}'")
        if form(plan) == form(self._plan) and self._next is None:
            self._follow(plan)
        elif self._deaths.given_up:
            raise PresetError(
                f"another board must be built by a second worker, got none: {self._deaths.given_up}; restart"
            )
        else:
            self._next = plan

    def set_block(self, frames: int) -> None:
        """Another block size, for drivers without a device. Raises `ValueError` out of range."""
        check_block("block", frames)
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

    def tick(self) -> None:
        """Look after everything once."""
        self._hear_audio()
        self._rate_meter.note(time.monotonic(), int(self._counters[0]))
        for slot in self._slots:
            slot.listen()
            self.events.extend(slot.complaints)
            slot.complaints.clear()
            self._hear_refusal(slot)
            self._watch(slot)
        self._pursue_change()
        self._keep_standby()
        self._point()

    def _hear_audio(self) -> None:
        assert self._audio is not None
        self.events.extend(self._audio.tick())
        self.finished = self._audio.finished
        refused = int(self._counters[COUNTERS.index("refused_block")])
        if refused != self._refused_block:
            self._refused_block = refused
            self.events.append(
                f"the host's block must be at most {self.largest_block} frames at this latency, got "
                f"{refused}: it is played as the delayed mix; restart with --largest-block {refused}"
            )

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
        patience = max(_HUNG_SECONDS, _HUNG_HOPS * hop / self.sample_rate)
        if position != slot.position or self._input.end - position < hop:
            slot.position, slot.moved_at = position, now
        elif now - slot.moved_at > patience:
            self._bury(slot, f"worker {slot.number} did nothing for {patience:g} s")

    def _hear_refusal(self, slot: Slot) -> None:
        """Tell why a worker cannot build the board that plays; of the next one `_pursue_change` tells."""
        if slot.refused and slot.fits(self._plan) and not slot.told and self._next is None:
            slot.told = True
            self.events.append(f"the board cannot be built again: {slot.refused}")

    def _bury(self, slot: Slot, reason: str) -> None:
        self._statistics[slot.number][STATISTICS.index("working")] = 0
        if self._next is not None and slot.number != self._active and slot.fits(self._next):
            # Whatever ended it, the board that plays must not end with it.
            self._next = None
            self.events.append(f"the next board is given up: {reason} with it")
        slot.bury()
        self.events.append(reason)
        if self._deaths.enter(reason):
            self._next = None
            self.events.append(f"{self._deaths.given_up}; no more are started until the engine is restarted")

    def _pursue_change(self) -> None:
        """Carry the next plan forward: build it in the other worker, start it, swap when it is in step."""
        if self._next is None or self._deaths.given_up:
            return
        other = self._slots[1 - self._active]
        if other.member is None or other.state == "building":
            return
        if not other.follow(self._next):
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
        if slot.built.sources != self.sources:
            return (
                f"the model must give the stems {', '.join(self.sources)} while the engine runs, got "
                f"{', '.join(slot.built.sources)}; restart to change them"
            )
        return self.latency.misfit(slot.built.need, self.largest_block, self.sample_rate)

    def _in_step(self, slot: Slot) -> bool:
        """Whether a worker's results reach far enough ahead of what is being played."""
        needed = self._input.end - self.latency.total + self.largest_block + FADE_FRAMES
        return slot.state == "working" and self._results[slot.number].end >= needed

    def _keep_standby(self) -> None:
        """Take over from a lost worker, replace the dead, and let the standby hold the board that plays."""
        active, other = self._slots[self._active], self._slots[1 - self._active]
        active.follow(self._plan)
        if active.state != "working":
            if not self._deaths.given_up:
                self._take_over(active, other)
        elif self._next is None and other.member is not None:
            self._settle(other)
        for slot in self._slots:
            if slot.member is None and not self._deaths.given_up:
                slot.hire(self._plan, self.sample_rate, self._join(slot.number))

    def _take_over(self, active: Slot, other: Slot) -> None:
        """Let the first worker that has the board play on."""
        if self._in_step(other):
            self._active = other.number
            self.events.append(f"worker {other.number} took over")
            return
        ready = [slot for slot in (other, active) if slot.state == "resting" and slot.built is not None]
        if other.state != "working" and ready and ready[0].follow(self._plan):
            ready[0].start(round(_HISTORY_SECONDS * self.sample_rate))

    def _settle(self, other: Slot) -> None:
        """Bring the worker that does not play to rest, with the playing board."""
        if other.state == "working" and int(self._counters[COUNTERS.index("playing")]) != other.number:
            other.rest()
        if other.state == "resting" and not other.fits(self._plan):
            other.build(self._plan, self.sample_rate)

    def _point(self) -> None:
        active = self._slots[self._active]
        self._wanted[0] = DRY if self.bypass or self._lost else active.number

    @property
    def _lost(self) -> bool:
        """Whether no worker plays and none will."""
        return bool(self._deaths.given_up) and self._slots[self._active].state != "working"

    @property
    def _standby(self) -> str:
        """What the worker that does not play is at: "ready", "building", "working" towards a swap, "none"."""
        other = self._slots[1 - self._active]
        if other.member is None or other.refused:
            return "none"
        return "ready" if other.state == "resting" and other.built is not None else other.state

    def status(self) -> dict[str, Any]:
        """Counters and figures: frames and times as numbers, levels in dBFS."""
        assert self._segment is not None
        active = self._slots[self._active]
        state = "fallback" if self._lost else "bypass" if self.bypass else "running"
        hop = active.built.need.hop if active.built else 0
        return {
            "state": state,
            "reason": self._deaths.given_up,
            "standby": self._standby,
            "sample_rate": self.sample_rate,
            "actual_sample_rate": round(self._rate_meter.hz, 1),
            "latency": self.latency.total,
            "deaths": self._deaths.count,
            **counters(self._segment),
            **worker_figures(self._segment, hop / self.sample_rate),
            "ring_fill": self._results[active.number].end - self._input.end + self.latency.total,
            "meters_dbfs": meters_dbfs(self._segment, ("main", *self.sources)),
        }
