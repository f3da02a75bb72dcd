"""The architectures: every module of this package but `network` is one, by its own name.

Such a module has `PRESETS`, configs by name (the paper's sizes; those for tests begin with `tiny`), and
`build(config)`, which gives the untrained network. It may have `STATED`, what the paper says of a preset's
size or speed, as text by preset. Nothing here imports torch before it is needed.
"""

import pkgutil
from dataclasses import MISSING, asdict, fields
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_bridge.errors import ModelError

if TYPE_CHECKING:
    from plugin_bridge.separation.networks.network import Network, NetworkConfig


@cache
def architectures() -> tuple[str, ...]:
    """Names of all architectures, sorted."""
    return tuple(sorted({found.name for found in pkgutil.iter_modules(__path__)} - {"network"}))


def presets(architecture: str) -> "dict[str, NetworkConfig]":
    """The named configs of an architecture. Raises `ModelError` for an unknown architecture."""
    found: dict[str, NetworkConfig] = module(architecture).PRESETS
    return found


def config(architecture: str, values: dict[str, Any] | None = None) -> "NetworkConfig":
    """A config from plain values: those of the preset named by the key `preset`, the rest laid over them.

    Without `preset`, the rest is laid over the config's defaults. Raises `ModelError` for an unknown
    architecture, `ValueError` for an unknown preset or key or a value of another type.
    """
    known, rest = presets(architecture), dict(values or {})
    kind = type(next(iter(known.values())))
    name = rest.pop("preset", None)
    if name is not None and name not in known:
        raise ValueError(f"preset of {architecture} must be one of {', '.join(known)}, got '{name}'")
    keys = [field.name for field in fields(kind)]
    for key in rest:
        if key not in keys:
            raise ValueError(
                f"config of {architecture} must use known keys, got '{key}'; known keys: {', '.join(keys)}"
            )
    start = {} if name is None else asdict(known[name])
    try:
        return msgspec.convert(start | rest, kind)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"config of {architecture} must have values of the right type, got: {error}"
        ) from error


def values(config: "NetworkConfig") -> dict[str, Any]:
    """The plain values of a config that differ from its defaults; `config` reads them back."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    defaults = {
        field.name: msgspec.to_builtins(field.default)
        for field in fields(config)
        if field.default is not MISSING
    }
    return {key: value for key, value in plain.items() if key not in defaults or defaults[key] != value}


def build(architecture: str, values: dict[str, Any] | None = None) -> "Network":
    """An untrained network of an architecture, as `config` reads `values`.

    The weights are drawn from torch's generator; seed it for the same ones again.
    Raises as `config`.
    """
    network: Network = module(architecture).build(config(architecture, values))
    return network


def module(architecture: str) -> ModuleType:
    """The module of an architecture. Raises `ModelError` for an unknown one."""
    if architecture not in architectures():
        raise ModelError(f"architecture must be one of {', '.join(architectures())}, got '{architecture}'")
    return import_module(f"{__name__}.{architecture}")
