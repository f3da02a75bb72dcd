"""Packets in a byte stream: OSC 1.0's size prefix, or OSC 1.1's SLIP with single or double END (RFC 1055)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from plugin_bridge.control.osc.codec import LARGEST_PACKET

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = b"\xc0", b"\xdb", b"\xdc", b"\xdd"

Framing = Literal["size", "slip"]


class FramingError(ValueError):
    """A stream in which no packet can be found any more."""


class Framer:
    """Takes a stream's bytes and gives its packets; which framing it is shows in the first byte.

    A size below 16 MB begins with a zero; SLIP begins with END, or at once with a packet.
    """

    def __init__(self) -> None:
        self.framing: Framing | None = None
        self.dropped = 0
        self._waiting = bytearray()
        self._skips = False

    @property
    def holds_part(self) -> bool:
        """Whether a packet has begun and not ended."""
        return bool(self._waiting)

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises `FramingError` where they begin no framing."""
        if self.framing is None and data:
            if data[0] == 0:
                self.framing = "size"
            elif data[:1] in (END, b"/", b"#"):
                self.framing = "slip"
            else:
                raise FramingError(f"a stream must begin with a size or with END, got byte {data[0]}")
        self._waiting += data

    def packets(self) -> Iterator[bytes]:
        """Every packet that is complete. Raises `FramingError` for a size beyond reason."""
        return self._sized() if self.framing == "size" else self._slipped()

    def _sized(self) -> Iterator[bytes]:
        while len(self._waiting) >= 4:
            size = int.from_bytes(self._waiting[:4], "big")
            if size > LARGEST_PACKET:
                raise FramingError(f"a packet must have at most {LARGEST_PACKET} bytes, got {size}")
            if len(self._waiting) < 4 + size:
                return
            packet = bytes(self._waiting[4 : 4 + size])
            del self._waiting[: 4 + size]
            if packet:
                yield packet

    def _slipped(self) -> Iterator[bytes]:
        while (end := self._waiting.find(END)) >= 0:
            raw = bytes(self._waiting[:end])
            del self._waiting[: end + 1]
            packet = None if self._skips else _unescaped(raw)
            self._skips = False
            if packet is None:
                self.dropped += 1
            elif packet:
                yield packet
        if len(self._waiting) > 2 * LARGEST_PACKET:  # every byte escaped is the worst case
            self._waiting.clear()
            self._skips = True


def _unescaped(raw: bytes) -> bytes | None:
    """The packet behind SLIP's escapes; None where one is wrong."""
    first, *others = raw.split(ESCAPE)
    parts = [first]
    for other in others:
        if other[:1] not in (ESCAPED_END, ESCAPED_ESCAPE):
            return None
        parts += [END if other[:1] == ESCAPED_END else ESCAPE, other[1:]]
    return b"".join(parts)


def framed(packet: bytes, framing: Framing | None) -> bytes:
    """A packet for a stream; with a double END in SLIP."""
    if framing == "slip":
        escaped = packet.replace(ESCAPE, ESCAPE + ESCAPED_ESCAPE).replace(END, ESCAPE + ESCAPED_END)
        return END + escaped + END
    return len(packet).to_bytes(4, "big") + packet
