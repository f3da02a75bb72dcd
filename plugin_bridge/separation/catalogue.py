"""The catalogue: from a model's name to its card, and from the card to a separator.

A model is a folder with a `card.toml`; ours and the user's have the same form (`folders.data_folders`).
"""

import hashlib
import re
import tomllib
from dataclasses import MISSING, asdict, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.folders import data_folders
from plugin_bridge.separation.device import check_device
from plugin_bridge.separation.separator import Separator, StreamingSeparator

_CLASSICAL = {
    "bands": "Bands",
    "classic4": "Classic4",
    "hpss": "Hpss",
    "nmf": "Nmf",
    "repet": "Repet",
    "repet_mfcc": "RepetMfcc",
    "repet_sim": "RepetSim",
    "rpca": "Rpca",
    "spectral_subtraction": "SpectralSubtraction",
}

DEFAULT_MODEL = "classic4"
"""The model used where none is named."""

NAME = re.compile(r"[a-z0-9_-]+")
"""What model and preset names look like."""


class Card(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a model folder says about itself; `latency`, `hop` in frames at `sample_rate` Hz."""

    architecture: str
    summary: str
    sources: list[str]
    sample_rate: int
    channels: int
    streaming: bool
    licence: str
    source: str
    strengths: str
    limits: str
    latency: int | None = None
    hop: int | None = None
    window_seconds: float | None = None
    scores: dict[str, str | int | float] = msgspec.field(default_factory=dict)
    config: dict[str, Any] = msgspec.field(default_factory=dict)


def names() -> list[str]:
    """Names of all models that can be used, sorted."""
    found = {path.parent.name for folder in data_folders("models") for path in folder.glob("*/card.toml")}
    return sorted(name for name in found if NAME.fullmatch(name))


def model_folder(name: str) -> Path:
    """The folder of a model, the user's before ours. Raises `ModelError` for an unknown name."""
    if not isinstance(name, str):
        raise TypeError(f"a model must be named by a string, got {name!r}")
    if NAME.fullmatch(name):
        for folder in data_folders("models"):
            if (folder / name / "card.toml").is_file():
                return folder / name
    known = names()
    near = get_close_matches(name, known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known models: {', '.join(known)}"
    raise ModelError(f"model must be one of the catalogue, got '{name}'; {remedy}")


def card(name: str) -> Card:
    """The card of a model. Raises `ModelError` for an unknown name or a broken card."""
    path = model_folder(name) / "card.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Card)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelError(f"the card of model '{name}' must be valid, got: {error}; mend {path}") from error


def load(name: str = DEFAULT_MODEL, device: str = "auto") -> Separator:
    """The separator of a model, on a compute device; methods without weights run on the CPU whatever it is.

    Raises `ModelError` for an unknown name or a broken folder, `DeviceError` for a device that is not there.
    """
    check_device(device)
    its = card(name)
    try:
        separator = build(its.architecture, its.config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card of model '{name}' must describe a separator, got: {error}") from error
    _compare(name, its, separator)
    return separator


def _compare(name: str, its: Card, separator: Separator) -> None:
    """Raise `ModelError` where a card says other than what its separator does."""
    truth: dict[str, Any] = {
        "sources": list(separator.sources),
        "sample_rate": separator.sample_rate,
        "channels": separator.channels,
        "streaming": isinstance(separator, StreamingSeparator),
        "window_seconds": getattr(separator, "window_seconds", None),
    }
    if isinstance(separator, StreamingSeparator):
        stream = separator.stream()
        truth |= {"latency": stream.latency, "hop": stream.hop}
    for key, value in truth.items():
        if getattr(its, key) != value:
            raise ModelError(
                f"the card of model '{name}' must state its separator's {key}, got {getattr(its, key)} "
                f"for {value}; mend the card"
            )


def build(architecture: str, config: dict[str, Any]) -> Separator:
    """A separator of `architecture` with `config` as its constructor's arguments.

    Raises `ModelError` for an unknown architecture, `TypeError` or `ValueError` for a bad config.
    """
    kind = _class(architecture)
    unknown = sorted(set(config) - {field.name for field in fields(kind)})
    if unknown:
        known = ", ".join(field.name for field in fields(kind))
        raise ValueError(
            f"config of {architecture} must use known keys, got '{unknown[0]}'; known keys: {known}"
        )
    separator: Separator = kind(**config)
    return separator


def describe(separator: Separator) -> dict[str, Any]:
    """The architecture and the config from which `build` makes an equal separator.

    Raises `TypeError` for a separator that the catalogue does not know.
    """
    for architecture in _CLASSICAL:
        kind = type(separator)
        if (kind.__module__, kind.__name__) == (_module(architecture), _CLASSICAL[architecture]):
            return {"architecture": architecture, "config": _config(separator)}
    raise TypeError(
        f"separator must be one that the catalogue can build, got {type(separator).__name__}; "
        "name a model instead, or keep the object yourself"
    )


def model_hash(name: str) -> str:
    """The sha256 of all that makes the model sound as it does: its architecture, config and weights."""
    its, digest = card(name), hashlib.sha256()
    digest.update(
        msgspec.json.encode([its.architecture, its.config, its.sources, its.sample_rate], order="sorted")
    )
    for weights in sorted(model_folder(name).glob("*.safetensors")):
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@cache
def _class(architecture: str) -> Any:
    if architecture not in _CLASSICAL:
        raise ModelError(f"architecture must be one of {', '.join(_CLASSICAL)}, got '{architecture}'")
    return getattr(import_module(_module(architecture)), _CLASSICAL[architecture])


def _module(architecture: str) -> str:
    return f"plugin_bridge.separation.classical.{architecture}"


def _config(separator: Any) -> dict[str, Any]:
    if not is_dataclass(separator) or isinstance(separator, type):
        return {}
    defaults = {
        field.name: field.default_factory() if field.default_factory is not MISSING else field.default
        for field in fields(separator)
    }
    return {key: value for key, value in asdict(separator).items() if value != defaults[key]}
