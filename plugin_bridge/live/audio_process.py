"""The audio process: a driver, its callback, and a pipe to the control process. No model, no network."""

import gc
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Semaphore
from types import FrameType
from typing import NoReturn

from plugin_bridge.errors import PluginBridgeError
from plugin_bridge.live import protocol
from plugin_bridge.live.drivers.driver import AudioRequest, Connection, Driver, open_driver
from plugin_bridge.live.playback import Playback
from plugin_bridge.live.priority import lock_memory
from plugin_bridge.live.shared import ArraySpec, Segment

_TURN_SECONDS = 0.05


@dataclass(frozen=True)
class Opened:
    """The driver is open: its rate in Hz and its block in frames."""

    sample_rate: int
    block: int


@dataclass(frozen=True)
class Begin:
    """Play: the shared memory, the rows (main and stems), the latency and the largest block, in frames."""

    segment: str
    specs: tuple[ArraySpec, ...]
    rows: tuple[str, ...]
    latency: int
    largest_block: int


@dataclass(frozen=True)
class SetBlock:
    """Another block size, for drivers that have no device to decide it."""

    frames: int


@dataclass(frozen=True)
class Happened:
    """Something to tell a person."""

    event: str


@dataclass(frozen=True)
class Lost:
    """The device is gone: one sentence."""

    reason: str


@dataclass(frozen=True)
class Finished:
    """There is nothing more to play."""


def run_audio(
    pipe: Pipe,
    wakes: tuple[Semaphore, ...],
    request: AudioRequest,
    opened: Callable[[AudioRequest], Driver] = open_driver,
) -> None:
    """The process's main function: opens the driver, plays until told to quit or left alone."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        driver = opened(request)
    except (PluginBridgeError, ValueError) as error:
        pipe.send(protocol.Refused(str(error)))
        return
    try:
        pipe.send(Opened(driver.sample_rate, driver.block))
        _play(pipe, wakes, driver)
    except (EOFError, BrokenPipeError):
        pass  # the control process is gone, and so is our reason to be
    except _ToldToLeave:
        pipe.send(Finished())


class _ToldToLeave(SystemExit):
    """SIGTERM, which service managers send to every process: keep what was recorded, and end."""


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise _ToldToLeave


def _play(pipe: Pipe, wakes: tuple[Semaphore, ...], driver: Driver) -> None:
    begin = pipe.recv()
    if not isinstance(begin, Begin):
        return
    segment = Segment(begin.specs, begin.segment)
    playback = Playback(
        segment, len(begin.rows), begin.latency, begin.largest_block, wakes, driver.sample_rate
    )
    lock_memory()
    gc.collect()
    gc.freeze()
    gc.disable()  # what a callback makes goes by reference count; a collection would stop it
    try:
        driver.start(Connection(playback.process, playback.ready, begin.rows, begin.latency))
        while not driver.finished:
            for event in driver.events():
                pipe.send(Happened(event))
            if lost := getattr(driver, "lost", ""):
                pipe.send(Lost(lost))
                pipe.poll(None)  # until ended: a lost device may keep us from ending by ourselves
                return
            if pipe.poll(_TURN_SECONDS):
                message = pipe.recv()
                if isinstance(message, protocol.Quit):
                    return
                if isinstance(message, SetBlock) and hasattr(driver, "set_block"):
                    driver.set_block(message.frames)
        _report_end(pipe, driver)
    except (PluginBridgeError, ValueError) as error:
        pipe.send(protocol.Refused(str(error)))
        pipe.poll(None)
    finally:
        driver.stop()
        playback.close()
        segment.close()


def _report_end(pipe: Pipe, driver: Driver) -> None:
    for event in driver.events():
        pipe.send(Happened(event))
    failure = getattr(driver, "failure", "")
    pipe.send(protocol.Refused(failure) if failure else Finished())
    pipe.poll(None)  # until told to quit
