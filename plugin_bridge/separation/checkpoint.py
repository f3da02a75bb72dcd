"""Weights in files: tensors and text only, checked before use, never a pickle.

A file is safetensors; its metadata say which architecture and config the weights are of and how they were
trained. Files from elsewhere without such metadata are welcome where the caller names the architecture.
"""

import hashlib
import json
import os
import tempfile
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
from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.network import Network

_POINTER = b"version https://git-lfs"
_PICKLES = (b"PK\x03\x04", b"\x80")  # torch's archive, and a bare pickle of protocol 2 or later
_LARGEST_HEADER = 100_000_000


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
        _replace(path, content)
    except OSError as error:
        raise ModelError(f"weights must be writable at {path}, got: {error}") from error
    return hashlib.sha256(content).hexdigest()


def read(path: Path, sha256: str | None = None) -> Contents:
    """The tensors and texts of a file, of the given sha256 where one is given.

    Raises `ModelError` for a file that is missing, truncated, another than expected, or no safetensors.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"weights must be a readable file, got: {error}") from error
    _check_kind(path, content)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise ModelError(
            f"{path} must have the sha256 {sha256} of its card, got {digest}; fetch the weights again"
        )
    texts = _texts(path, content)
    try:
        return Contents(tensors_from(content), texts, digest)
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


def _replace(path: Path, content: bytes) -> None:
    """Put a whole new file where the old one is, so that no reader and no crash meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _check_kind(path: Path, content: bytes) -> None:
    """Raise `ModelError` for files that people mistake for weights."""
    if content.startswith(_POINTER):
        raise ModelError(f"{path} must hold weights, got a text pointer of git LFS; run `git lfs pull`")
    size = int.from_bytes(content[:8], "little")
    # A safetensors file begins with its header's length, which may well begin as a pickle does; then comes {.
    if content[8:9] == b"{" and 2 <= size <= min(_LARGEST_HEADER, len(content) - 8):
        return
    if content.startswith(_PICKLES):
        raise ModelError(
            f"{path} must be a safetensors file, got a pickle, which could run any program when opened; "
            "ask for the weights as safetensors"
        )
    if len(content) < 10 or content[8:9] != b"{" or size > _LARGEST_HEADER:
        raise ModelError(f"{path} must be a safetensors file, got something else; fetch the weights again")


def _texts(path: Path, content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file; its length is checked on the way."""
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        short = len(content) < start + max(ends, default=0)
        texts = {str(key): str(text) for key, text in header.get("__metadata__", {}).items()}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        what = "got a truncated one" if len(content) < start else "got a broken header"
        raise ModelError(
            f"{path} must be a whole safetensors file, {what}; fetch the weights again"
        ) from error
    if short:
        raise ModelError(
            f"{path} must be a whole safetensors file, got a truncated one; fetch the weights again"
        )
    return texts


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
