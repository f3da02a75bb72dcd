"""The catalogue: from a model's name to its card, and from the card to a separator.

A model is a folder with a `card.toml`; ours and the user's have the same form (`folders.data_folders`).
The model of a network also has weights; before it is trained, its folder is not in the catalogue.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.folders import data_folders
from plugin_bridge.separation import networks
from plugin_bridge.separation.card import Card
from plugin_bridge.separation.device import check_device
from plugin_bridge.separation.separator import Separator, StreamingSeparator
from plugin_bridge.separation.stereo import InStereo

if TYPE_CHECKING:
    from plugin_bridge.separation.graph_separator import GraphSeparator
    from plugin_bridge.separation.network_separator import NetworkSeparator

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

DEFAULT_MODEL = "live4"
"""The model used where none is named."""

NAME = re.compile(r"[a-z0-9_-]+")
"""What model and preset names look like."""


_NETWORK_SEPARATOR = "plugin_bridge.separation.network_separator"
_GRAPH_SEPARATOR = "plugin_bridge.separation.graph_separator"
_RUN_KEYS = ("shifts", "seed")  # what a config may say of running a network, beside the network's own


def names() -> list[str]:
    """Names of all models that can be used, sorted; networks without weights cannot."""
    found = {path.parent for folder in data_folders("models") for path in folder.glob("*/card.toml")}
    return sorted({path.name for path in found if NAME.fullmatch(path.name) and _ready(path)})


def model_folder(name: str) -> Path:
    """The folder of a model, the user's before ours. Raises `ModelError` for an unknown or untrained one."""
    if not isinstance(name, str):
        raise TypeError(f"a model must be named by a string, got {name!r}")
    here = [folder / name for folder in data_folders("models")] if NAME.fullmatch(name) else []
    here = [folder for folder in here if (folder / "card.toml").is_file()]
    for folder in here:
        if _ready(folder):
            return folder
    known = names()
    if here:
        raise ModelError(
            f"model '{name}' must have weights, got a network that is not trained; train it by its recipe, "
            f"or choose one of: {', '.join(known)}"
        )
    near = get_close_matches(name, known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known models: {', '.join(known)}"
    raise ModelError(f"model must be one of the catalogue, got '{name}'; {remedy}")


def _ready(folder: Path) -> bool:
    """Whether a folder is a model, not a network still without weights; a broken card is `card`'s to tell."""
    try:
        its = tomllib.loads((folder / "card.toml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return True
    if its.get("architecture") not in networks.architectures():
        return True
    return isinstance(its.get("weights"), str) and (folder / its["weights"]).is_file()


def card(name: str) -> Card:
    """The card of a model. Raises `ModelError` for an unknown name or a broken card."""
    return card_in(model_folder(name))


def card_in(folder: Path) -> Card:
    """The card of a model's folder, trained or not. Raises `ModelError` for a broken card."""
    path = folder / "card.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Card)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelError(
            f"the card of model '{folder.name}' must be valid, got: {error}; mend {path}"
        ) from error


def load(name: str = DEFAULT_MODEL, device: str = "auto", *, shifts: int | None = None) -> Separator:
    """The separator of a model, on a compute device; methods without weights run on the CPU whatever it is.

    `shifts` is as in `NetworkSeparator`; None is what the card says. Raises `ModelError` for an unknown name
    or a broken folder, `DeviceError` for a device that is not there, `ValueError` for `shifts` that a model
    does not take.
    """
    check_device(device)
    its = card(name)
    try:
        if its.architecture in networks.architectures():
            separator: Separator = _trained(model_folder(name), its, its.config, device)
        else:
            separator = build(its.architecture, its.config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card of model '{name}' must describe a separator, got: {error}") from error
    _compare(name, its, separator)
    return separator if shifts is None else with_shifts(separator, shifts)


def with_shifts(separator: Separator, shifts: int) -> Separator:
    """The separator, its estimates averaged over so many offsets. Raises `ValueError` where it takes none."""
    if isinstance(separator, InStereo):
        mono: Any = with_shifts(separator.separator, shifts)
        return InStereo(mono, separator.by)
    if type(separator).__module__ == _NETWORK_SEPARATOR:
        network: Any = separator
        shifted: Separator = network.with_shifts(shifts)
        return shifted
    if shifts != 1:
        causal = type(separator).__module__ == _GRAPH_SEPARATOR
        what = "a causal network" if causal else "a method without weights"
        raise ValueError(
            f"shifts must be 1 for {what}, got {shifts}; leave them out or name an offline network"
        )
    return separator


def _compare(name: str, its: Card, separator: Separator) -> None:
    """Raise `ModelError` where a card says other than what its separator does."""
    for key, value in stated(separator).items():
        if getattr(its, key) != value:
            raise ModelError(
                f"the card of model '{name}' must state its separator's {key}, got {getattr(its, key)} "
                f"for {value}; mend the card"
            )


def stated(separator: Separator) -> dict[str, Any]:
    """What the card of a separator must say of it, by key."""
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
    return truth


def build(architecture: str, config: dict[str, Any], device: str = "auto") -> Separator:
    """A separator of `architecture` with `config` as its constructor's arguments.

    The config of a network also names the sha256 of its `weights`, which a model of the catalogue must have;
    that of a mono network may say by which of `stereo.By` it runs on stereo.
    Raises `ModelError` for an unknown architecture or unknown weights, `TypeError` or `ValueError` for a bad
    config.
    """
    if architecture in networks.architectures():
        rest = dict(config)
        sha256 = rest.pop("weights", None)
        model = _of_weights(architecture, sha256)
        return _trained(model_folder(model), card(model), rest, device)
    kind = _class(architecture)
    unknown = sorted(set(config) - {field.name for field in fields(kind)})
    if unknown:
        known = ", ".join(field.name for field in fields(kind))
        raise ValueError(
            f"config of {architecture} must use known keys, got '{unknown[0]}'; known keys: {known}"
        )
    separator: Separator = kind(**config)
    return separator


def _of_weights(architecture: str, sha256: object) -> str:
    """The name of the model with the weights of a sha256. Raises `ModelError` where there is none."""
    for name in names():
        try:
            its = card(name)
        except ModelError:
            continue  # a broken card is for those to hear of who ask for its model
        if its.sha256 is not None and (its.architecture, its.sha256) == (architecture, sha256):
            return name
    raise ModelError(
        f"weights of {architecture} must be of a model in the catalogue, got {sha256}; install its folder"
    )


def describe(separator: Separator) -> dict[str, Any]:
    """The architecture and the config from which `build` makes an equal separator.

    Raises `TypeError` for a separator that the catalogue does not know.
    """
    if isinstance(separator, InStereo):
        mono = describe(separator.separator)
        return {**mono, "config": {**mono["config"], "stereo": separator.by}}
    if type(separator).__module__ == _NETWORK_SEPARATOR:
        return _describe_network(separator)
    if type(separator).__module__ == _GRAPH_SEPARATOR:
        its: Any = separator
        return {
            "architecture": its.facts.architecture,
            "config": {**its.facts.config, "weights": its.weights},
        }
    for architecture in _CLASSICAL:
        kind = type(separator)
        if (kind.__module__, kind.__name__) == (_module(architecture), _CLASSICAL[architecture]):
            return {"architecture": architecture, "config": _config(separator)}
    raise TypeError(
        f"separator must be one that the catalogue can build, got {type(separator).__name__}; "
        "name a model instead, or keep the object yourself"
    )


def _describe_network(separator: Any) -> dict[str, Any]:
    if separator.weights is None:
        raise TypeError(
            "separator must be trained to be described, got a network whose weights are in no file"
        )
    run = {"shifts": separator.shifts, "seed": separator.seed} if separator.shifts > 1 else {}
    # In full and with lists, as a graph says it: who loads this may have the graph, or PyTorch.
    own = msgspec.json.decode(msgspec.json.encode(separator.network.config))
    config = {**own, **run, "weights": separator.weights}
    return {"architecture": separator.network.architecture, "config": config}


def _trained(folder: Path, its: Card, config: dict[str, Any], device: str) -> Separator:
    """The separator of a network's folder. Raises `ModelError`, and `ValueError` for a bad config."""
    weights = its.weights or ""
    if its.sha256 is None or Path(weights).name != weights:
        raise ModelError(
            f"the card of model '{folder.name}' must name a file beside it as weights, and its sha256, "
            f"got '{weights}' and {its.sha256}"
        )
    mono = _mono(config)
    graph = _graph(folder, its, mono) if device in ("auto", "cpu") else None
    separator = graph or _in_torch(folder / weights, its, mono, device)
    return InStereo(separator, config["stereo"]) if "stereo" in config else separator


def _graph(folder: Path, its: Card, config: dict[str, Any]) -> "GraphSeparator | None":
    """The separator of a network's graph, if it has one of this config that can run here.

    One step of one stream is too little work for an accelerator to be faster. Raises `ModelError`.
    """
    from plugin_bridge.separation import engine

    if its.engine is None or not engine.available():
        return None
    if Path(its.engine.graph).name != its.engine.graph:
        raise ModelError(
            f"the card of model '{folder.name}' must name a file beside it as its engine's graph, "
            f"got '{its.engine.graph}'"
        )
    from plugin_bridge.separation.graph_separator import GraphSeparator

    files = engine.Files(
        folder / its.engine.graph,
        its.engine.sha256,
        folder / str(its.weights),
        str(its.sha256),
        its.engine.precision,
    )
    separator = GraphSeparator(files)
    facts = separator.facts
    own = network_config(its.config)
    other = [key for key, value in own.items() if key != "preset" and facts.config.get(key) != value]
    if facts.architecture != its.architecture or other:
        what = f"{other[0]} {its.config[other[0]]}" if other else its.architecture
        raise ModelError(
            f"the graph of model '{folder.name}' must be of what its card describes, got one not of {what}; "
            "export it again or mend the card"
        )
    return separator if config in (_mono(its.config), facts.config) else None


def _in_torch(weights: Path, its: Card, config: dict[str, Any], device: str) -> "NetworkSeparator":
    """The separator of a network in PyTorch. Raises `ModelError`, and `ValueError` for a bad config."""
    # torch takes seconds to import, and methods without weights never need it.
    from plugin_bridge.separation import checkpoint
    from plugin_bridge.separation.network_separator import NetworkSeparator

    run = {key: config[key] for key in _RUN_KEYS if key in config}
    rest = network_config(config)
    networks.config(its.architecture, rest)  # a bad card is another fault than a bad file
    network = checkpoint.load(weights, sha256=its.sha256, architecture=its.architecture, config=rest)
    return NetworkSeparator(network, device=device, weights=its.sha256, **run)


def network_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a card's config says of the network itself, without how it is run."""
    return {key: value for key, value in _mono(config).items() if key not in _RUN_KEYS}


def _mono(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "stereo"}


def model_hash(name: str) -> str:
    """The sha256 of all that makes the model sound as it does: its architecture, config and weights."""
    its, digest = card(name), hashlib.sha256()
    digest.update(
        msgspec.json.encode([its.architecture, its.config, its.sources, its.sample_rate], order="sorted")
    )
    for weights in sorted(model_folder(name).glob("*.safetensors")):
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if its.engine is not None:
        digest.update(its.engine.sha256.encode())
    return digest.hexdigest()


@cache
def _class(architecture: str) -> Any:
    if architecture not in _CLASSICAL:
        known = ", ".join([*_CLASSICAL, *networks.architectures()])
        raise ModelError(f"architecture must be one of {known}, got '{architecture}'")
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
