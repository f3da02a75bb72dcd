"""Weights in files: tensors and text only, checked before use, never a pickle.

A file is safetensors; its metadata say which architecture and config the weights are of and how they were
trained. Files from elsewhere without such metadata are welcome where the caller names the architecture.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from
from safetensors.torch import save as bytes_of
from torch import Tensor

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import networks, weights_file
from plugin_bridge.separation.networks.network import Network


@dataclass(frozen=True)
class Contents:
    """What a file holds: tensors by name, texts by key, and the sha256 of it all."""

    tensors: dict[str, Tensor]
    texts: dict[str, str]
    sha256: str


def write(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Write tensors and texts, all or nothing, and tell the file's sha256.

    Raises `ModelError` where the file cannot be written.
    """
    # Clones, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    content = bytes_of(plain, dict(texts))
    try:
        weights_file.replace(path, content)
    except OSError as error:
        raise ModelError(f"weights must be writable at {path}, got: {error}") from error
    return hashlib.sha256(content).hexdigest()


def read(path: Path, sha256: str | None = None) -> Contents:
    """The tensors and texts of a file, of the given sha256 where one is given.

    Raises `ModelError` for a file that is missing, truncated, another than expected, or no safetensors.
    """
    file = weights_file.read(path, sha256)
    try:
        return Contents(tensors_from(file.content), file.texts, file.sha256)
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} must be a safetensors file, got: {error}; fetch the weights again"
        ) from error


def save(network: Network, path: Path, training: Mapping[str, Any] | None = None) -> str:
    """Write a network's weights with its architecture, config and `training` notes; the file's sha256.

    Raises `ModelError` where the file cannot be written.
    """
    texts = {
        "architecture": network.architecture,
        "config": json.dumps(msgspec.to_builtins(network.config), sort_keys=True),
        "training": json.dumps(dict(training or {}), sort_keys=True),
    }
    return write(path, network.state_dict(), texts)


def load(
    path: Path,
    *,
    sha256: str | None = None,
    architecture: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Network:
    """The network of a file, on the CPU.

    `architecture` and `config` (as `networks.config` reads it) are what the caller takes it for; the file's
    own are used where they are not given. Raises `ModelError` for whatever does not fit.
    """
    contents = read(path, sha256)
    own = contents.texts.get("architecture")
    kind = architecture or own
    if kind is None:
        raise ModelError(f"{path} must say its architecture, got weights alone; name it")
    if own not in (None, kind):
        raise ModelError(f"{path} must hold weights of {kind}, got a checkpoint of {own}")
    values = _config_text(path, contents) if config is None else dict(config)
    try:
        with torch.random.fork_rng(devices=[]):  # to draw weights that are replaced must change nothing else
            network = networks.build(kind, values)
    except ValueError as error:
        raise ModelError(f"{path} must be of a known config, got: {error}") from error
    fill(network, contents.tensors, path)
    return network


def training_notes(contents: Contents) -> dict[str, Any]:
    """How the weights of a file were trained, as `save` was told."""
    notes: dict[str, Any] = json.loads(contents.texts.get("training", "{}"))
    return notes


def fill(network: Network, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give a network the weights of a file.

    Raises `ModelError` for missing or unexpected names, another shape, or numbers that are not finite.
    """
    wanted = network.state_dict()
    missing, unexpected = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    what = f"{path} must have the weights of {network.architecture} in this config"
    if missing:
        raise ModelError(f"{what}, got none for {_some(missing)}")
    if unexpected:
        raise ModelError(f"{what}, got unknown ones for {_some(unexpected)}")
    for name, tensor in wanted.items():
        given = tensors[name]
        if given.shape != tensor.shape:
            raise ModelError(f"{what}, got shape {tuple(given.shape)} for {tuple(tensor.shape)} in '{name}'")
        if not bool(torch.isfinite(given).all()):
            raise ModelError(f"{path} must have finite weights, got NaN or infinity in '{name}'")
    network.load_state_dict(dict(tensors))


def _config_text(path: Path, contents: Contents) -> dict[str, Any]:
    try:
        config = json.loads(contents.texts.get("config", "{}"))
    except ValueError as error:
        raise ModelError(f"{path} must state its config as JSON, got: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} must state its config as JSON object, got {type(config).__name__}")
    return config


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
