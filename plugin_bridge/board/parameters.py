"""Numbers that a person moves: their ranges, and the ramps that keep a move from clicking."""

from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio

RAMP_SECONDS = 0.020
"""How long a change of level takes."""


@dataclass(frozen=True)
class Range:
    """What values a parameter may take, and in which unit."""

    name: str
    lowest: float
    highest: float
    default: float
    unit: str = ""

    def check(self, value: object) -> float:
        """The value as a float. Raises `TypeError` for what is no number, `ValueError` outside the range."""
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
            raise TypeError(f"{self.name} must be a number, got {value!r}")
        number = float(value)
        if isnan(number) or not self.lowest <= number <= self.highest:
            unit = f" {self.unit}" if self.unit else ""
            raise ValueError(
                f"{self.name} must be between {self.lowest:g} and {self.highest:g}{unit}, got {number:g}"
            )
        return number


GAIN_DB = Range("gain_db", float("-inf"), 24.0, 0.0, "dB")
PAN = Range("pan", -1.0, 1.0, 0.0)
MIX = Range("mix", 0.0, 1.0, 1.0)


def switch(name: str, value: object) -> bool:
    """The value of an on/off parameter. Raises `TypeError` for anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def amplitude(gain_db: float) -> float:
    """The factor of a gain in dB; 0 for minus infinity."""
    return float(10.0 ** (gain_db / 20.0))


def balance(pan: float, channels: int) -> NDArray[np.float32]:
    """Factors of each channel for a pan of -1 (left) to 1 (right), `(channels,)`.

    The far side fades linearly and the near side stays, so that the centre is exactly unity and
    nothing gets louder. Mono is not panned.
    """
    factors = np.ones(channels, np.float32)
    if channels == 2:
        factors[0], factors[1] = min(1.0, 1.0 - pan), min(1.0, 1.0 + pan)
    return factors


class Ramp:
    """Levels per channel that move to their target in a straight line, sample by sample."""

    def __init__(self, channels: int, frames: int) -> None:
        self._frames = max(1, frames)
        self.jump(np.ones(channels, np.float32))

    @property
    def target(self) -> NDArray[np.float32]:
        """Where the level is or goes to."""
        return self._target

    @property
    def full(self) -> bool:
        """Whether the level is at rest at one."""
        return self._unity and not self._left

    @property
    def silent(self) -> bool:
        """Whether the level is at rest at zero."""
        return self._zero and not self._left

    def jump(self, target: NDArray[np.float32]) -> None:
        """Be at `target` at once, `(channels,)`."""
        self._aim(target, 0, 0)
        self._now = target

    def head_for(self, target: NDArray[np.float32], wait: int = 0) -> None:
        """Start towards `target`, `(channels,)`, from wherever the level is, in `wait` frames from now."""
        if not np.array_equal(target, self._target):
            self._aim(target, self._frames, wait)

    def _aim(self, target: NDArray[np.float32], frames: int, wait: int) -> None:
        self._start = target if not frames else self._now
        self._target, self._left, self._wait = target, frames, wait
        self._zero, self._unity = not target.any(), bool((target == 1).all())

    def apply(self, audio: Audio) -> Audio:
        """The audio at these levels, as a new array or, at unity, itself. Shape: `(channels, frames)`."""
        if self._left:
            return self._moving(audio)
        if self._unity:
            return audio
        return audio * self._target[:, None]

    def blend(self, away: Audio, towards: Audio) -> Audio:
        """One audio where the level is zero, the other where it is one, and both by shares between.

        Where the level rests at an end the audio is that one itself, to the last bit, however the stream is
        cut. Shape: twice `(channels, frames)` to the same.
        """
        moving = min(away.shape[1], self._wait + self._left)
        if moving:
            mixed = away[:, :moving] + self.apply(towards[:, :moving] - away[:, :moving])
            if moving == away.shape[1]:
                return mixed
            return np.concatenate((mixed, self.blend(away[:, moving:], towards[:, moving:])), axis=1)
        if self._unity:
            return towards
        return away if self._zero else away + self.apply(towards - away)

    def _moving(self, audio: Audio) -> Audio:
        frames = audio.shape[1]
        waiting = min(frames, self._wait)
        moving = min(frames - waiting, self._left)
        levels = np.repeat(self._target[:, None], frames, axis=1)
        levels[:, :waiting] = self._now[:, None]
        # Each level is told from the ramp's start, so that it is the same however the audio is cut.
        passed = np.arange(1, moving + 1, dtype=np.float32) + np.float32(self._frames - self._left)
        rise = (self._target - self._start) / np.float32(self._frames)
        line = self._start[:, None] + rise[:, None] * passed
        levels[:, waiting : waiting + moving] = line
        self._wait -= waiting
        self._left -= moving
        if moving:
            self._now = line[:, -1].copy() if self._left else self._target
        return audio * levels
