"""The audio process from the control process's side, and another one whenever its device was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Semaphore

from plugin_bridge.errors import DeviceError
from plugin_bridge.live import audio_process, protocol
from plugin_bridge.live.crew import Member, hire
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.notice import Notice

_PATIENCE_SECONDS = 10.0  # it may have a recording to finish
_RETRY_SECONDS = 1.0
_OPENING_SECONDS = 15.0  # a server that lost a client may hang before it answers the next
_DEVICES = ("jack", "portaudio")


class AudioSide:
    """Opens the device, plays, and waits for a lost device to come back; what plays goes on at its position.

    Raises `DeviceError` where the device cannot be opened at the start.
    """

    def __init__(
        self, run_audio: Callable[..., None], wakes: Sequence[Semaphore], request: AudioRequest
    ) -> None:
        self._process = (run_audio, tuple(wakes), request)
        self._comes_back = request.driver in _DEVICES
        self.finished = False
        self._begin: audio_process.Begin | None = None
        self._opening = False
        self._retry_at = 0.0
        self._said = ""
        self._member: Member | None = hire(*self._process)
        opened = self._member.answer("the audio process")
        if isinstance(opened, protocol.Refused):
            self.stop()
            raise DeviceError(opened.reason)
        self.opened: audio_process.Opened = opened

    def begin(self, begin: audio_process.Begin) -> None:
        """Play."""
        self._begin = begin
        self.tell(begin)

    def tell(self, message: object) -> None:
        """Say something to the process, if there is one."""
        if self._member is not None:
            self._member.tell(message)

    def stop(self) -> None:
        """End the process, in its own time if it has a recording to finish."""
        if self._member is not None:
            self._member.end(_PATIENCE_SECONDS)
        self._member = None

    def tick(self) -> list[str]:
        """Hear the process, or look for a lost device; what happened, one sentence each.

        Raises `DeviceError` when the process ends that should not, and nothing can bring it back.
        """
        if self._member is None:
            if time.monotonic() >= self._retry_at:
                self._member, self._opening = hire(*self._process), True
            return []
        if self._opening and time.monotonic() > self._retry_at + _OPENING_SECONDS:
            return self._lose("")
        events = [event for message in self._member.heard() for event in self._take(message)]
        if self._member is not None and not self.finished and not self._member.alive:
            events += self._lose(f"the audio process ended with code {self._member.process.exitcode}")
        return events

    def _take(self, message: object) -> list[str]:
        match message:
            case audio_process.Happened():
                return [message.event]
            case audio_process.Finished():
                self.finished = True
            case audio_process.Lost():
                return self._lose(message.reason)
            case audio_process.Opened() if self._opening:
                return self._resume(message)
            case protocol.Refused() if self._opening:
                return self._lose("")  # not back yet
            case protocol.Refused():
                raise DeviceError(message.reason)
        return []

    def _resume(self, opened: audio_process.Opened) -> list[str]:
        """Play on a device that came back, if it is as it was."""
        if opened.sample_rate != self.opened.sample_rate:
            return self._lose(
                f"the device must come back at {self.opened.sample_rate} Hz, got {opened.sample_rate} Hz; "
                "set it back, or restart plugin-bridge"
            )
        self._opening, self._said = False, ""
        self.tell(self._begin)
        return [Notice("the device is back", "device_back")]

    def _lose(self, reason: str) -> list[str]:
        """Part from the process, whose device may keep it from ending, and look for another in a while."""
        if not self._comes_back:
            raise DeviceError(f"the audio process must run, got its end: {reason}")
        if self._member is not None:
            self._member.process.kill()
            self._member.process.join()
            self._member.pipe.close()
        self._member, self._retry_at = None, time.monotonic() + _RETRY_SECONDS
        if not reason or reason == self._said:
            return []
        self._said = reason
        return [Notice(f"{reason}; waiting for the device", "device_lost")]
