"""Malformed and malicious datagrams from a seed, sent to a real server over a real socket.

`fuzz` counts what came of them; a long run of it belongs to the benchmarks, a short one to the tests.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc.codec import encode
from plugin_bridge.control.osc.server import OscRequest, OscServer
from tests.control_desk import Desk
from tests.osc_wire import Client, bundle

PER_TURN = 100
"""How many datagrams are sent before the server's answer is waited for, so that none is lost unseen."""


@dataclass
class Outcome:
    """What came of a run: how many packets, answers and log lines, and how memory grew, in kilobytes."""

    sent: int
    answered: int
    asked: int
    logged: int
    grown_kb: int
    internal: list[str]
    malformed: int
    limited: int
    loop_errors: list[str]


class Counting(logging.Handler):
    """Counts log lines."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.count += 1


class Maker:
    """Makes datagrams: from sound ones by cutting, flipping, nesting and exaggerating."""

    def __init__(self, seed: int, paths: list[str]) -> None:
        self.random = random.Random(seed)
        self.paths = paths
        self.ways = [
            *(self.sound, self.cut, self.flipped, self.noise, self.nested, self.huge, self.wrong_types),
            *(self.array, self.no_number, self.star_bomb, self.future, self.lying_sizes, self.nearly),
        ]

    def packet(self) -> bytes:
        """The next one."""
        return self.random.choice(self.ways)()

    def sound(self) -> bytes:
        """A message that is in order."""
        value = self.random.choice(
            [0.0, 1.0, -6.0, 0.5, 1e30, -1e30, 3, 0, 2**31 - 1, "loud", "flat", "HPF24"]
        )
        tag = "s" if isinstance(value, str) else "f" if isinstance(value, float) else "i"
        return encode(self.random.choice(self.paths), tag, self.random.choice([(value,), (), (value,) * 3]))

    def cut(self) -> bytes:
        """Part of a message."""
        packet = self.sound()
        return packet[: self.random.randrange(1, len(packet) + 1)]

    def flipped(self) -> bytes:
        """A message or bundle with some bits turned over."""
        packet = bytearray(self.random.choice([self.sound, self.future, self.nested])())
        for _ in range(self.random.randint(1, 4)):
            packet[self.random.randrange(len(packet))] ^= 1 << self.random.randrange(8)
        return bytes(packet)

    def noise(self) -> bytes:
        """Anything, often behind a sound beginning."""
        head = self.random.choice(
            [b"", b"/", b"#bundle\0", b"/stem/vocals/gain\0\0\0,", b"\0\0\0\1", b"\xc0"]
        )
        return head + self.random.randbytes(self.random.randrange(1, 200))

    def nested(self) -> bytes:
        """Bundles in bundles."""
        packet = self.sound()
        for _ in range(self.random.choice([2, 10, 20, 400])):
            packet = bundle(packet)
        return packet

    def huge(self) -> bytes:
        """A blob, a string, or a thousand small messages."""
        size = self.random.choice([1000, 9000, 60000])
        path = self.random.choice(self.paths)
        way = self.random.randrange(4)
        if way == 0:
            return encode(path, "", ())[:-4] + b",b\0\0" + struct.pack(">i", size) + b"x" * size
        if way == 1:
            return encode(path, "s", ("y" * size,))
        if way == 2:
            return encode(path, "", ())[:-4] + b"," + b"i" * 3000 + b"\0\0\0\0"
        return bundle(*[self.sound() for _ in range(self.random.choice([50, 300, 2000]))])[:65000]

    def wrong_types(self) -> bytes:
        """Arguments that the address does not take, and tags that nobody knows."""
        tags = "".join(self.random.choices("ifsbhtdScrmTFNI[]xyz\x01\xff", k=self.random.randint(1, 6)))
        head = encode(self.random.choice(self.paths), "", ())[:-4]
        raw = b"," + tags.encode("latin-1")
        raw += b"\0" * (4 - len(raw) % 4)
        return head + raw + self.random.randbytes(4 * self.random.randrange(0, 8))

    def array(self) -> bytes:
        """Arrays, closed or not."""
        depth = self.random.choice([1, 3, 15, 17, 60])
        tags = b"," + b"[" * depth + b"f" + b"]" * (depth - self.random.randint(0, 1))
        tags += b"\0" * (4 - len(tags) % 4)
        return encode(self.random.choice(self.paths), "", ())[:-4] + tags + struct.pack(">f", 1.0)

    def no_number(self) -> bytes:
        """NaN and infinity."""
        value = self.random.choice([b"\x7f\xc0\0\0", b"\x7f\x80\0\0", b"\xff\x80\0\0", b"\xff\xff\xff\xff"])
        return encode(self.random.choice(self.paths), "", ())[:-4] + b",f\0\0" + value

    def star_bomb(self) -> bytes:
        """Patterns that take for ever where they are tried one way after the other."""
        pieces = ["*", "?", "[a-z]", "[!a]", "{a,b,vocals}", "{", "[", "a", "/", "**", "!", "-", ","]
        length = self.random.choice([5, 40, 150])
        pattern = "/" + "".join(self.random.choices(pieces, k=length))[:250]
        whole = self.random.choice([pattern, "/stem/*/*", "/*/*/*/*/*", "/*", "/stem/*/fx/*/*/norm"])
        return encode(whole, "f", self.random.choice([(1.0,), ()]))

    def future(self) -> bytes:
        """Time tags before, now and after, near and far."""
        ahead = self.random.choice([-1e9, -5.0, -0.001, 0.001, 0.5, 0.999, 1.5, 1e6])
        return bundle(*[self.sound() for _ in range(3)], seconds=time.time() + ahead)

    def lying_sizes(self) -> bytes:
        """Elements that say to be longer or shorter than they are."""
        element = self.sound()
        size = self.random.choice([0, 1, 3, len(element) + 4, len(element) - 4, 2**31 - 1, 2**32 - 4])
        return b"#bundle\0\0\0\0\0\0\0\0\1" + struct.pack(">I", size) + element

    def nearly(self) -> bytes:
        """An address that nearly exists."""
        path = list(self.random.choice(self.paths))
        path[self.random.randrange(1, len(path))] = self.random.choice("abz0/ #~\x7f")
        return encode("".join(path), "f", (1.0,))


def resident_kb() -> int:
    """The memory that this process holds now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * 4


