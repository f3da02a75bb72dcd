"""Pedalboard's effects as data: their names, their parameters, and back."""

import base64
import binascii
import enum
import warnings
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from math import inf
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pedalboard
from pedalboard import Plugin
from pedalboard.io import AudioFile

from plugin_bridge.board.listing import CheckedList
from plugin_bridge.board.parameters import switch
from plugin_bridge.errors import PresetError

Effect = dict[str, Any]
"""An effect as data: `effect` (its class) and its parameters in native units."""

_CONTAINERS = {"Chain": pedalboard.Chain, "Mix": pedalboard.Mix, "Pedalboard": pedalboard.Pedalboard}
HOSTED = {
    name: getattr(pedalboard, name) for name in ("VST3Plugin", "AudioUnitPlugin") if hasattr(pedalboard, name)
}
_LARGEST = float(np.finfo(np.float32).max)
_paths: WeakKeyDictionary[Plugin, tuple[Path, str | None]] = WeakKeyDictionary()


class EffectList(CheckedList):
    """The pedalboard plugins of a strip, in order. Raises `TypeError` for anything else."""

    title = "effects"

    def checked(self, item: Any) -> Plugin:
        """The item, if it is a pedalboard effect."""
        if not isinstance(item, Plugin) or not item.is_effect:
            raise TypeError(
                f"an effect must be a pedalboard effect plugin, got {item!r}; "
                "a separating node goes into a Board, not into a strip"
            )
        return item

    def __repr__(self) -> str:
        return repr(self._items)


def load_plugin(path: str | Path, plugin_name: str | None = None, **parameters: Any) -> Plugin:
    """A VST3 or Audio Unit from a file, which presets can then save.

    Raises `PresetError` when there is no such file or it cannot be loaded.
    """
    path = Path(path)
    if not path.exists():
        raise PresetError(f"a hosted plugin must exist, got '{path}'; install it or mend the path")
    try:
        plugin: Plugin = pedalboard.load_plugin(str(path), parameters, plugin_name)
    except (ImportError, TypeError, ValueError, RuntimeError) as error:
        raise PresetError(f"a hosted plugin must load, got '{path}': {error}") from error
    _paths[plugin] = (path, plugin_name)
    return plugin


@cache
def effect_classes() -> dict[str, type[Plugin]]:
    """Every effect of pedalboard that can be made from numbers alone, by name."""
    found = {}
    for name in dir(pedalboard):
        kind = getattr(pedalboard, name)
        if not (isinstance(kind, type) and issubclass(kind, Plugin)) or kind in _CONTAINERS.values():
            continue
        if kind not in HOSTED.values() and _makeable(kind):
            found[name] = kind
    return dict(sorted(found.items()))


def settable(kind: type) -> frozenset[str]:
    """Names of the parameters that effects of pedalboard's own classes have."""
    properties = ((name, getattr(kind, name)) for name in dir(kind) if not name.startswith("_"))
    return frozenset(name for name, value in properties if isinstance(value, property) and value.fset)


def _makeable(kind: type[Plugin]) -> bool:
    try:
        kind()
    except (TypeError, RuntimeError):  # abstract, or in need of a file
        return False
    return True


def effect_to_dict(plugin: Plugin) -> Effect:
    """An effect as data that TOML and JSON can hold.

    Raises `TypeError` for a plugin that cannot be described (a convolution made from an array, a
    hosted plugin whose file is unknown).
    """
    for name, container in _CONTAINERS.items():
        if type(plugin) is container:
            return {"effect": name, "effects": [effect_to_dict(each) for each in plugin]}
    for name, hosted in HOSTED.items():
        if isinstance(plugin, hosted):
            return {"effect": name, **_hosted_to_dict(plugin)}
    kind = type(plugin)
    if kind is pedalboard.Convolution:
        return {"effect": "Convolution", **_convolution_to_dict(plugin)}
    if effect_classes().get(kind.__name__) is not kind:
        raise TypeError(f"an effect must be one of pedalboard's own to be saved, got {kind.__name__}")
    return {
        "effect": kind.__name__,
        **{name: plain(getattr(plugin, name)) for name in sorted(settable(kind))},
    }


