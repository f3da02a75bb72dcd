"""Cue points and their labels: `cue ` and `LIST adtl` of WAV, `MARK` of AIFF."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

_LAST_FRAME = 2**32 - 1


@dataclass(frozen=True)
class Marker:
    """One cue point: its number, frame, label and note, and the length of its region in frames."""

    number: int
    frame: int
    label: bytes = b""
    note: bytes = b""
    length: int = 0
    region: bytes = b""

    def at_rate(self, sample_rate: int, source_rate: int) -> Self:
        """The same moment and length, counted in frames of another rate."""
        ratio = sample_rate / source_rate
        return replace(self, frame=round(self.frame * ratio), length=round(self.length * ratio))

    @property
    def fits(self) -> bool:
        """Whether a WAV file's 32-bit cue point can state it."""
        return 0 <= self.frame <= _LAST_FRAME and 0 <= self.length <= _LAST_FRAME


def markers_of_wav(cue: bytes, lists: Iterable[bytes], byte_order: str = "<") -> tuple[Marker, ...]:
    """Markers from the payloads of `cue ` and of every `LIST`; damaged entries end the list."""
    if len(cue) < 4:
        return ()
    (promised,) = struct.unpack_from(f"{byte_order}I", cue)
    count = min(promised, (len(cue) - 4) // 24)
    points: dict[int, Marker] = {}
    for index in range(count):
        number, _, _, _, _, frame = struct.unpack_from(f"{byte_order}II4sIII", cue, 4 + 24 * index)
        points[number] = Marker(number, frame)
    for payload in lists:
        if payload[:4] == b"adtl":
            _add_texts(points, payload[4:], byte_order)
    return tuple(points.values())


def _add_texts(points: dict[int, Marker], payload: bytes, byte_order: str) -> None:
    for name, body in subchunks(payload, byte_order):
        if len(body) < 4:
            continue
        (number,) = struct.unpack_from(f"{byte_order}I", body)
        if number not in points:
            continue
        if name == b"labl":
            points[number] = replace(points[number], label=body[4:].rstrip(b"\0"))
        elif name == b"note":
            points[number] = replace(points[number], note=body[4:].rstrip(b"\0"))
        elif name == b"ltxt" and len(body) >= 8:
            (length,) = struct.unpack_from(f"{byte_order}I", body, 4)
            points[number] = replace(points[number], length=length, region=body[8:])


def subchunks(payload: bytes, byte_order: str) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk inside a `LIST`."""
    at = 0
    while at + 8 <= len(payload):
        name, size = struct.unpack_from(f"{byte_order}4sI", payload, at)
        yield name, payload[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def markers_of_aiff(mark: bytes) -> tuple[Marker, ...]:
    """Markers from the payload of `MARK`: number, frame and a Pascal string each (AIFF 1.3, 6)."""
    found: list[Marker] = []
    at = 2
    while at + 7 <= len(mark):
        number, frame, length = struct.unpack_from(">HIB", mark, at)
        found.append(Marker(number, frame, mark[at + 7 : at + 7 + length]))
        at += 7 + length + (length + 1) % 2
    return tuple(found)


def wav_chunks(markers: Sequence[Marker]) -> list[tuple[bytes, bytes]]:
    """`cue ` and `LIST adtl` for a WAV file; nothing where there are no markers."""
    if not markers:
        return []
    points = b"".join(struct.pack("<II4sIII", m.number, m.frame, b"data", 0, 0, m.frame) for m in markers)
    chunks = [(b"cue ", struct.pack("<I", len(markers)) + points)]
    texts = b"".join(_texts(marker) for marker in markers)
    if texts:
        chunks.append((b"LIST", b"adtl" + texts))
    return chunks


def _texts(marker: Marker) -> bytes:
    number = struct.pack("<I", marker.number)
    texts = b""
    if marker.label:
        texts += _subchunk(b"labl", number + marker.label + b"\0")
    if marker.note:
        texts += _subchunk(b"note", number + marker.note + b"\0")
    if marker.length or marker.region:
        purpose = marker.region or b"rgn " + bytes(8)
        texts += _subchunk(b"ltxt", number + struct.pack("<I", marker.length) + purpose)
    return texts


def _subchunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
