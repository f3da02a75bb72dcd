"""One stem's channel strip: effects, then level."""

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pedalboard import Plugin

from plugin_bridge.board.effects import EffectList, effect_from_dict, effect_to_dict, known_keys, same_effects
from plugin_bridge.board.grid import Delayed, GridEffects
from plugin_bridge.board.parameters import GAIN_DB, PAN, RAMP_SECONDS, Ramp, amplitude, balance, switch
from plugin_bridge.errors import PresetError
from plugin_bridge.separation.separator import Audio

_KEYS = ("gain_db", "pan", "mute", "solo", "effects")


class Strip:
    """The settings of one stem: pedalboard effects, then gain, pan, mute and solo.

    `gain_db` lies between minus infinity and 24 dB. `pan` lies between -1 (left) and 1 (right) and
    fades the far side only. Moves of these while audio runs take 20 ms, in a straight line of amplitude.

    Raises `TypeError` or `ValueError` for values outside these.
    """

    # A misspelt setting raises AttributeError instead of being taken and never heard.
    __slots__ = ("_effects", "_gain_db", "_mute", "_pan", "_solo")

    def __init__(
        self,
        effects: Iterable[Plugin] = (),
        *,
        gain_db: float = 0.0,
        pan: float = 0.0,
        mute: bool = False,
        solo: bool = False,
    ) -> None:
        self._effects = EffectList(effects)
        self.gain_db, self.pan, self.mute, self.solo = gain_db, pan, mute, solo

    @property
    def effects(self) -> EffectList:
        """The pedalboard effects, in order; a list that can be edited."""
        return self._effects

    @effects.setter
    def effects(self, effects: Iterable[Plugin]) -> None:
        edits = self._effects.edits
        self._effects = EffectList(effects)
        self._effects.edits = edits + 1

    @property
    def gain_db(self) -> float:
        """Level after the effects, in dB."""
        return self._gain_db

    @gain_db.setter
    def gain_db(self, value: float) -> None:
        self._gain_db = GAIN_DB.check(value)

    @property
    def pan(self) -> float:
        """Balance after the effects, -1 (left) to 1 (right)."""
        return self._pan

    @pan.setter
    def pan(self, value: float) -> None:
        self._pan = PAN.check(value)

    @property
    def mute(self) -> bool:
        """Whether the stem is silent; its effects then rest."""
        return self._mute

    @mute.setter
    def mute(self, value: bool) -> None:
        self._mute = switch("mute", value)

    @property
    def solo(self) -> bool:
        """Whether only this and other soloed stems sound."""
        return self._solo

    @solo.setter
    def solo(self, value: bool) -> None:
        self._solo = switch("solo", value)

    @property
    def is_neutral(self) -> bool:
        """Whether the strip changes nothing."""
        return not self.effects and (self.gain_db, self.pan, self.mute, self.solo) == (0.0, 0.0, False, False)

    def _levels(self) -> dict[str, Any]:
        return {"gain_db": self.gain_db, "pan": self.pan, "mute": self.mute, "solo": self.solo}

    def to_dict(self) -> dict[str, Any]:
        """The strip as data. Raises `TypeError` for an effect that cannot be described."""
        return {**self._levels(), "effects": [effect_to_dict(effect) for effect in self.effects]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Strip":
        """The strip that the data describe.

        Raises `PresetError` for an unknown key or effect, `TypeError` or `ValueError` for a value that a
        strip refuses.
        """
        rest = known_keys(values, "a strip", _KEYS)
        effects = rest.pop("effects", [])
        if not isinstance(effects, list):
            raise PresetError(f"effects of a strip must be a list, got {effects!r}")
        return cls([effect_from_dict(effect) for effect in effects], **rest)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strip):
            return NotImplemented
        return self._levels() == other._levels() and same_effects(self.effects, other.effects)

    __hash__ = None  # type: ignore[assignment]  # a strip is mutable

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        Strip.__init__(
            self, **{**state, "effects": [effect_from_dict(effect) for effect in state["effects"]]}
        )

    def __repr__(self) -> str:
        names = [type(effect).__name__ for effect in self.effects]
        words = [
            f"[{', '.join(names)}]",
            *(f"{key}={value:g}" for key, value in self._levels().items() if value),
        ]
        return f"Strip({', '.join(words)})"


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
        self._take_effects()

    def _take_effects(self) -> None:
        self._edits = self.strip.effects.edits
        self._effects = GridEffects(self.strip.effects, *self._form)

    def renewed(self) -> "StripRun":
        """This run with the strip's effects as they are now; its delay and its level go on."""
        run = copy(self)
        run._take_effects()
        return run

    @property
    def lag(self) -> int:
        """Frames by which the effects are late."""
        return self._effects.lag

    @property
    def outdated(self) -> bool:
        """Whether the strip's list of effects was edited since."""
        return self.strip._effects.edits != self._edits

    def align(self, lag: int) -> None:
        """Be late by `lag` frames in all."""
        if self._align_delay.frames != lag - self.lag:
            self._align_delay = Delayed(self._form[1], lag - self.lag)

    def reset(self) -> None:
        """Forget everything that sounds; the level jumps to where it is set."""
        self._effects.reset()
        self._align_delay.reset()
        self._setting = None

    def process(self, stem: Audio, audible: bool) -> Audio | None:
        """The stem after the strip, or None where it is muted. Shape: `(channels, n * grid)` to the same."""
        rested = self._ramp.silent
        self._aim(audible)
        # The delay comes first and never rests, so that what wakes up hears what went before.
        aligned = self._align_delay.process(stem)
        if self._ramp.silent:
            return None
        if rested:
            self._effects.reset()
        return self._ramp.apply(self._effects.process(aligned))

    def _aim(self, audible: bool) -> None:
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