def plain(value: Any) -> Any:
    """A parameter's value as data: the name of a choice, the number that was set."""
    if isinstance(value, float):
        # Parameters are float32 inside: the shortest text that gives the same float32 back.
        return float(str(np.float32(value)))
    return value.name if isinstance(value, enum.Enum) or hasattr(type(value), "__members__") else value


def _convolution_to_dict(plugin: Any) -> Effect:
    if plugin.impulse_response_filename is None:
        raise TypeError(
            "a Convolution must be made from a file to be saved, got an array; write it to a file first"
        )
    return {"impulse_response_filename": plugin.impulse_response_filename, "mix": plain(plugin.mix)}


def _hosted_to_dict(plugin: Any) -> Effect:
    path, name = _path_of(plugin)
    state = base64.b64encode(plugin.raw_state).decode("ascii")
    # Some plugins keep moved parameters out of their state until they have processed audio.
    raw_values = {key: plain(parameter.raw_value) for key, parameter in plugin.parameters.items()}
    identity = {"path": str(path), "plugin_name": name or plugin.name, "version": plugin.version}
    return {**identity, "state": state, "raw_values": raw_values}


def _path_of(plugin: Any) -> tuple[Path, str | None]:
    if plugin in _paths:
        return _paths[plugin]
    for path in sorted(type(plugin).installed_plugins):
        if Path(path).stem.casefold() == plugin.name.casefold():
            return Path(path), plugin.name
    raise TypeError(
        f"the file of {plugin.name} must be known to save it; load it with plugin_bridge.load_plugin(path)"
    )


