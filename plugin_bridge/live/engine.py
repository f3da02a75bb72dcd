"""The live engine, from the control process's side: start, watch, change, stop.

It never touches audio. `tick`, called some fifty times a second, is where everything happens that is not
a callback: dead or hung workers are replaced, a changed board is built in the standby worker and swapped in,
and what happened is collected for people.
"""

from __future__ import annotations

import atexit
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.live import audio_process, protocol
from plugin_bridge.live.audio_side import AudioSide
from plugin_bridge.live.crew import SPAWN
from plugin_bridge.live.figures import RateMeter, counters, meters_dbfs, worker_figures
from plugin_bridge.live.latency import Latency
from plugin_bridge.live.meters import levels_dbfs
from plugin_bridge.live.notice import Notice
from plugin_bridge.live.playback import COUNTERS, DRY, SLOTS, playback_specs
from plugin_bridge.live.request import LARGEST_BLOCK, EngineRequest, check_block
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment
from plugin_bridge.live.time_tag import TimeTag
from plugin_bridge.live.troupe import Told, Troupe

__all__ = ["Engine", "EngineRequest"]

_RING_SECONDS = 2.0


class Engine:
    """An audio process, a worker that plays, and one that stands by.

    `run_audio` is what the audio process runs; a driver of one's own gets in there. An engine that is `held`
    has opened its device and built its board, and plays from `begin` on.

    Raises `DeviceError` where the device cannot be opened or memory is short, and `PresetError` for a
    board that cannot be built, `ValueError` for a request out of range.
    """

    def __init__(
        self, request: EngineRequest, run_audio: Any = audio_process.run_audio, *, held: bool = False
    ) -> None:
        self.request, self._run_audio = request, run_audio
        self.finished = False
        self.bypass = self.ping_mode = False
        self._rate_meter = RateMeter()
        self._wakes = tuple(SPAWN.Semaphore(0) for _ in range(SLOTS))
        self._segment: Segment | None = None
        self._audio: AudioSide | None = None
        self._troupe: Troupe | None = None
        self._refused_block = 0
        atexit.register(self.stop)  # for those who forget; before multiprocessing ends what is left
        try:
            self._start()
            if not held:
                self.begin()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._audio = AudioSide(self._run_audio, self._wakes, self.request.audio)
        self.sample_rate, self.block = self._audio.opened.sample_rate, self._audio.opened.block
        self._troupe = Troupe(self.request.plan, self.sample_rate, self._wakes)
        built = self._troupe.build_first()
        self.sources = built.sources
        self.largest_block = max(self.block, self.request.largest_block)
        self.latency = self._planned(built)
        self._share()
        assert self._segment is not None
        self._troupe.join(self._segment, self.latency, self.largest_block)

    def begin(self) -> None:
        """Start to play. Raises `DeviceError` where the worker does not start."""
        assert self._segment is not None
        assert self._audio is not None
        self.troupe.begin()
        self._point()
        self._audio.begin(
            audio_process.Begin(
                self._segment.name,
                self._segment.specs,
                ("main", *self.sources),
                self.latency.total,
                self.largest_block,
            )
        )

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
        self._input = Ring(self._segment, "in")
        self._results = [Ring(self._segment, f"out{slot}") for slot in range(SLOTS)]
        self._time_tag = TimeTag(self._segment)
        self._wanted[0] = DRY

    def stop(self) -> None:
        """End every process and give the shared memory back."""
        if self._audio is not None:
            self._audio.tell(protocol.Quit())
        if self._troupe is not None:
            self._troupe.stop()
        if self._audio is not None:
            self._audio.stop()
        self._audio = None
        if self._segment is not None:
            for name in ("_counters", "_wanted", "_input", "_results", "_time_tag"):
                self.__dict__.pop(name, None)
            self._segment.close()
            self._segment = None
        atexit.unregister(self.stop)

    @property
    def troupe(self) -> Troupe:
        """The workers."""
        assert self._troupe is not None
        return self._troupe

    @property
    def events(self) -> deque[str]:
        """What happened, one sentence each (`Notice`); for the caller to empty."""
        return self.troupe.events

    # --- moves and changes ---------------------------------------------------------------------------------

    @property
    def parameters(self) -> Mapping[Key, Parameter]:
        """What can be moved, in the board's order."""
        return self.troupe.parameters

    @property
    def values(self) -> Mapping[Key, Value]:
        """Where every parameter is or heads for."""
        return self.troupe.values

    def move(self, changes: Sequence[protocol.Change], frame: int | None = None) -> None:
        """Move parameters at one instant: with the next `flush`, or at an absolute frame of the input.

        Raises `ValueError` when too many moves wait for their frame.
        """
        self.troupe.move(changes, frame)

    def flush(self) -> None:
        """Say moves to the workers now; `tick` does so too."""
        self.troupe.flush()

    @property
    def plan(self) -> protocol.BoardPlan:
        """The board that plays, or the one on its way."""
        return self.troupe.next or self.troupe.plan

    def change(self, plan: protocol.BoardPlan, told: Told | None = None) -> None:
        """Change to another board.

        Levels and effect values move at once; all else is built aside and swapped in. Of several changes
        in a row the last one wins. `told` hears how it ended. Raises `PresetError` for strips that the stems
        lack, or where no worker can build it any more.
        """
        self.troupe.change(plan, told)

    def set_bypass(self, bypass: bool) -> None:
        """Play the delayed mix instead of the board, at the same latency."""
        self.bypass = bypass
        self._point()

    def set_ping_mode(self, on: bool) -> None:
        """Let the delayed mix pass for a host's latency ping; the bypass stays as it is."""
        self.ping_mode = on
        self._point()

    def set_block(self, frames: int) -> None:
        """Another block size, for drivers without a device. Raises `ValueError` out of range."""
        check_block("block", frames)
        if self._audio is not None:
            self._audio.tell(audio_process.SetBlock(frames))

    def fail(self, how: str) -> None:
        """Let the playing worker raise or hang, to show that the engine survives it."""
        member = self.troupe.slots[self.troupe.playing].member
        if member is not None:
            member.tell(protocol.Fail(how))

    @property
    def playing_process(self) -> int | None:
        """The process id of the worker that plays."""
        member = self.troupe.slots[self.troupe.playing].member
        return member.process.pid if member is not None else None

    @property
    def counters(self) -> dict[str, int]:
        """What the audio process has counted."""
        assert self._segment is not None
        return counters(self._segment)

    @property
    def time_tag(self) -> tuple[int, int] | None:
        """How many frames had come in at which time of `time.monotonic_ns`, at the last callback."""
        return self._time_tag.read()

    # --- watching ------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after everything once."""
        self._hear_audio()
        self._rate_meter.note(time.monotonic(), int(self._counters[0]))
        self.troupe.tick()
        self._point()

    def _hear_audio(self) -> None:
        assert self._audio is not None
        self.events.extend(self._audio.tick())
        self.finished = self._audio.finished
        refused = int(self._counters[COUNTERS.index("refused_block")])
        if refused != self._refused_block:
            self._refused_block = refused
            self.events.append(
                Notice(
                    f"the host's block must be at most {self.largest_block} frames at this latency, got "
                    f"{refused}: it is played as the delayed mix; restart with --largest-block {refused}",
                    "block_too_large",
                )
            )

    def _point(self) -> None:
        dry = self.bypass or self.ping_mode or self.troupe.lost
        self._wanted[0] = DRY if dry else self.troupe.playing

    @property
    def _state(self) -> str:
        if self.troupe.lost:
            return "fallback"
        return "bypass" if self.bypass else "ping" if self.ping_mode else "running"

    def levels_dbfs(self) -> dict[str, tuple[float, float, float, float]]:
        """Peak and mean power, left and right, of "in", "master" and every stem, in dBFS from -120."""
        assert self._segment is not None
        return dict(zip(("in", "master", *self.sources), levels_dbfs(self._segment), strict=True))

    def status(self) -> dict[str, Any]:
        """Counters and figures: frames and times as numbers, levels in dBFS."""
        assert self._segment is not None
        playing = self.troupe.slots[self.troupe.playing]
        hop = playing.built.need.hop if playing.built else 0
        return {
            "state": self._state,
            "reason": self.troupe.deaths.given_up,
            "standby": self.troupe.standby,
            "sample_rate": self.sample_rate,
            "actual_sample_rate": round(self._rate_meter.hz, 1),
            "latency": self.latency.total,
            "deaths": self.troupe.deaths.count,
            **counters(self._segment),
            **worker_figures(self._segment, hop / self.sample_rate),
            "ring_fill": self._results[playing.number].end - self._input.end + self.latency.total,
            "meters_dbfs": meters_dbfs(self._segment, ("main", *self.sources)),
        }
