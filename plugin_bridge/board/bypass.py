"""A chain of effects of which some can be bypassed while audio runs, at the same delay."""

from collections.abc import Collection, Sequence

import numpy as np
from pedalboard import Plugin

from plugin_bridge.board.grid import Delayed, GridEffects
from plugin_bridge.board.parameters import RAMP_SECONDS, Ramp
from plugin_bridge.separation.separator import Audio


class SwitchedEffects:
    """Effects that take and give the same number of frames, `lag` frames late, bypassed or not.

    An effect that is bypassed fades out within 20 ms, then rests, and starts afresh when it is wanted
    again. Until one ever is, all run as one native `Pedalboard`.

    Raises `ValueError` for effects that give nothing back within ten seconds.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        sample_rate: float,
        channels: int,
        grid: int,
        bypassed: Collection[int] = (),
    ) -> None:
        self._plugins, self._form = list(plugins), (sample_rate, channels, grid)
        self._whole = GridEffects(self._plugins, *self._form)
        self._bypassed: frozenset[int] = frozenset()
        self._parts: list[_Switched] = []
        self.lag = self._whole.lag
        if self.lag:
            # Effects that lag must always be fed alike: together or each alone, but not now so, now so.
            self._parts = [_Switched(plugin, *self._form) for plugin in self._plugins]
            self.lag = sum(part.lag for part in self._parts)
        self.bypass(bypassed)
        self.reset()

    def bypass(self, slots: Collection[int]) -> None:
        """Bypass the effects in these slots, counted from 0, and no others."""
        if slots and not self._parts:
            # Only effects that do not lag run together, so there is nothing to measure.
            self._parts = [_Switched(plugin, *self._form, lag=0) for plugin in self._plugins]
        for slot, part in enumerate(self._parts):
            part.switch(slot not in slots)

    def process(self, audio: Audio) -> Audio:
        """The effects' output, `lag` frames late. Shape: `(channels, n * grid)` to the same.

        Effects that do not lag take any number of frames.
        """
        if not self._parts:
            return self._whole.process(audio)
        for part in self._parts:
            audio = part.process(audio)
        return audio

    def reset(self) -> None:
        """Forget everything that sounds; switches are where they are set."""
        self._whole.reset()
        for part in self._parts:
            part.reset()


class _Switched:
    """One effect, and the way around it."""

    def __init__(
        self, plugin: Plugin, sample_rate: float, channels: int, grid: int, lag: int | None = None
    ) -> None:
        self._effect = GridEffects([plugin], sample_rate, channels, grid, lag)
        self.lag = self._effect.lag
        self._around = Delayed(channels, self.lag)
        self._ramp = Ramp(1, round(RAMP_SECONDS * sample_rate))
        self._rested = False

    def switch(self, on: bool) -> None:
        # An effect that wakes up gives nothing for as long as it is late: the rise waits for it.
        self._ramp.head_for(np.full(1, on, np.float32), wait=self.lag if self._ramp.silent else 0)

    def process(self, audio: Audio) -> Audio:
        around = self._around.process(audio)
        if self._ramp.silent:
            self._rested = True
            return around
        if self._rested:
            self._rested = False
            self._effect.reset()
        return self._ramp.blend(around, self._effect.process(audio))

    def reset(self) -> None:
        self._effect.reset()
        self._around.reset()
        self._ramp.jump(self._ramp.target)