def effect_from_dict(effect: Mapping[str, Any]) -> Plugin:
    """The effect that the data describe.

    Raises `PresetError` for an unknown effect, an unknown parameter or a value that the effect refuses.
    """
    if not isinstance(effect, Mapping):
        raise PresetError(f"an effect must be described by a table of values, got {effect!r}")
    values = dict(effect)
    name = values.pop("effect", None)
    if name in _CONTAINERS:
        return _CONTAINERS[name](_nested(name, values))
    if name in HOSTED:
        return _hosted_from_dict(values)
    known = effect_classes() | {"Convolution": pedalboard.Convolution}
    if name is None:
        raise PresetError(f"an effect must have a key 'effect' that names it, got the keys {sorted(values)}")
    if not isinstance(name, str) or name not in known:
        every = [*known, *_CONTAINERS, *HOSTED]
        near = get_close_matches(str(name), every, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"known effects: {', '.join(sorted(every))}"
        raise PresetError(f"an effect must be one of pedalboard's, got {name!r}; {remedy}")
    return _made(name, known[name], values)


def known_keys(values: object, name: str, allowed: Collection[str]) -> dict[str, Any]:
    """A copy of data with known keys only. Raises `PresetError` for other keys, or for what is no table."""
    if not isinstance(values, Mapping):
        raise PresetError(f"{name} must be described by a table of values, got {values!r}")
    for key in values:
        if key not in allowed:
            near = get_close_matches(str(key), allowed, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else f"it takes: {', '.join(sorted(allowed))}"
            raise PresetError(f"{name} must get only values that it takes, got '{key}'; {remedy}")
    return dict(values)


def set_parameter(plugin: Plugin, name: str, value: Any) -> None:
    """Move a parameter of an effect, in native units.

    Raises `PresetError` for a parameter that the effect does not have or a value that it refuses.
    """
    kind = type(plugin)
    known = getattr(plugin, "parameters", None) if kind in HOSTED.values() else settable(kind)
    if known is None or name not in known:
        raise PresetError(f"{kind.__name__} must get parameters that it has, got '{name}'")
    try:
        setattr(plugin, name, value if kind in HOSTED.values() else _native(kind, name, value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise PresetError(
            f"{name} of {kind.__name__} must get a value that it takes, got {value!r}"
        ) from error


def same_effects(some: Sequence[Plugin], others: Sequence[Plugin]) -> bool:
    """Whether two lists hold effects described alike; what cannot be described equals only itself."""
    return [_identity(effect) for effect in some] == [_identity(effect) for effect in others]


def _identity(effect: Plugin) -> object:
    try:
        return effect_to_dict(effect)
    except TypeError:
        return effect


def _nested(name: str, values: Effect) -> list[Plugin]:
    inner = values.pop("effects", [])
    if values or not isinstance(inner, list) or not all(isinstance(each, Mapping) for each in inner):
        raise PresetError(
            f"{name} must hold a list named 'effects' and nothing else, got {sorted(values) or inner!r}"
        )
    return [effect_from_dict(each) for each in inner]


def _made(name: str, kind: type[Plugin], values: Effect) -> Plugin:
    allowed = settable(kind) | ({"impulse_response_filename"} if name == "Convolution" else set())
    known_keys(values, name, allowed)
    try:
        return kind(**{key: _native(kind, key, value) for key, value in values.items()})
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        reason = "a value has the wrong type" if "incompatible" in str(error) else str(error)
        raise PresetError(f"{name} must get values that it takes, got {values}: {reason}") from error


def _native(kind: type[Plugin], key: str, value: Any) -> Any:
    if key == "impulse_response_filename":
        return _sound_file(value)
    usual = usual_value(kind.__name__, key)
    members = getattr(type(usual), "__members__", None)
    if members is not None:
        if not isinstance(value, str) or value not in members:
            raise ValueError(f"{key} must be one of {', '.join(members)}")
        return members[value]
    return switch(key, value) if isinstance(usual, bool) else _number(key, value)


@cache
def usual_value(effect: str, key: str) -> Any:
    """The value that a parameter has before it is set."""
    return 1.0 if effect == "Convolution" else getattr(effect_classes()[effect](), key)


def _number(key: str, value: object) -> float:
    """The number, where a plugin can work with it; pedalboard itself lets NaN in."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number")
    off = key.endswith("_db") and value == -inf
    if not (off or abs(value) < _LARGEST):
        raise ValueError(f"{key} must be a finite number")
    return value


def _sound_file(path: object) -> object:
    # A Convolution made from a file that holds no sound would be silently without effect.
    if isinstance(path, str) and Path(path).exists():
        with AudioFile(path):
            pass
    return path


def _hosted_from_dict(values: Effect) -> Plugin:
    allowed = ("path", "plugin_name", "version", "state", "raw_values")
    unknown = sorted(set(values) - set(allowed))
    if unknown or not isinstance(values.get("path"), str):
        raise PresetError(
            f"a hosted plugin must have a path and may have {', '.join(allowed[1:])}, got {sorted(values)}"
        )
    plugin: Any = load_plugin(values["path"], values.get("plugin_name"))
    version = values.get("version", plugin.version)
    if version != plugin.version:
        warnings.warn(f"{plugin.name} {plugin.version} gets the state of version {version}", stacklevel=2)
    if "state" in values:
        try:
            plugin.raw_state = base64.b64decode(values["state"], validate=True)
        except (TypeError, ValueError, binascii.Error, RuntimeError) as error:
            raise PresetError(f"the state of {plugin.name} must be what it saved, got: {error}") from error
    _set_raw_values(plugin, values.get("raw_values", {}))
    hosted: Plugin = plugin
    return hosted


def _set_raw_values(plugin: Any, raw_values: Any) -> None:
    parameters = plugin.parameters
    for key, value in known_keys(raw_values, plugin.name, parameters).items():
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise PresetError(
                f"raw values of {plugin.name} must be between 0 and 1, got {value!r} for '{key}'"
            )
        if plain(parameters[key].raw_value) != value:
            parameters[key].raw_value = value