def fuzz(count: int, seed: int, per_turn: int = PER_TURN) -> Outcome:
    """Send so many datagrams made from a seed; after every few of them a sound query must be answered."""
    return asyncio.run(_fuzz(count, seed, per_turn))


async def _fuzz(count: int, seed: int, per_turn: int) -> Outcome:
    log = Counting()
    logger = logging.getLogger("plugin_bridge.control.osc")
    logger.addHandler(log)
    broken: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: broken.append(str(context)))
    desk = Desk()
    space = AddressSpace(desk)
    server = OscServer(desk, space, OscRequest(port=0, tcp_port=0))
    await server.start()
    sender, asker = await Client.of(server.port), await Client.of(server.port)
    # Loads would give the board other addresses, and a desk's log grows by design.
    paths = [path for path in space.leaves if not path.endswith(("/load", "/next", "/prev"))]
    maker = Maker(seed, paths)
    asked = answered = before = 0
    internal: set[str] = set()
    try:
        for start in range(0, count, per_turn):
            for _ in range(min(per_turn, count - start)):
                sender.send_raw(maker.packet())
            await asyncio.sleep(0)
            asked += 1
            assert await asker.ask("/stem/drums/name") == ("drums",)
            internal |= {
                str(said) for address, said in sender.told if address == "/fail" and said[1] == "internal"
            }
            answered = asked  # each was waited for
            for client in (sender, asker):
                client.told.clear()
                client.times.clear()
                client.packets.clear()
            desk.log.clear()
            desk.saved.clear()
            desk.jobs.clear()
            if start <= count // 5:
                before = resident_kb()
        traffic = space.traffic
        return Outcome(
            sent=count,
            answered=answered,
            asked=asked,
            logged=log.count,
            grown_kb=resident_kb() - before,
            internal=sorted(internal),
            malformed=traffic.malformed,
            limited=traffic.limited,
            loop_errors=broken,
        )
    finally:
        logger.removeHandler(log)
        sender.transport.close()
        asker.transport.close()
        await server.close()
