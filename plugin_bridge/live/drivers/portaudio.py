"""PortAudio: the sound devices of CoreAudio, WASAPI, ASIO, ALSA and others."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.errors import DeviceError
from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.listing import chosen, portaudio_devices, portaudio_library
from plugin_bridge.live.drivers.tally import Tally

_DEFAULT_BLOCK = 256
_SWITCH_SECONDS = 0.0005
_TWO_DEVICES = "->"


class PortAudioDriver:
    """A stereo input and as many outputs as the device has room for: main, or main and every stem.

    The request's device is a number, a name or a part of it, two of them as "input -> output", or empty for
    the usual ones. Raises `DeviceError` for a device that is not there or refuses the rate or the channels.
    """

    finished = False

    def __init__(self, request: AudioRequest) -> None:
        self._library = portaudio_library()
        devices = portaudio_devices()
        source, arrow, target = request.device.partition(_TWO_DEVICES)
        self._input = chosen(devices, source.strip(), "input")
        self._output = chosen(devices, (target if arrow else source).strip(), "output")
        self.sample_rate = request.sample_rate or self._output.sample_rate
        self.block = request.block or _DEFAULT_BLOCK
        self._xruns = Tally("{count} xruns: the sound device was not served in time", "xruns")
        failed = "{count} audio callbacks failed and played silence, the last with {detail}"
        self._failures = Tally(failed, "callback_failed")
        self.xruns = self.failures = 0
        self._failure = ""
        self._events: list[str] = []
        self.lost = ""
        self._stream: Any = None
        self._opened(2).close()  # refused now, or the rows may come

    def start(self, connection: Connection) -> None:
        """Begin to call the engine. Raises `DeviceError` when the device is taken meanwhile."""
        sys.setswitchinterval(
            _SWITCH_SECONDS
        )  # a callback waits for other Python threads no longer than this
        self._connection = connection
        self._block: NDArray[np.float32] = np.zeros((2, self.block), np.float32)
        self._channels = 2 * len(connection.rows)
        if self._output.outputs < self._channels:
            self._events.append(
                f"the device '{self._output.name}' must have {self._channels} outputs for main and every "
                f"stem, got {self._output.outputs}; it plays main only"
            )
            self._channels = 2
        self._stream = self._opened(self._channels)
        own = round(sum(self._stream.latency) * self.sample_rate)
        self._events.append(
            f"the device '{self._output.name}' says that it adds {own} frames, "
            f"{1000 * own / self.sample_rate:.1f} ms, to the engine's latency"
        )
        self._stream.start()

    def stop(self) -> None:
        """Stop calling and let the device go."""
        # PortAudio may wait for ever for what a lost device has to say.
        if self._stream is not None and not self.lost:
            self._stream.close()

    def events(self) -> list[str]:
        """What happened since the last call."""
        if not self.lost and not self._stream.active:
            self.lost = f"the device '{self._output.name}' is gone"
        happened, self._events = self._events, []
        return [
            *happened,
            *self._xruns.report(self.xruns),
            *self._failures.report(self.failures, self._failure),
        ]

    def _opened(self, outputs: int) -> Any:
        try:
            return self._library.Stream(
                samplerate=self.sample_rate,
                blocksize=self.block,
                device=(self._input.index, self._output.index),
                channels=(2, outputs),
                dtype="float32",
                latency="low",
                callback=self._process,
            )
        except (self._library.PortAudioError, ValueError) as error:
            names = " -> ".join(dict.fromkeys((self._input.name, self._output.name)))
            raise DeviceError(
                f"the device '{names}' must take {self.sample_rate} Hz, blocks of {self.block} frames, 2 "
                f"inputs and {outputs} outputs, got: {error.args[0]}; choose others with "
                "--sample-rate, --block or --device"
            ) from error

    def _process(
        self, came: NDArray[np.float32], goes: NDArray[np.float32], frames: int, times: object, status: Any
    ) -> None:
        if (
            status.input_overflow
            or status.input_underflow
            or status.output_overflow
            or status.output_underflow
        ):
            self.xruns += 1
        # An exception would end the stream, and what is not written would be noise.
        try:
            if frames != self._block.shape[1]:
                self._block = np.zeros((2, frames), np.float32)
            self._block[:] = came.T
            goes[:] = self._connection.callback(self._block)[: self._channels].T
        except Exception as error:  # noqa: BLE001
            self.failures += 1
            self._failure = f"{type(error).__name__}: {error}"
            goes.fill(0)
