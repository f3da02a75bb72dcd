"""Pedalboard's effects on one fixed grid of frames, at one constant delay.

A native plugin loses its state when a larger block than any before arrives, and the lag of some
(PitchShift, the codecs) depends on how the signal is cut. So every effect is fed blocks of exactly
`grid` frames from the stream's start, live and offline, and its lag is measured once on that grid.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from pedalboard import Pedalboard, Plugin

from plugin_bridge.separation.separator import Audio

LARGEST_GRID = 512
"""Frames; large enough that the cost of a call is small beside the effects, small enough to automate."""

SMALLEST_GRID = 64
"""Frames; the grid of effects that stand alone, where the wait for a full block is all the latency."""

_PATIENCE_SECONDS = 10.0
_STEADY_SECONDS = 0.5


def refuse_doubles(items: Iterable[object]) -> None:
    """Raise `RuntimeError`, as pedalboard does, for an object that would run at two places at once."""
    seen: set[int] = set()
    for item in items:
        if id(item) in seen:
            raise RuntimeError(f"an effect must stand at one place only, got {item!r} twice; make another")
        seen.add(id(item))


class GridEffects:
    """A chain of native effects that takes and gives the same number of frames, `lag` frames late.

    `lag` is measured unless it is known; to measure it resets the effects.

    Raises `ValueError` for effects that give nothing back within ten seconds.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        sample_rate: float,
        channels: int,
        grid: int,
        lag: int | None = None,
    ) -> None:
        self._native = Pedalboard(list(plugins)) if plugins else None
        self._sample_rate, self._channels, self._grid = sample_rate, channels, grid
        if lag is None:
            lag = self._measure_lag() if plugins else 0
            self._reset_native()
        self.lag = lag
        self._ready = np.zeros((self._channels, self.lag), np.float32)

    def reset(self) -> None:
        """Forget everything that sounds."""
        self._reset_native()
        self._ready = np.zeros((self._channels, self.lag), np.float32)

    def _reset_native(self) -> None:
        if self._native is not None:
            self._native.reset()

    def process(self, audio: Audio) -> Audio:
        """The effects' output, `lag` frames late. Shape: `(channels, n * grid)` to the same."""
        if self._native is None:
            return audio
        if not self.lag:
            whole: Audio = self._native.process(audio, self._sample_rate, self._grid, False)
            if whole.shape == audio.shape:
                return whole
            return self._from_ready(np.concatenate((self._ready, whole), axis=1), audio.shape[1])
        # An effect that lags cuts a longer call in its own way: one call for each block of the grid.
        blocks = [self._one(audio[:, at : at + self._grid]) for at in range(0, audio.shape[1], self._grid)]
        return self._from_ready(np.concatenate((self._ready, *blocks), axis=1), audio.shape[1])

    def _one(self, block: Audio) -> Audio:
        assert self._native is not None
        out: Audio = self._native.process(np.ascontiguousarray(block), self._sample_rate, self._grid, False)
        return out

    def _from_ready(self, ready: Audio, frames: int) -> Audio:
        # A parameter moved while running can make an effect hold back more than was measured.
        missing = max(0, frames - ready.shape[1])
        if missing:
            ready = np.pad(ready, ((0, 0), (missing, 0)))
        self._ready = ready[:, frames:]
        return ready[:, :frames]

    def _measure_lag(self) -> int:
        assert self._native is not None
        silence = np.zeros((self._channels, self._grid), np.float32)
        steady_blocks = int(_STEADY_SECONDS * self._sample_rate / self._grid) + 1
        patience = _PATIENCE_SECONDS * self._sample_rate
        taken = given = lag = steady = 0
        self._native.reset()
        while steady < steady_blocks:
            if taken > patience and not given:
                raise ValueError(
                    f"effects must give sound back within {_PATIENCE_SECONDS:g} s, got none: {self._native}"
                )
            given += self._one(silence).shape[1]
            taken += self._grid
            steady = steady + 1 if given and taken - given <= lag else 0
            lag = max(lag, taken - given) if given else 0
        return lag


class Delayed:
    """A delay line of a constant number of `frames`."""

    def __init__(self, channels: int, frames: int) -> None:
        self.frames = frames
        self._held = np.zeros((channels, frames), np.float32)

    def process(self, audio: Audio) -> Audio:
        """The audio, delayed. Shape: `(channels, frames)` to the same."""
        if not self.frames:
            return audio
        joined = np.concatenate((self._held, audio), axis=1)
        self._held = joined[:, audio.shape[1] :]
        return joined[:, : audio.shape[1]]

    def reset(self) -> None:
        """Forget what is on its way."""
        self._held = np.zeros_like(self._held)
