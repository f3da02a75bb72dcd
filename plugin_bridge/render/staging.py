"""Whole files or none: everything is written under a temporary name and renamed when it is complete."""

import os
import secrets
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.naming import display, glob_patterns

# Host and process in the name tell a file in use from one that a killed process left.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
TEMPORARY_PREFIX = ".plugin-bridge-"


class Staging:
    """A set of files that appear together; leaving it without `commit` leaves nothing behind."""

    def __init__(self) -> None:
        self._temporary: dict[Path, Path | None] = {}
        self._open: list[IO[bytes]] = []
        self._made: list[Path] = []
        self._superseded: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            with suppress(OSError):  # a full disk, told of already, speaks again on closing
                file.close()
        for temporary in self._temporary:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        for folder in reversed(self._made):
            with suppress(OSError):  # not empty: something was committed into it
                folder.rmdir()

    def open(self, target: Path) -> IO[bytes]:
        """An empty file that `commit` renames to `target`; its folder is made where missing."""
        return self._new(target.parent, target)

    def scratch(self, folder: Path) -> IO[bytes]:
        """An empty file that goes when the staging ends."""
        return self._new(folder, None)

    def write(self, target: Path, content: bytes) -> None:
        """A small file at once."""
        self.open(target).write(content)

    def remove(self, path: Path) -> None:
        """Have `commit` remove a file, once all others stand."""
        self._superseded.append(path)

    def commit(self) -> None:
        """Bring every file to the disk and to its name, in the order they were opened."""
        with told_of("stems"):
            for file in self._open:
                if not file.closed:
                    file.flush()
                    os.fsync(file.fileno())
                    file.close()
            for temporary, target in self._temporary.items():
                if target is not None:
                    os.replace(temporary, target)
            for path in self._superseded:
                path.unlink(missing_ok=True)

    def temporary(self, target: Path) -> Path:
        """Where a file lies until it is committed."""
        return next(temporary for temporary, its in self._temporary.items() if its == target)

    def _new(self, folder: Path, target: Path | None) -> IO[bytes]:
        with told_of(display(folder)):
            self._make(folder)
            temporary = folder / f"{TEMPORARY_PREFIX}{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part"
            self._temporary[temporary] = target
            file = temporary.open("x+b")
            self._open.append(file)
        return file

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        self._made.append(folder)


@contextmanager
def told_of(
    what: str, must: str = "writable", remedy: str = "make room or choose another output"
) -> Iterator[None]:
    """Turn an `OSError` into an `AudioFileError` that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise AudioFileError(f"{what} must be {must}, got: {error.strerror or error}; {remedy}") from error


def remove_leftovers(output: Path, template: str, dead: int | None = None) -> None:
    """Remove what dead processes of this machine left of renders with a template, and folders made in vain.

    `dead` is a process known to have ended; of others the system is asked.
    """
    patterns = glob_patterns(template, f"{TEMPORARY_PREFIX}{_HOST}-*.part")
    for path in [path for pattern in patterns for path in output.glob(pattern)]:
        process = path.name.removeprefix(f"{TEMPORARY_PREFIX}{_HOST}-").split("-")[0]
        if not process.isdigit() or (int(process) != dead and _is_running(int(process))):
            continue
        with suppress(OSError):  # what cannot be removed is hidden, and no song's file
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # there, signal 0 would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
