"""What an evaluation is asked to score: a model of the catalogue, a weights file, a folder, or an oracle."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import catalogue, checkpoint, networks
from plugin_bridge.separation.card import Card
from plugin_bridge.separation.graph_separator import GraphSeparator
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.separator import Separator, StreamingSeparator
from plugin_bridge.separation.stereo import By, InStereo
from plugin_bridge.training.oracle import KINDS

ORACLES = tuple(f"oracle-{kind}" for kind in KINDS) + tuple(f"transfer-{kind}" for kind in KINDS)
"""Names under which ideal masks are scored, of each song on itself and of another song."""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the results say of the model: of a network also the weights' sha256 and how they were trained."""

    name: str
    architecture: str
    config: dict[str, Any] = {}
    sha256: str | None = None
    parameters: int | None = None
    streaming: bool = False
    latency_seconds: float | None = None
    training: dict[str, Any] = {}


@dataclass(frozen=True)
class Subject:
    """A separator to score, None for an oracle, and what is known of it."""

    facts: Facts
    separator: Separator | None = field(default=None)


def subject(name: str, *, device: str = "auto", shifts: int = 1) -> Subject:
    """The subject of a name or path: catalogue model, `.safetensors` file, folder with weights or a card.

    Raises `ModelError` where there is none, or the weights do not fit; `ValueError` for `shifts` that a
    separator does not take.
    """
    if name in ORACLES:
        return Subject(Facts(name=name, architecture=name))
    path = Path(name)
    if path.is_dir():
        return _of_folder(path, device, shifts)
    if path.suffix == ".safetensors":
        return _of_weights(path, device, shifts)
    separator = catalogue.load(name, device)
    its = catalogue.card(name)
    return _of_separator(name, separator, its.config, its.architecture, shifts)


def _of_folder(folder: Path, device: str, shifts: int) -> Subject:
    weights = folder / "weights.safetensors"
    if not (folder / "card.toml").is_file():
        if weights.is_file():
            return _of_weights(weights, device, shifts)
        raise ModelError(
            f"a folder to score must hold weights.safetensors or card.toml, got {folder} without them; "
            "name a run's folder, a model's, or a model of the catalogue"
        )
    its = _card(folder / "card.toml")
    if its.architecture in networks.architectures():
        named = folder / Path(its.weights or "").name
        if not named.is_file():
            raise ModelError(f"{folder} must hold weights to be scored, got a network that is not trained")
        return _of_weights(named, device, shifts, its.config.get("stereo"))
    try:
        separator = catalogue.build(its.architecture, its.config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card in {folder} must describe a separator, got: {error}") from error
    return _of_separator(folder.resolve().name, separator, its.config, its.architecture, shifts)


def _card(path: Path) -> Card:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Card)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ModelError(f"a card must be valid, got: {error}; mend {path}") from error


def _of_weights(path: Path, device: str, shifts: int, by: By | None = None) -> Subject:
    network = checkpoint.load(path)
    contents = checkpoint.read(path)
    separator = NetworkSeparator(network, device=device, shifts=shifts, weights=contents.sha256)
    name = path.resolve().parent.name if path.name == "weights.safetensors" else path.stem
    facts = _network_facts(name, separator, checkpoint.training_notes(contents))
    return _in_stereo(Subject(facts, separator if by is None else InStereo(separator, by)))


def _of_separator(
    name: str, separator: Separator, config: Mapping[str, Any], architecture: str, shifts: int
) -> Subject:
    if shifts > 1:
        separator = catalogue.with_shifts(separator, shifts)
    heard = separator.separator if isinstance(separator, InStereo) else separator
    if isinstance(heard, NetworkSeparator):
        return _in_stereo(Subject(_network_facts(name, heard, _notes_of_model(name)), separator))
    if isinstance(heard, GraphSeparator):
        return _in_stereo(Subject(_graph_facts(name, heard), separator))
    facts = Facts(
        name=name,
        architecture=architecture,
        config=dict(config),
        streaming=isinstance(separator, StreamingSeparator),
        latency_seconds=_latency_seconds(separator),
    )
    return Subject(facts, separator)


def _in_stereo(subject: Subject) -> Subject:
    """The subject, its config saying by what a mono network runs on stereo."""
    if not isinstance(subject.separator, InStereo):
        return subject
    config = {**subject.facts.config, "stereo": subject.separator.by}
    return replace(subject, facts=msgspec.structs.replace(subject.facts, config=config))


def _notes_of_model(name: str) -> dict[str, Any]:
    its = catalogue.card(name)
    contents = checkpoint.read(catalogue.model_folder(name) / str(its.weights))
    return checkpoint.training_notes(contents)


def _network_facts(name: str, separator: NetworkSeparator, training: dict[str, Any]) -> Facts:
    network = separator.network
    config = networks.values(network.config)
    if separator.shifts > 1:
        config["shifts"] = separator.shifts
    return Facts(
        name=name,
        architecture=network.architecture,
        config=config,
        sha256=separator.weights,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        streaming=True,
        latency_seconds=_latency_seconds(separator),
        training=training,
    )


def _graph_facts(name: str, separator: GraphSeparator) -> Facts:
    """As `_network_facts`, whichever engine runs the network."""
    contents, its = checkpoint.read(separator.files.weights), separator.facts
    config = networks.values(networks.config(its.architecture, its.config))
    if its.precision != "float32":
        config["precision"] = its.precision
    return Facts(
        name=name,
        architecture=its.architecture,
        config=config,
        sha256=contents.sha256,
        parameters=sum(tensor.numel() for tensor in contents.tensors.values()),
        streaming=True,
        latency_seconds=_latency_seconds(separator),
        training=checkpoint.training_notes(contents),
    )


def _latency_seconds(separator: Separator) -> float | None:
    if not isinstance(separator, StreamingSeparator):
        return None
    stream = separator.stream()
    return round((stream.latency + stream.hop) / separator.sample_rate, 6)
