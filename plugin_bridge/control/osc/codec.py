"""OSC packets to messages and back, by python-osc's readers and writers of single values.

Its own packet reader is not used: it lets other errors than its own escape, recurses into nested bundles,
reads what follows the tags I, S and c wrongly, fills up a message that was cut off with zeros, and takes
quadratic time for many arguments.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pythonosc.parsing import osc_types

from plugin_bridge.control.osc.timetags import seconds_of, tag_of

LARGEST_PACKET = 65536
"""In bytes; also what a TCP frame may hold."""
MOST_MESSAGES = 1024
MOST_ARGUMENTS = 64
LONGEST_ADDRESS = 255
DEEPEST = 16
"""How deep bundles may lie in bundles, and arrays in arrays."""
BUNDLE_BYTES = 1452
"""What we send in one bundle at most: an Ethernet frame's room for UDP over IPv6."""

_BUNDLE = b"#bundle\x00"
_LARGEST_FLOAT = 3.4028234663852886e38

Reader = Callable[[bytes, int], tuple[Any, int]]


class MalformedPacket(ValueError):
    """Bytes that are no OSC, or more of it than is taken."""


class Message(NamedTuple):
    """An address or pattern, its arguments, and when it counts in `time.time()`'s seconds; None: at once."""

    address: str
    arguments: tuple[Any, ...]
    seconds: float | None = None


def decode(packet: bytes, now: float) -> list[Message]:
    """The messages of a packet, those of nested bundles too, in order.

    A bundle inside another counts at its own time, but never before the outer one. Raises `MalformedPacket`.
    """
    if len(packet) > LARGEST_PACKET:
        raise MalformedPacket(f"a packet must have at most {LARGEST_PACKET} bytes, got {len(packet)}")
    if packet.startswith(b"/"):
        return [_message(packet, None)]
    messages: list[Message] = []
    waiting: list[tuple[bytes, float | None, int]] = [(packet, None, 0)]
    while waiting:
        part, seconds, depth = waiting.pop()
        if part.startswith(b"/"):
            messages.append(_message(part, seconds))
        else:
            inner, elements = _bundle(part, now)
            if depth >= DEEPEST:
                raise MalformedPacket(f"bundles must lie at most {DEEPEST} deep in each other")
            later = seconds if inner is None else inner if seconds is None else max(inner, seconds)
            waiting += [(element, later, depth + 1) for element in reversed(elements)]
        if len(messages) + len(waiting) > MOST_MESSAGES:
            raise MalformedPacket(f"a packet must hold at most {MOST_MESSAGES} messages")
    return messages


def _bundle(packet: bytes, now: float) -> tuple[float | None, list[bytes]]:
    """The time of a bundle, and its elements."""
    if not packet.startswith(_BUNDLE) or len(packet) < 16:
        raise MalformedPacket("a packet must begin with an address or with #bundle and a time tag")
    elements, at = [], 16
    while at < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        start, at = at + 4, at + 4 + size
        if size == 0 or size % 4 or at > len(packet):
            raise MalformedPacket(f"a bundle's element must lie inside the bundle, got {size} bytes")
        elements.append(packet[start:at])
    return seconds_of(int.from_bytes(packet[8:16], "big"), now), elements


def _message(packet: bytes, seconds: float | None) -> Message:
    try:
        address, at = _word(packet, 0)
        tags, at = _word(packet, at) if at < len(packet) else (",", at)
        _check(packet, address, tags)
        arguments, at = _arguments(packet, at, tags[1:])
    except (osc_types.ParseError, ValueError, IndexError, struct.error, OverflowError) as error:
        if isinstance(error, MalformedPacket):
            raise
        raise MalformedPacket(f"a message must be whole and well-formed, got: {error}") from error
    if at != len(packet):
        raise MalformedPacket(f"{address} must come without other bytes behind it, got {len(packet) - at}")
    return Message(address, arguments, seconds)


def _check(packet: bytes, address: str, tags: str) -> None:
    if len(packet) % 4:
        raise MalformedPacket(f"a message's size must be a multiple of 4, got {len(packet)}")
    if len(address) > LONGEST_ADDRESS:
        raise MalformedPacket(f"an address must have at most {LONGEST_ADDRESS} letters, got {len(address)}")
    if not (address.isascii() and address.isprintable()) or " " in address:
        raise MalformedPacket(f"an address must be printable ASCII, got {address!r}")
    if not tags.startswith(","):
        raise MalformedPacket(f"{address} must come with type tags, got {tags[:20]!r}")
    if len(tags) > MOST_ARGUMENTS + 1:
        raise MalformedPacket(f"{address} must come with at most {MOST_ARGUMENTS} tags, got {len(tags) - 1}")


