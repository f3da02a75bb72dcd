"""A strip at work on one stream, and the master, which can also let the unprocessed mix through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.board.bypass import SwitchedEffects
from plugin_bridge.board.grid import Delayed
from plugin_bridge.board.parameter_tree import Movable
from plugin_bridge.board.parameters import RAMP_SECONDS, Ramp, amplitude, balance
from plugin_bridge.board.strip import Strip
from plugin_bridge.separation.separator import Audio

Change = tuple[int, Callable[[], None]]
"""A change of an effect: the frame of a block at which it starts, and what makes it."""


class StripRun:
    """A strip at work on one stream: the alignment, its effects' state, the ramp.

    While the strip is muted its effects rest; they start afresh when it sounds again.
    """

    def __init__(self, strip: Strip, sample_rate: float, channels: int, grid: int) -> None:
        self.strip = strip
        self._form = (sample_rate, channels, grid)
        self._align_delay = Delayed(channels, 0)
        self._ramp = Ramp(channels, round(RAMP_SECONDS * sample_rate))
        self._setting: tuple[float, float, bool] | None = None
        self._fresh = True
        self._take_effects()

    def _take_effects(self) -> None:
        self._edits = self.strip.effects.edits
        self._bypassed = self.strip._bypassed
        self._effects = SwitchedEffects(self.strip.effects, *self._form, self.strip.bypassed)

    def renewed(self) -> Self:
        """This run with the strip's effects as they are now; its delay and its level go on."""
        run = copy(self)
        run._take_effects()
        return run

    @property
    def lag(self) -> int:
        """Frames by which the effects are late."""
        return self._effects.lag

    @property
    def wait(self) -> int:
        """Frames by which the stem is held back before the effects."""
        return self._align_delay.frames

    @property
    def outdated(self) -> bool:
        """Whether the strip's list of effects was edited since."""
        return self.strip._effects.edits != self._edits

    def align(self, lag: int) -> None:
        """Be late by `lag` frames in all."""
        if self._align_delay.frames != lag - self.lag:
            self._align_delay = Delayed(self._form[1], lag - self.lag)

    def reset(self) -> None:
        """Forget everything that sounds; the level and the bypasses jump to where they are set."""
        self._follow_bypass()
        self._effects.reset()
        self._align_delay.reset()
        self._setting = None
        self._fresh = True

    def process(self, stem: Audio, audible: bool) -> Audio | None:
        """The stem after the strip, or None where it is muted. Shape: `(channels, n * grid)` to the same."""
        rested = self._ramp.silent
        self.aim(audible)
        # The delay comes first and never rests, so that what wakes up hears what went before.
        aligned = self._align_delay.process(stem)
        if self._ramp.silent:
            return None
        if rested:
            self._effects.reset()
        return self._ramp.apply(self._effected(aligned))

    def effected(self, stem: Audio, changes: Sequence[Change], rests: bool) -> Audio:
        """One block of the grid after the effects, with changes of theirs inside; levels are not applied.

        A strip that `rests` throughout gives anything. Shape: `(channels, grid)` to the same.
        """
        aligned = self._align_delay.process(stem)
        if self._ramp.silent:
            self._effects.reset()
            self._fresh = True
        if self._ramp.silent and rests:
            for _, change in changes:
                change()
            return aligned
        pieces, begun = [], 0
        for frame, change in changes:
            if frame > begun and self._may_cut(frame):
                pieces.append(self._effected(aligned[:, begun:frame]))
                begun = frame
            change()
        pieces.append(self._effected(aligned[:, begun:]))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def _may_cut(self, frame: int) -> bool:
        """Whether effects can be given the frames up to here; else a change starts where the piece does.

        Effects that lag only take whole blocks. After a reset pedalboard cannot tell the frames of a
        block from its channels while there are no more of them.
        """
        return not self.lag and not (self._fresh and frame <= self._form[1])

    def _effected(self, aligned: Audio) -> Audio:
        if self.strip._bypassed is not self._bypassed:
            self._follow_bypass()
        self._fresh = False
        return self._effects.process(aligned)

    def _follow_bypass(self) -> None:
        self._bypassed = self.strip._bypassed
        self._effects.bypass(self.strip.bypassed)

    def levelled(self, effected: Audio, audible: bool) -> Audio | None:
        """What comes out of the effects at the strip's level, or None where it is muted."""
        self.aim(audible)
        return None if self._ramp.silent else self._ramp.apply(effected)

    def aim(self, audible: bool) -> None:
        """Let the level go where the strip's settings are."""
        strip = self.strip  # read past the properties: this runs for every strip and block
        setting = (strip._gain_db, strip._pan, audible and not strip._mute)
        if setting == self._setting:
            return
        levels = self._levels(*setting)
        if self._setting is None:
            self._ramp.jump(levels)
        else:
            # Effects that wake up give nothing for as long as they are late: the rise waits for them.
            self._ramp.head_for(levels, wait=self.lag if self._ramp.silent else 0)
        self._setting = setting

    def _levels(self, gain_db: float, pan: float, audible: bool) -> NDArray[np.float32]:
        return balance(pan, self._form[1]) * np.float32(amplitude(gain_db) if audible else 0.0)


class MasterRun(StripRun):
    """The master at work: its effects, then the blend with the unprocessed mix, then its level."""

    def __init__(self, board: Movable, sample_rate: float, channels: int, grid: int) -> None:
        super().__init__(board.master, sample_rate, channels, grid)
        self._board = board
        self._share: float | None = None
        self._wet = Ramp(1, round(RAMP_SECONDS * sample_rate))

    def reset(self) -> None:
        """Forget everything that sounds; levels and the blend jump to where they are set."""
        super().reset()
        self._share = None

    @property
    def blends(self) -> bool:
        """Whether the unprocessed mix is to be heard."""
        return self._board.mix != 1.0 or not (self._wet.full and self._share == 1.0)

    def process_blend(self, mix: Audio, dry: Audio) -> Audio | None:
        """As `process`, with the unprocessed mix, `lag` frames late already, blended in."""
        rested = self._ramp.silent
        self.aim(True)
        if self._ramp.silent:
            return None
        if rested:
            self._effects.reset()
        return self._ramp.apply(self._blended(self._effected(mix), dry))

    def levelled_blend(self, effected: Audio, dry: Audio) -> Audio | None:
        """As `levelled`, with the unprocessed mix blended in."""
        return self.levelled(self._blended(effected, dry), True)

    def _blended(self, wet: Audio, dry: Audio) -> Audio:
        share = self._board.mix
        if share != self._share:
            target = np.full(1, share, np.float32)
            if self._share is None:
                self._wet.jump(target)
            else:
                self._wet.head_for(target)
            self._share = share
        return self._wet.blend(dry, wet)
