"""Memory that the audio, worker and control processes share: named arrays in one segment.

Every array starts on a cache line of its own, and each has one writer. Numbers of eight bytes are read
and written whole by every processor we run on, so a reader never sees half of one.
"""

import contextlib
import os
import platform
import threading
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plugin_bridge.errors import DeviceError

_LINE = 64
_IN_ORDER = platform.machine().lower() in {"x86_64", "amd64", "i386", "i686", "x86"}
_gates = (threading.Lock(), threading.Lock())


@dataclass(frozen=True)
class ArraySpec:
    """One array of a segment."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def room(self) -> int:
        """Bytes, rounded up to whole cache lines."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        return -(-size // _LINE) * _LINE


def array(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> ArraySpec:
    """The description of an array to be shared."""
    return ArraySpec(name, shape, np.dtype(dtype).str)


def fence() -> None:
    """Let other processors see what was written before it first, and read after it last.

    Stores and loads of x86 keep their order by themselves. Elsewhere a lock that is taken after one was let
    go does it: what came before the release is seen before what follows the acquisition.
    """
    if not _IN_ORDER:
        for gate in _gates:
            with gate:
                pass


class Segment:
    """Arrays in shared memory, made by one process and joined by others.

    Raises `DeviceError` where the system has no room for it.
    """

    def __init__(self, specs: tuple[ArraySpec, ...], name: str | None = None) -> None:
        self.specs = specs
        size = sum(spec.room for spec in specs)
        self._memory = self._made(size) if name is None else SharedMemory(name)
        self._owner = name is None
        self._arrays: dict[str, NDArray[Any]] = {}
        at = 0
        for spec in specs:
            self._arrays[spec.name] = np.ndarray(spec.shape, spec.dtype, self._memory.buf, at)
            at += spec.room

    @staticmethod
    def _made(size: int) -> SharedMemory:
        try:
            memory = SharedMemory(create=True, size=size)
        except OSError as error:
            raise DeviceError(f"shared memory must have {size} bytes free, got: {error.strerror}") from error
        try:
            # A full /dev/shm would otherwise end the process at the first touch (SIGBUS), not here.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(memory._fd, 0, size)  # type: ignore[attr-defined]
        except OSError as error:
            memory.close()
            memory.unlink()
            raise DeviceError(
                f"shared memory must have {size / 2**20:.0f} MiB free, got: {error.strerror}; "
                "free some in /dev/shm, or choose a smaller --reserve-ms"
            ) from error
        return memory

    @property
    def name(self) -> str:
        """What another process joins it by."""
        return self._memory.name

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array, by name."""
        return self._arrays[name]

    def close(self) -> None:
        """Let go of the memory; its maker also removes it."""
        self._arrays.clear()
        # Views that a caller still holds keep the mapping alive until they are gone; the name goes now.
        with contextlib.suppress(BufferError):
            self._memory.close()
        if self._owner:
            with contextlib.suppress(FileNotFoundError):
                self._memory.unlink()
