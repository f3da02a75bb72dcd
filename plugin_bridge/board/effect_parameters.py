"""What of an effect can be moved while it plays, under names that fit into an address.

Pedalboard's own effects have a table of ranges; a hosted plugin states its own. Containers have nothing of
their own to move.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pedalboard import Plugin

from plugin_bridge.board.effect_ranges import CUTOFF_HZ, EFFECT_RANGES, HIGHEST_SHARE_OF_RATE, Law, Travel
from plugin_bridge.board.effects import HOSTED, plain, set_parameter, settable, usual_value
from plugin_bridge.errors import PresetError

_MOST_CHOICES = 128
_TAKEN = ("bypass",)
_HOSTED = tuple(HOSTED.values())


class Knob(NamedTuple):
    """One parameter of an effect: how it travels, its default, and the choices it has."""

    travel: Travel
    default: float | bool | str
    choices: tuple[str, ...] = ()


class _Hosted(NamedTuple):
    """A hosted plugin's parameter: its name there, its knob, and whether only its raw value is a number."""

    name: str
    knob: Knob
    is_raw: bool = False


_Found = TypeVar("_Found")
_hosted: WeakKeyDictionary[Plugin, dict[str, _Hosted]] = WeakKeyDictionary()


def clean_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Names of `[a-z0-9_]` for names of any kind, each with the name it stands for, in the same order.

    Names that come out alike, or like those that are taken, are numbered from 2.

    >>> clean_names(["Mix", "mix", "bypass", "größe (%)", "♥"], taken=["bypass"])
    {'mix': 'Mix', 'mix_2': 'mix', 'bypass_2': 'bypass', 'gr_e': 'größe (%)', 'parameter': '♥'}
    """
    used, clean = set(taken), {}
    for name in names:
        plain_name = unique = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "parameter"
        number = 1
        while unique in used:
            number += 1
            unique = f"{plain_name}_{number}"
        used.add(unique)
        clean[unique] = name
    return clean


def effect_title(effect: Any) -> str:
    """The effect's class, or the name that a hosted plugin gives itself."""
    return str(effect.name) if _is_hosted(effect) else type(effect).__name__


def effect_knobs(effect: Plugin, sample_rate: float | None = None) -> dict[str, Knob]:
    """What of an effect can be moved, by name; with a `sample_rate` in Hz, only as far as it is stable."""
    if _is_hosted(effect):
        return {name: each.knob for name, each in _hosted_parameters(effect).items()}
    kind = type(effect)
    rows, known = EFFECT_RANGES.get(kind.__name__, {}), settable(kind)
    return {name: _native(kind.__name__, name, sample_rate) for name in rows if name in known}


def effect_value(effect: Any, name: str) -> float | bool | str:
    """The present value of a parameter, in the effect's own unit. Raises `PresetError` for an unknown one."""
    if not _is_hosted(effect):
        _known(effect, name, effect_knobs(effect))
        value: float | bool | str = plain(getattr(effect, name))
        return value
    hosted = _known(effect, name, _hosted_parameters(effect))
    if hosted.is_raw:
        return float(effect.parameters[hosted.name].raw_value)
    if hosted.knob.travel.kind == "choice":
        return str(getattr(effect, hosted.name))
    value = getattr(effect, hosted.name)
    return bool(value) if hosted.knob.travel.kind == "switch" else float(plain(float(value)))


def move_effect(effect: Any, name: str, value: float | bool | str) -> None:
    """Give a parameter a value, in the effect's own unit.

    Raises `PresetError` for an unknown parameter or a value that the effect refuses.
    """
    if not _is_hosted(effect):
        _known(effect, name, effect_knobs(effect))
        set_parameter(effect, name, value)
        return
    hosted, its = _known(effect, name, _hosted_parameters(effect)), effect.parameters
    if hosted.is_raw:
        its[hosted.name].raw_value = value
    elif hosted.knob.travel.kind == "switch" and its[hosted.name].type is float:
        set_parameter(effect, hosted.name, float(value))
    else:
        set_parameter(effect, hosted.name, value)


def _is_hosted(effect: Plugin) -> bool:
    return isinstance(effect, _HOSTED)


def _known(effect: Plugin, name: str, known: dict[str, _Found]) -> _Found:
    if name not in known:
        raise PresetError(f"{effect_title(effect)} must get parameters that it has, got '{name}'")
    return known[name]


def _native(effect: str, name: str, sample_rate: float | None) -> Knob:
    travel, usual = EFFECT_RANGES[effect][name], usual_value(effect, name)
    if travel.kind == "choice":
        return Knob(travel, plain(usual), tuple(type(usual).__members__))
    if travel == CUTOFF_HZ and sample_rate is not None:
        travel = travel._replace(highest=min(travel.highest, HIGHEST_SHARE_OF_RATE * sample_rate))
    default = plain(usual)
    return Knob(travel, min(default, travel.highest) if travel.kind == "number" else default)


def _hosted_parameters(effect: Any) -> dict[str, _Hosted]:
    if effect not in _hosted:
        every = effect.parameters
        # What a plugin does not let a host automate is its own business: meters, its rate, its block size.
        movable = [name for name, parameter in every.items() if parameter.is_automatable]
        names = clean_names(movable, taken=_TAKEN)
        _hosted[effect] = {
            clean: _described(name, every[name], getattr(effect, name)) for clean, name in names.items()
        }
    return _hosted[effect]


def _described(name: str, parameter: Any, value: Any) -> _Hosted:
    default = _default(parameter, value)
    if parameter.type is bool or (parameter.type is float and parameter.valid_values == [0.0, 1.0]):
        return _Hosted(name, Knob(Travel(kind="switch"), bool(default)))
    if parameter.type is float:
        ends = float(parameter.min_value), float(parameter.max_value)
        travel = Travel(*ends, (parameter.units or "").strip(), _law(parameter))
        return _Hosted(name, Knob(travel, float(plain(float(default)))))
    choices = tuple(dict.fromkeys(str(value) for value in parameter.valid_values))
    if len(choices) <= _MOST_CHOICES:
        return _Hosted(name, Knob(Travel(kind="choice"), str(default), choices))
    return _Hosted(name, Knob(Travel(), float(parameter.default_raw_value)), is_raw=True)


def _default(parameter: Any, value: Any) -> Any:
    raw = parameter.default_raw_value
    if abs(raw - parameter.raw_value) < 1e-6:  # to all digits, where the ranges know a thousand steps
        return value
    return next(value for (_, end), value in parameter.ranges.items() if raw < end or end == 1)


def _law(parameter: Any) -> Law:
    """The law under which the middle of the travel lies nearest to where the plugin has it."""
    lowest, highest = parameter.min_value, parameter.max_value
    if not 0 < lowest < highest:
        return "linear"
    middle = next(value for (_, end), value in parameter.ranges.items() if end > 0.5)
    is_low = abs(middle - math.sqrt(lowest * highest)) < abs(middle - (lowest + highest) / 2)
    return "logarithmic" if is_low else "linear"
