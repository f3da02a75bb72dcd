"""One stem's channel strip: effects, then level."""

from collections.abc import Iterable, Mapping
from typing import Any

from pedalboard import Plugin

from plugin_bridge.board.effects import EffectList, effect_from_dict, effect_to_dict, known_keys, same_effects
from plugin_bridge.board.parameters import GAIN_DB, PAN, switch
from plugin_bridge.errors import PresetError

_KEYS = ("gain_db", "pan", "mute", "solo", "effects")


class Strip:
    """The settings of one stem: pedalboard effects, then gain, pan, mute and solo.

    `gain_db` lies between minus infinity and 24 dB. `pan` lies between -1 (left) and 1 (right) and
    fades the far side only. Moves of these while audio runs take 20 ms, in a straight line of amplitude.

    Raises `TypeError` or `ValueError` for values outside these.
    """

    # A misspelt setting raises AttributeError instead of being taken and never heard.
    __slots__ = ("_bypassed", "_effects", "_gain_db", "_mute", "_pan", "_solo")

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
        self._bypassed: tuple[Plugin, ...] = ()
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

    def set_bypass(self, slot: int, on: bool) -> None:
        """Let the audio pass by the effect in a slot, counted from 0, or through it again.

        Raises `IndexError` for a slot without an effect, `TypeError` for anything but True and False.
        """
        effect = self._effects[slot]
        others = tuple(each for each in self._bypassed if each is not effect)
        self._bypassed = (*others, effect) if switch("bypass", on) else others

    def is_bypassed(self, slot: int) -> bool:
        """Whether the audio passes by the effect in a slot. Raises `IndexError` for one without an effect."""
        return any(each is self._effects[slot] for each in self._bypassed)

    @property
    def bypassed(self) -> tuple[int, ...]:
        """The slots of the effects that the audio passes by."""
        return tuple(slot for slot in range(len(self._effects)) if self.is_bypassed(slot))

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
        effects = [effect_to_dict(effect) for effect in self.effects]
        for slot in self.bypassed:
            effects[slot]["bypass"] = True
        return {**self._levels(), "effects": effects}

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
        descriptions, bypasses = zip(*map(_taken_bypass, effects), strict=True) if effects else ((), ())
        strip = cls([effect_from_dict(effect) for effect in descriptions], **rest)
        for slot, bypass in enumerate(bypasses):
            strip.set_bypass(slot, bypass)
        return strip

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strip):
            return NotImplemented
        alike = self._levels() == other._levels() and self.bypassed == other.bypassed
        return alike and same_effects(self.effects, other.effects)

    __hash__ = None  # type: ignore[assignment]  # a strip is mutable

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        whole = Strip.from_dict(state)
        for name in Strip.__slots__:
            setattr(self, name, getattr(whole, name))

    def __repr__(self) -> str:
        names = [type(effect).__name__ for effect in self.effects]
        words = [
            f"[{', '.join(names)}]",
            *(f"{key}={value:g}" for key, value in self._levels().items() if value),
        ]
        return f"Strip({', '.join(words)})"


def _taken_bypass(effect: object) -> tuple[object, Any]:
    """An effect's description without its switch, and the switch."""
    if not isinstance(effect, Mapping) or "bypass" not in effect:
        return effect, False
    return {key: value for key, value in effect.items() if key != "bypass"}, effect["bypass"]
