"""The soak's sound card: a turning tone in, and every frame of main held against it."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.live import audio_process
from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.paced import PacedDriver

PERIOD = 20
"""Frames of the tone's period: 2205 Hz at 44.1 kHz."""

REPORT = "heard "
_LEVEL = 0.25
_QUIETEST = 0.15
_FARTHEST = 0.15


class ToneDriver(PacedDriver):
    """Left is a cosine, right its sine, so that each frame of main has a level and a phase of its own.

    Levels that move change no phase: a frame out of place, missing or doubled turns it by 18 degrees, and a
    gap takes the level away.
    """

    def start(self, connection: Connection) -> None:
        turn = np.exp(2j * np.pi * np.arange(PERIOD) / PERIOD)
        self._turns = np.tile(turn, 1000).astype(np.complex64)
        self._engine, self._latency, self._at = connection.callback, connection.latency, 0
        self._gap = self._longest_gap = self._out_of_place = self._checked = 0
        self._lowest = float("inf")
        self._reported = 0
        super().start(Connection(self._call, connection.ready, connection.rows, connection.latency))

    def events(self) -> list[str]:
        """What was heard, as JSON behind a word, about every second."""
        if self._checked < self._reported + self.sample_rate and not self.finished:
            return super().events()
        self._reported = self._checked
        heard = {
            "checked": self._checked,
            "longest_gap": self._longest_gap,
            "out_of_place": self._out_of_place,
            "lowest": self._lowest,
        }
        return [*super().events(), REPORT + json.dumps(heard)]

    def _call(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        tone = self._tone(self._at, block.shape[1])
        block[0], block[1] = _LEVEL * tone.real, _LEVEL * tone.imag
        out = self._engine(block)
        self._check(out, self._at - self._latency)
        self._at += block.shape[1]
        return out

    def _tone(self, position: int, frames: int) -> NDArray[np.complex64]:
        first = position % PERIOD
        return self._turns[first : first + frames]

    def _check(self, out: NDArray[np.float32], position: int) -> None:
        if position < 0:
            return
        level = (out[0] + 1j * out[1]) * self._tone(position, out.shape[1]).conj() / _LEVEL
        self._checked += level.size
        self._lowest = min(self._lowest, float(level.real.min()))
        self._out_of_place += int((np.abs(level.imag) > _FARTHEST * np.abs(level.real)).sum())
        for quiet in level.real < _QUIETEST if self._lowest < _QUIETEST else ():
            self._gap = self._gap + 1 if quiet else 0
            self._longest_gap = max(self._longest_gap, self._gap)


def run_tone(
    pipe: audio_process.Pipe, wakes: tuple[audio_process.Semaphore, ...], request: AudioRequest
) -> None:
    """The soak's audio process."""
    audio_process.run_audio(pipe, wakes, request, ToneDriver)
