"""Weights files as bytes, checked before use, without torch: what is no whole safetensors file is refused."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.errors import ModelError

POINTER = b"version https://git-lfs"
"""How a file begins that stands for one which git LFS has not fetched."""

_PICKLES = (b"PK\x03\x04", b"\x80")  # torch's archive, and a bare pickle of protocol 2 or later
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file: all of its bytes, its texts by key, and its sha256."""

    content: bytes
    texts: dict[str, str]
    sha256: str


def read(path: Path, sha256: str | None = None) -> WeightsFile:
    """A file's content, of the given sha256 where one is given.

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
    return WeightsFile(content, _texts(path, content), digest)


def replace(path: Path, content: bytes) -> None:
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
    if content.startswith(POINTER):
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