def _word(packet: bytes, at: int) -> tuple[str, int]:
    """A string; python-osc looks at it letter by letter, which takes half the time of a short message."""
    end = packet.find(b"\0", at)
    behind = end + 4 - (end - at) % 4
    if end < 0 or behind > len(packet):
        raise MalformedPacket("a string must end with a zero, and fill its last four bytes")
    return packet[at:end].decode("utf-8"), behind


def _float(packet: bytes, at: int) -> tuple[float, int]:
    if at + 4 > len(packet):  # python-osc would fill it up with zeros
        raise MalformedPacket("a float must have 4 bytes")
    value: tuple[float, int] = osc_types.get_float(packet, at)
    return value


def _blob(packet: bytes, at: int) -> tuple[bytes, int]:
    size, _ = osc_types.get_int(packet, at)
    if size < 0:
        raise MalformedPacket(f"a blob's size must not be negative, got {size}")
    value: tuple[bytes, int] = osc_types.get_blob(packet, at)
    return value


def _letter(packet: bytes, at: int) -> tuple[str, int]:
    number, at = osc_types.get_int(packet, at)
    return chr(number & 0x7F), at


_READERS: dict[str, Reader] = {
    "i": osc_types.get_int,
    "h": osc_types.get_int64,
    "f": _float,
    "d": osc_types.get_double,
    "s": _word,
    "S": _word,
    "b": _blob,
    "c": _letter,
    "r": osc_types.get_rgba,
    "m": osc_types.get_midi,
    "t": osc_types.get_uint64,
}
_WRITERS: dict[str, Callable[[Any], bytes]] = {
    "i": osc_types.write_int,
    "h": osc_types.write_int64,
    "f": osc_types.write_float,
    "d": osc_types.write_double,
    "s": osc_types.write_string,
}
_CONSTANTS = {"T": True, "F": False, "N": None, "I": math.inf}


def _arguments(packet: bytes, at: int, tags: str) -> tuple[tuple[Any, ...], int]:
    arrays: list[list[Any]] = [[]]
    for tag in tags:
        if tag in _READERS:
            value, at = _READERS[tag](packet, at)
            arrays[-1].append(value)
        elif tag in _CONSTANTS:
            arrays[-1].append(_CONSTANTS[tag])
        elif tag == "[" and len(arrays) < DEEPEST:
            arrays.append([])
        elif tag == "]" and len(arrays) > 1:
            inner = arrays.pop()
            arrays[-1].append(inner)
        else:
            raise MalformedPacket(f"a type tag must be known and in its place, got {tag!r}")
    if len(arrays) > 1:
        raise MalformedPacket("an array must be closed")
    return tuple(arrays[0]), at


def encode(address: str, types: str, arguments: Sequence[Any]) -> bytes:
    """A message; of more arguments than types the rest is of the last type.

    Numbers are made Python's own and brought into their type's range: a numpy scalar is refused by
    python-osc, and its message builder would make MIDI of a tuple of four.
    """
    tags = types[: len(arguments)] + types[-1:] * (len(arguments) - len(types))
    parts = [_WRITERS[tag](_plain(tag, argument)) for tag, argument in zip(tags, arguments, strict=True)]
    return b"".join((_head(address, tags), *parts))


@lru_cache(maxsize=1024)
def _head(address: str, tags: str) -> bytes:
    head: bytes = osc_types.write_string(address) + osc_types.write_string(f",{tags}")
    return head


def tags_of(arguments: Iterable[Any]) -> str:
    """The type tags of plain values: i, f or s."""
    return "".join(
        "s" if isinstance(each, str) else "f" if isinstance(each, float) else "i" for each in arguments
    )


def _plain(tag: str, argument: Any) -> Any:
    if tag == "s":
        # A zero would end the string, and a lone surrogate (from a file's name) cannot be written.
        return str(argument).replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    if tag == "i":
        return min(max(int(argument), -(2**31)), 2**31 - 1)
    if tag == "h":
        return min(max(int(argument), -(2**63)), 2**63 - 1)
    return min(max(float(argument), -_LARGEST_FLOAT), _LARGEST_FLOAT)


def bundle(packets: Sequence[bytes], seconds: float | None = None) -> bytes:
    """Packets as one bundle, to count at a time or at once."""
    elements = b"".join(len(packet).to_bytes(4, "big") + packet for packet in packets)
    return _BUNDLE + tag_of(seconds).to_bytes(8, "big") + elements


def bundles(packets: Iterable[bytes]) -> list[bytes]:
    """Messages in as few packets as fit into a network frame each; a single one stays a message."""
    rows: list[list[bytes]] = [[]]
    size = 16
    for packet in packets:
        if rows[-1] and size + 4 + len(packet) > BUNDLE_BYTES:
            rows.append([])
            size = 16
        rows[-1].append(packet)
        size += 4 + len(packet)
    return [row[0] if len(row) == 1 else bundle(row) for row in rows if row]
