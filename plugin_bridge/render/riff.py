"""Chunked sound files, read: RIFF, RIFX, RF64, BW64 (WAVE) and FORM (AIFF).

Only the layout is read here; the samples stay with libsndfile. Sources: Microsoft RIFF (1991), EBU Tech
3306 v1.1 (RF64), ITU-R BS.2088 (BW64), Apple AIFF 1.3.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LARGEST_METADATA = 64 * 2**20
_IN_DS64 = 0xFFFFFFFF


@dataclass(frozen=True)
class Chunk:
    """One chunk: its four letters, where its payload starts, and the bytes it promises to hold."""

    name: bytes
    start: int
    size: int


@dataclass(frozen=True)
class Form:
    """A chunked file: its kind (`WAVE`, `AIFF`, `AIFC`), byte order, chunks and true length in bytes."""

    path: Path
    kind: bytes
    byte_order: str
    chunks: tuple[Chunk, ...]
    length: int

    def find(self, name: bytes) -> Chunk | None:
        """The first chunk of this name."""
        return next((chunk for chunk in self.chunks if chunk.name == name), None)

    def payload(self, chunk: Chunk) -> bytes:
        """What a metadata chunk holds; less than it promises where the file is cut."""
        with self.path.open("rb") as file:
            file.seek(chunk.start)
            return file.read(min(chunk.size, _LARGEST_METADATA))


def read_form(path: Path) -> Form | None:
    """The chunks of a file, or None when it is of another kind."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = file.read(12)
        if len(header) < 12 or header[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
            return None
        byte_order = ">" if header[:4] in (b"RIFX", b"FORM") else "<"
        return Form(path, header[8:12], byte_order, _walk(file, byte_order, length), length)


def _walk(file: BinaryIO, byte_order: str, length: int) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    long_sizes: dict[bytes, int] = {}
    position = 12
    while position + 8 <= length:
        file.seek(position)
        name, size = struct.unpack(f"{byte_order}4sI", file.read(8))
        if not all(32 <= letter < 127 for letter in name):
            break
        if name == b"ds64":
            long_sizes = _sizes_of_ds64(file.read(min(size, 4096)))
        elif size == _IN_DS64:
            size = long_sizes.get(name, size)
        chunks.append(Chunk(name, position + 8, size))
        position += 8 + size + size % 2
    return tuple(chunks)


def _sizes_of_ds64(payload: bytes) -> dict[bytes, int]:
    """The 64-bit sizes by chunk name (EBU Tech 3306, 3.2): `data`, then a table of others."""
    if len(payload) < 28:
        return {}
    _, data, _, entries = struct.unpack_from("<QQQI", payload)
    table = payload[28 : 28 + 12 * entries]
    rows = (struct.unpack_from("<4sQ", table, at) for at in range(0, len(table) - 11, 12))
    return {b"data": data, **dict(rows)}
