"""The shared rings, held against a list: nothing torn, nothing out of place, nothing kept too long."""

from __future__ import annotations

import multiprocessing
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.errors import DeviceError
from plugin_bridge.live.ring import Ring
from plugin_bridge.live.shared import Segment, array

ROOT = Path(__file__).resolve().parent.parent
ROWS = 3


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment(Ring.specs("ring", ROWS, 200))
    yield made
    made.close()


def numbered(position: int, frames: int) -> np.ndarray:
    """Frames that say where they belong, each row in its own way; exact in float32."""
    at = np.arange(position, position + frames, dtype=np.float32)
    return np.stack([at + row * (1 << 20) for row in range(ROWS)])


class Model:
    """What a ring promises: every frame since it was begun, as long as it is among the last `capacity`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.start_at(0)

    def start_at(self, position: int) -> None:
        self.begin = self.end = position
        self.silence = position == 0

    def holds(self, position: int, frames: int) -> bool:
        oldest = self.end - self.capacity
        if not self.silence:
            oldest = max(oldest, self.begin)
        return oldest <= position and position + frames <= self.end

    def read(self, position: int, frames: int) -> np.ndarray:
        out = numbered(position, frames)
        out[:, : max(0, min(frames, -position))] = 0
        return out


def test_a_ring_is_a_list_of_which_the_end_is_kept(segment: Segment, seed: int) -> None:
    draw = random.Random(seed)
    ring = Ring(segment, "ring")
    model = Model(ring.capacity)
    ring.start_at(0)
    assert ring.capacity == 256
    read = refused = 0
    for _ in range(20_000):
        step = draw.random()
        if step < 0.01:
            position = draw.choice([0, draw.randrange(100_000)])
            ring.start_at(position)
            model.start_at(position)
        elif step < 0.5:
            frames = draw.choice([0, 1, 2, draw.randrange(ring.capacity + 1), ring.capacity])
            ring.write(numbered(model.end, frames))
            model.end += frames
        else:
            frames = draw.randrange(ring.capacity + 1)
            position = model.end - draw.randrange(-10, 2 * ring.capacity)
            into = np.full((ROWS, frames), -1, np.float32)
            there = ring.read(position, into)
            assert there == ring.holds(position, frames) == model.holds(position, frames)
            if there:
                np.testing.assert_array_equal(into, model.read(position, frames))
            read, refused = read + there, refused + (not there)
        assert ring.end == model.end
    assert min(read, refused) > 1000


def test_before_the_first_frame_there_is_silence_and_before_a_later_start_nothing(segment: Segment) -> None:
    ring = Ring(segment, "ring")
    into = np.ones((ROWS, 10), np.float32)
    assert not ring.holds(-10, 10)
    ring.start_at(0)
    assert ring.read(-10, into)
    assert not into.any()
    ring.start_at(50)
    ring.write(numbered(50, 10))
    assert ring.read(50, into)
    assert not ring.read(49, into)


def test_a_writer_that_died_in_the_middle_leaves_nothing_torn(segment: Segment) -> None:
    ring = Ring(segment, "ring")
    ring.start_at(0)
    ring.write(numbered(0, ring.capacity))
    # What a write does first: it says how far it will go. Then the process ends.
    segment["ring.index"][1] += 100
    into = np.zeros((ROWS, ring.capacity - 100), np.float32)
    assert not ring.read(99, into[:, :1])
    assert ring.read(100, into)
    np.testing.assert_array_equal(into, numbered(100, ring.capacity - 100))


def write_forever(segment_name: str, specs: tuple, seed: int, pipe: Connection) -> None:
    """The other process: writes and sometimes begins anew, until told to stop."""
    draw = random.Random(seed)
    segment = Segment(specs, segment_name)
    ring = Ring(segment, "ring")
    position = 0
    ring.start_at(0)
    pipe.send("ready")
    while not pipe.poll():
        for _ in range(200):
            frames = draw.randrange(1, 120)
            ring.write(numbered(position, frames))
            position += frames
        if position > 1_000_000:
            position = draw.randrange(1, 1000)
            ring.start_at(position)
    del ring
    segment.close()


def test_another_process_never_reads_what_is_torn(segment: Segment, seed: int) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=write_forever, args=(segment.name, segment.specs, seed, theirs), daemon=True
    )
    process.start()
    try:
        assert ours.poll(60)
        ours.recv()
        read = fuzz_reads(Ring(segment, "ring"), random.Random(seed), wanted=3000)
        assert read >= 3000
    finally:
        ours.send("stop")
        process.join(20)
        process.kill()


def fuzz_reads(ring: Ring, draw: random.Random, wanted: int) -> int:
    """Read near both edges of what is there until enough reads have succeeded; check each."""
    read = 0
    for _ in range(2_000_000):
        frames = draw.randrange(1, 150)
        position = ring.end - draw.choice([frames, draw.randrange(ring.capacity), ring.capacity])
        into = np.empty((ROWS, frames), np.float32)
        if position >= 0 and ring.read(position, into):
            np.testing.assert_array_equal(into, numbered(position, frames))
            read += 1
        if read == wanted:
            break
    return read


def test_arrays_begin_on_cache_lines_of_their_own() -> None:
    specs = (array("a", (3,)), array("b", (5,), np.int64), array("c", (2, 7)))
    segment = Segment(specs)
    try:
        addresses = [segment[spec.name].ctypes.data for spec in specs]
        assert [address % 64 for address in addresses] == [0, 0, 0]
        assert len({address // 64 for address in addresses}) == 3
    finally:
        segment.close()


@pytest.mark.parametrize("frames", [1 << 47, 1 << 60])
def test_memory_that_is_not_there_is_one_sentence(frames: int) -> None:
    with pytest.raises(DeviceError, match=r"shared memory must have .* free, got: "):
        Segment((array("audio", (frames,)),))


FILL = """
from plugin_bridge.errors import DeviceError
from plugin_bridge.live.shared import Segment, array
try:
    Segment((array("audio", (1 << 20,)),))
except DeviceError as error:
    print(error)
"""


def test_a_full_dev_shm_is_one_sentence() -> None:
    """Touching memory that is not there would end the process; it is asked for at once instead."""
    command = f"mount -t tmpfs -o size=64k tmpfs /dev/shm && {shlex.quote(sys.executable)} -c '{FILL}'"
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", command], cwd=ROOT, capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("a small /dev/shm of one's own takes unshare, of Linux")
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine does not let us mount a /dev/shm of our own: {done.stderr.strip()}")
    assert done.stdout == (
        "shared memory must have 4 MiB free, got: No space left on device; free some in /dev/shm, or choose "
        "a smaller --reserve-ms\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_segment_that_is_closed_is_gone(segment: Segment) -> None:
    name = segment.name
    assert Segment(segment.specs, name).name == name
    segment.close()
    with pytest.raises(FileNotFoundError):
        Segment(segment.specs, name)
