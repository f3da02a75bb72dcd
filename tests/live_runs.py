"""What tests of the live engine share: noise in a file, a run to its end, and patience instead of clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.protocol import BoardPlan

PATIENCE_SECONDS = 90.0


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Stereo noise that is never near zero, so that what it was multiplied by can be told at every frame."""
    draw = np.random.default_rng(seed)
    frames = round(seconds * rate)
    size = draw.uniform(0.05, 0.2, (2, frames))
    return (size * draw.choice([-1.0, 1.0], (2, frames))).astype(np.float32)


def to_file(audio: np.ndarray, rate: int, path: Path) -> Path:
    """Write audio as float32 and give its path back."""
    soundfile.write(path, audio.T, rate, subtype="FLOAT")
    return path


@dataclass
class Run:
    """An engine and the files it plays from and to."""

    engine: Engine
    target: Path

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Look after the engine until something is so."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < patience, f"{what}: {self.status} {list(self.engine.events)}"
            self.engine.tick()
            time.sleep(0.002)

    def for_frames(self, frames: int) -> None:
        """Look after the engine while so many frames are played."""
        end = self.frames + frames
        self.until(lambda: self.frames >= end, f"frame {end}")

    def to_the_end(self) -> None:
        """Look after the engine until there is nothing more to play."""
        self.until(lambda: self.engine.finished, "the end")

    def wet(self) -> bool:
        """Whether a worker that works is being played."""
        playing = self.status["playing"]
        return playing in (0, 1) and self.engine.troupe.slots[playing].state == "working"

    def settled(self) -> bool:
        """Whether one worker plays and the other stands by with its board built."""
        return self.wet() and self.status["standby"] == "ready"

    @property
    def frames(self) -> int:
        """Frames played."""
        return int(self.status["frames"])

    @property
    def status(self) -> dict:
        """The engine's status."""
        return self.engine.status()

    def recorded(self) -> np.ndarray:
        """What was recorded, after the engine has stopped; `(2 * rows, frames)`, the latency taken out."""
        return soundfile.read(self.target, dtype="float32", always_2d=True)[0].T


@contextmanager
def running(
    driver: str,
    source: Path,
    plan: BoardPlan,
    *,
    block: int = 256,
    safety_ms: float = 0.0,
    reserve_ms: float = 0.0,
    largest_block: int = 0,
) -> Iterator[Run]:
    """An engine that plays a file and records beside it; stopped at the end, whatever happened."""
    target = source.with_name(f"{driver}-{plan.model}-{block}.wav")
    audio = AudioRequest(driver, block=block, source=str(source), target=str(target))
    engine = Engine(EngineRequest(audio, plan, safety_ms, reserve_ms, largest_block))
    try:
        yield Run(engine, target)
    finally:
        engine.stop()
