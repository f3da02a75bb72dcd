"""What an audio driver is, and how one is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Callback = Callable[..., NDArray[np.float32]]
"""Takes `(2, frames)` of input and gives `(2 * rows, frames)`: main, then each stem, left and right.

A driver that knows better than the present when the block was complete says so in a second argument, in
nanoseconds of `time.monotonic_ns`.
"""


@dataclass(frozen=True)
class AudioRequest:
    """What the user asked for; every driver reads what concerns it.

    `block` frames and `sample_rate` Hz are wishes where the device decides, 0 for its own choice.
    """

    driver: str
    name: str = "plugin-bridge"
    device: str = ""
    server: str = ""
    block: int = 0
    sample_rate: int = 0
    source: str = ""
    target: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Connection:
    """How a driver runs an engine: its callback, its ports' names and its latency.

    `ready(frames)` says whether the next block could be played wet; a driver that is not bound to a
    clock waits for it. `rows` are main and the stems.
    """

    callback: Callback
    ready: Callable[[int], bool]
    rows: tuple[str, ...]
    latency: int


class Driver(Protocol):
    """A sound device, a clock or a file that calls the engine block by block.

    Making one opens the device and raises `DeviceError` where that fails.
    """

    sample_rate: int
    block: int

    def start(self, connection: Connection) -> None:
        """Begin to call the engine."""

    def stop(self) -> None:
        """Stop calling and let the device go."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to play."""

    def events(self) -> list[str]:
        """What happened since the last call, one sentence each; called from outside the callback."""


def open_driver(request: AudioRequest) -> Driver:
    """Open the driver of a request.

    Raises `ValueError` for an unknown one and `DeviceError` where the device cannot be opened.
    """
    match request.driver:
        case "jack":
            from plugin_bridge.live.drivers.jack import JackDriver

            return JackDriver(request)
        case "portaudio":
            from plugin_bridge.live.drivers.portaudio import PortAudioDriver

            return PortAudioDriver(request)
        case "paced":
            from plugin_bridge.live.drivers.paced import PacedDriver

            return PacedDriver(request)
        case "file":
            from plugin_bridge.live.drivers.file import FileDriver

            return FileDriver(request)
    raise ValueError(f"audio must be one of jack, portaudio, paced, file, got '{request.driver}'")
