"""What a file holds, as a hash that is computed once for as long as the file stays as it is."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from plugin_bridge.errors import AudioFileError


def fingerprint(path: Path, home: Path) -> str:
    """SHA-256 of a file's bytes, remembered in `home` by its path, size and time of change.

    Raises `AudioFileError` where the file cannot be read.
    """
    try:
        status = path.stat()
        stamp = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
        known = home / "hashes" / hashlib.sha256(stamp.encode()).hexdigest()[:32]
        if known.is_file() and len(hashed := known.read_text("ascii")) == 64:
            return hashed
        with path.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioFileError(
            f"{path} must be readable, got '{error.strerror}'; check the data set"
        ) from error
    _remember(known, hashed)
    return hashed


def _remember(known: Path, hashed: str) -> None:
    known.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=known.parent)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(hashed)
    os.replace(aside, known)
