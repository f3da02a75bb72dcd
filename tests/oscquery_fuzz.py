"""Random HTTP requests and WebSocket frames for a real server: broken headers, lying lengths, hostile OSC."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import random
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from plugin_bridge.control.osc.codec import bundle, encode
from tests.oscquery_serving import serving

PATHS = (
    "/",
    "/stem/vocals/gain",
    "/stem/1/fader",
    "/stem/drums/mute",
    "/master/pan",
    "/meter/in",
    "/status",
    "/x",
)
"""Nothing among them writes files or loads anything: the server may be one that plays."""
ATTRIBUTES = ("", "VALUE", "TYPE", "RANGE", "HOST_INFO", "CONTENTS", "NOPE", "VALUE&TYPE", "%ff%00", "=", "?")
METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW", "get", "")
ADDRESSES = (
    "/stem/vocals/gain",
    "/stem/*/fader",
    "/master/mute",
    "/" + "*" * 200 + "!",
    "/{a,b",
    "/[z-a]",
    "/subscribe",
)
ODD_HEADERS = (
    "Origin: http://evil.example",
    "Origin: null",
    "Origin: http://[",
    "Host: evil.example",
    "Host: [::1",
    "Content-Length: 99999999999999999999",
    "Content-Length: -1",
    "Content-Length: 5",
    "Expect: 100-continue",
    "Transfer-Encoding: chunked",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Connection: close",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Key: short",
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
    "X: " + "y" * 9000,
    "no colon",
    ": no name",
    "Cookie: a=b; \x01",
)
FRAMES_PER_CONNECTION = 40
AT_ONCE = 8
SILENCE_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)


@dataclass
class Outcome:
    """What became of a fuzz run."""

    sent: int = 0
    connections: int = 0
    cut: int = 0
    """Connections that the server ended before all was sent."""
    silent: int = 0
    """Connections that the server left open."""
    hung: int = 0
    """Connections that took no more bytes and did not end: none may."""
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """What the event loop complained of: nothing may be here."""
    log_lines: list[str] = field(default_factory=list)
    left_listeners: int = 0
    still_answers: bool = False


async def fuzz(count: int, seed: int, port: int | None = None) -> Outcome:
    """Send so many requests and frames to a port of this machine, or to a server of our own.

    The same seed gives the same bytes.
    """
    outcome = Outcome()
    if port is not None:
        await _attack(count, random.Random(seed), port, outcome)
        outcome.still_answers = await _answers(port)
        return outcome
    lines = _Lines()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: outcome.faults.append(repr(context)))
    logging.getLogger().addHandler(lines)
    try:
        async with serving() as ours:
            await _attack(count, random.Random(seed), ours.server.port, outcome)
            outcome.still_answers = await _answers(ours.server.port)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while ours.server.listeners:
                    await asyncio.sleep(0.01)
            outcome.left_listeners = ours.server.listeners
    finally:
        logging.getLogger().removeHandler(lines)
        loop.set_exception_handler(None)
    outcome.log_lines = lines.said
    return outcome


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


async def _attack(count: int, dice: random.Random, port: int, outcome: Outcome) -> None:
    while outcome.sent < count:
        batches = [_batch(dice) for _ in range(AT_ONCE)]
        outcome.sent += sum(map(len, batches))
        await asyncio.gather(*(_connection(port, batch, outcome) for batch in batches))


def _batch(dice: random.Random) -> list[bytes]:
    """What goes through one connection."""
    if dice.random() < 0.4:
        return [_request(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
    frames = [_frame(dice) for _ in range(dice.randint(1, FRAMES_PER_CONNECTION))]
    return [HANDSHAKE, *frames, client_frame(0x88, b"\x03\xe8")]


async def _connection(port: int, parts: list[bytes], outcome: Outcome) -> None:
    """Send all parts, and read until the server ends the connection or has nothing more to say."""
    outcome.connections += 1
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(_write(writer, parts), _drain(reader, outcome))
    except TimeoutError:
        outcome.hung += 1
    except OSError:
        outcome.cut += 1
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def _write(writer: asyncio.StreamWriter, parts: list[bytes]) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()


async def _drain(reader: asyncio.StreamReader, outcome: Outcome) -> None:
    """Until the end or silence: a request that was cut off is rightly waited for."""
    is_first = True
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await reader.read(65536)
        except TimeoutError:
            outcome.silent += 1
            return
        if not data:
            return
        if is_first and data.startswith(b"HTTP/1."):
            outcome.statuses[int(data[9:12])] += 1
        is_first = False


async def _answers(port: int) -> bool:
    """Whether the tree is still there, whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /master/gain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return b" 200 " in head and json.loads(body)["FULL_PATH"] == "/master/gain"


def _noise(dice: random.Random, longest: int) -> bytes:
    return dice.randbytes(dice.randint(0, longest))


def _spoiled(dice: random.Random, data: bytes) -> bytes:
    """Some bytes changed, sometimes cut."""
    spoiled = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        if spoiled:
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
    return bytes(spoiled[: dice.randint(0, len(spoiled))] if dice.random() < 0.3 else spoiled)


def _request(dice: random.Random) -> bytes:
    path = dice.choice(PATHS)
    query = dice.choice(ATTRIBUTES[:6] * 4 + ATTRIBUTES)
    odd = (f"http://[::1{path}", "*", path * 500, f"{path}%zz%2F..", "//", f"http://localhost{path}")
    target = f"{path}?{query}" if dice.random() < 0.8 else dice.choice(odd)
    headers = ["Host: 127.0.0.1"]
    headers += dice.sample(ODD_HEADERS, dice.choice((0, 0, 0, 1, 2, 4)))
    version = dice.choice(("HTTP/1.1",) * 20 + ("HTTP/1.0", "HTTP/9.9", "HTTX", ""))
    lines = [f"{dice.choice(METHODS[:2] * 10 + METHODS)} {target} {version}", *headers]
    whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    roll = dice.random()
    if roll < 0.75:
        return whole
    return _spoiled(dice, whole) if roll < 0.95 else _noise(dice, 2000)


def client_frame(
    first: int, payload: bytes, key: bytes = b"abcd", length: int | None = None, mask: bool = True
) -> bytes:
    """A client's frame; `length` may lie."""
    said = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    if said < 126:
        head = bytes([first, bit | said])
    elif said < 65536:
        head = bytes([first, bit | 126]) + struct.pack(">H", said)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", said & (2**64 - 1))
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if mask else payload
    return head + (key if mask else b"") + body


def _frame(dice: random.Random) -> bytes:
    """Mostly a frame that is well-formed and holds nonsense: a broken one ends the connection."""
    opcode, payload = (0x81, _text(dice)) if dice.random() < 0.5 else (0x82, _osc(dice))
    roll = dice.random()
    if roll < 0.92:
        return client_frame(opcode, payload)
    if roll < 0.97:  # in two parts, with a ping between them
        first, ping, second = (opcode & 0x0F, payload[:20]), (0x89, _noise(dice, 125)), (0x80, payload[20:])
        return b"".join(client_frame(*part) for part in (first, ping, second))
    if roll < 0.975:
        return client_frame(dice.randrange(256), payload)
    if roll < 0.98:
        return client_frame(0x89, dice.randbytes(126))  # longer than a ping may be
    if roll < 0.985:
        return client_frame(opcode, payload, length=dice.choice((0, 3, 125, 70_000, 2**62)))
    if roll < 0.99:
        return client_frame(opcode, payload, mask=False)
    return _spoiled(dice, client_frame(opcode, payload))


def _text(dice: random.Random) -> bytes:
    said: Any = dice.choice(
        (
            {"COMMAND": "LISTEN", "DATA": dice.choice(PATHS)},
            {"COMMAND": "IGNORE", "DATA": dice.choice(PATHS)},
            {"COMMAND": "LISTEN", "DATA": dice.choice((None, 7, [], "", "x", "/*", "/" + "a" * 5000))},
            {"COMMAND": dice.choice((None, "", "PATH_CHANGED", ["LISTEN"]))},
            [1, 2], 3, None, "LISTEN",
        )
    )  # fmt: skip
    text = json.dumps(said).encode()
    roll = dice.random()
    if roll < 0.7:
        return text
    return (
        _spoiled(dice, text)
        if roll < 0.9
        else dice.choice((b"[" * 50_000, b'{"a":' * 5000, _noise(dice, 500)))
    )


def _osc(dice: random.Random) -> bytes:
    types = dice.choice(("f", "i", "s", "", "ff", "fffff"))
    number = dice.choice((0.0, -6.0, 1e30, float("nan"), float("inf"), dice.random()))
    arguments = [
        "x" if tag == "s" else int(number) if tag == "i" and abs(number) < 9e9 else number for tag in types
    ]
    types = "".join(
        "f" if isinstance(argument, float) else tag for tag, argument in zip(types, arguments, strict=True)
    )
    packet = _unchecked(dice.choice(ADDRESSES), types, arguments)
    roll = dice.random()
    if roll < 0.15:
        for _ in range(dice.randint(1, 60)):
            packet = bundle([packet])
    elif roll < 0.25:
        packet = bundle([packet] * dice.randint(0, 200))
    return packet if roll < 0.6 else _spoiled(dice, packet) if roll < 0.95 else _noise(dice, 3000)


def _unchecked(address: str, types: str, arguments: list[Any]) -> bytes:
    """A message, with NaN and infinity, which our own encoder would not write."""
    safe = [0.0 if isinstance(each, float) else each for each in arguments]
    packet = bytearray(encode(address, types, safe))
    if types and set(types) == {"f"}:
        for place, each in enumerate(reversed(arguments)):
            try:
                packet[len(packet) - 4 * (place + 1) : len(packet) - 4 * place] = struct.pack(">f", each)
            except OverflowError:
                continue
    return bytes(packet)


def seed_of_today() -> int:
    """A seed to print and to give again."""
    return int.from_bytes(os.urandom(4), "big")
