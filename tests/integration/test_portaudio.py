"""The engine on PortAudio, whose device here is a private JACK server; and the list of devices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.errors import DeviceError
from plugin_bridge.live import protocol
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.drivers.listing import Device, chosen
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.playback import DRY
from tests.integration.jack_clients import Studio
from tests.integration.jack_server import JackServer, await_that, needs_jackd

pytestmark = pytest.mark.integration
needs_portaudio = pytest.mark.skipif(
    (sys.platform == "linux" and not find_library("portaudio")) or not find_spec("sounddevice"),
    reason="PortAudio or sounddevice is not installed (apt install libportaudio2; pip install sounddevice)",
)

ROWS = ("main", "low", "mid", "high")
OURS = "PortAudio"
"""What PortAudio calls itself on JACK."""


@pytest.fixture(scope="module")
def server() -> Iterator[JackServer]:
    """A server whose device has two inputs, and outputs for main and every stem."""
    with JackServer(outputs=2 * len(ROWS)) as server:
        yield server


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's JACK server but ours is ever asked."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "plugin-bridge-no-such-server")


@contextmanager
def running(server: JackServer, monkeypatch: pytest.MonkeyPatch, **request: int | str) -> Iterator[Engine]:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", server.name)
    audio = AudioRequest("portaudio", **request)  # type: ignore[arg-type]
    engine = Engine(EngineRequest(audio, protocol.BoardPlan("bands"), safety_ms=30.0))
    try:
        await_that(lambda: count(engine, "callbacks") > 0, "the engine is called")
        yield engine
    finally:
        engine.stop()


def count(engine: Engine, name: str) -> int:
    engine.tick()
    return int(engine.status()[name])


def heard(engine: Engine, words: str) -> bool:
    engine.tick()
    return any(words in event for event in engine.events)


def added(engine: Engine) -> int:
    """The frames that PortAudio's own buffers add, by its account."""
    await_that(lambda: heard(engine, "says that it adds"), "the device's own latency is told")
    (frames,) = re.findall(r"says that it adds (\d+) frames", "\n".join(engine.events))
    return int(frames)


def wiring(server: JackServer) -> Callable[[str, str], str]:
    """The names of PortAudio's ports, which are numbers, by the channels of the device that they serve."""
    ports, lines = {}, server.ports("-c")
    for device, ours in pairwise(lines):
        if device.startswith("system:"):
            ports[device.removeprefix("system:")] = ours.strip().removeprefix(f"{OURS}:")

    def name(row: str, side: str) -> str:
        number = 1 + "LR".index(side)
        return ports[f"capture_{number}" if row == "in" else f"playback_{2 * ROWS.index(row) + number}"]

    return name


@needs_jackd
@needs_portaudio
@pytest.mark.parametrize("device", ["", "0", "SYS", "system -> system"])
def test_main_and_every_stem_are_late_by_exactly_what_is_told(
    server: JackServer, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    with (
        running(server, monkeypatch, device=device, block=256) as engine,
        Studio(server, OURS, ROWS, wiring(server)) as studio,
    ):
        assert (engine.sample_rate, engine.block) == (44100, 256)
        total, sound = engine.latency.total + added(engine), noise(10000)
        main, *stems = studio.record(sound, 10000 + total, engine.tick)
        expected = np.pad(sound, ((0, 0), (total, 0)))
        np.testing.assert_allclose(main, expected, atol=1e-5)
        assert engine.status()["playing"] != DRY
        assert all(stem.any() for stem in stems)
        engine.set_bypass(True)
        await_that(lambda: count(engine, "playing") == DRY, "the bypass is heard")
        main, *stems = studio.record(sound.copy(), 10000 + total, engine.tick)
        np.testing.assert_array_equal(main, expected)
        assert not np.any(stems)


def noise(frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return (0.1 * np.random.default_rng(5).standard_normal((2, frames))).astype(np.float32)


@needs_jackd
@needs_portaudio
def test_a_device_with_two_outputs_plays_main_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        JackServer() as server,
        running(server, monkeypatch, block=256) as engine,
        Studio(server, OURS, ROWS[:1], wiring(server)) as studio,
    ):
        await_that(lambda: heard(engine, "must have 8 outputs for main and every stem, got 2"), "it is told")
        total, sound = engine.latency.total + added(engine), noise(5000)
        (main,) = studio.record(sound, 5000 + total, engine.tick)
        np.testing.assert_allclose(main[:, total:], sound, atol=1e-5)


@needs_jackd
@needs_portaudio
def test_a_device_that_hangs_and_goes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with JackServer() as server, running(server, monkeypatch) as engine:
        server.stall(0.3)
        await_that(lambda: heard(engine, "xruns"), "the engine tells of the xrun")
        server.end()
        await_that(
            lambda: heard(engine, "the device 'system' is gone; waiting for the device"), "its end is told"
        )
        frames = count(engine, "frames")
        server.start()
        await_that(lambda: heard(engine, "the device is back"), "the engine finds it again")
        await_that(lambda: count(engine, "frames") > frames + 44100, "it plays on where it was")
        await_that(lambda: count(engine, "playing") >= 0, "and the model plays")


@needs_jackd
@needs_portaudio
@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"device": "Nonsense"}, r"must have 2 inputs, got 'Nonsense'; candidates: 0: system, JACK .*8 out"),
        ({"device": "7"}, r"must have 2 inputs, got '7'; candidates: 0: system, JACK"),
        ({"sample_rate": 48000}, r"'system' must take 48000 Hz, .* got: .*[Ii]nvalid sample rate"),
    ],
)
def test_what_the_device_refuses_is_one_clear_sentence(
    server: JackServer, monkeypatch: pytest.MonkeyPatch, request_: dict[str, int | str], sentence: str
) -> None:
    with pytest.raises(DeviceError, match=sentence), running(server, monkeypatch, **request_):
        pass


def devices(*options: str, server: str) -> str:
    command = [sys.executable, "-m", "plugin_bridge", "devices", *options]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "JACK_DEFAULT_SERVER": server, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs_jackd
@needs_portaudio
def test_devices_lists_servers_and_devices(server: JackServer) -> None:
    text = devices(server=server.name)
    assert f"JACK server '{server.name}': 44100 Hz, blocks of 256 frames" in text
    assert "PortAudio device 0: system, JACK Audio Connection Kit (2 in, 8 out, 44100 Hz" in text

    found = json.loads(devices("--json", server=server.name))
    assert found["jack"]["server"] == server.name
    assert (found["jack"]["running"], found["jack"]["sample_rate"], found["jack"]["block"]) == (
        True,
        44100,
        256,
    )
    (device,) = found["portaudio"]["devices"]
    assert (device["index"], device["name"], device["inputs"], device["outputs"]) == (0, "system", 2, 8)

    # Another server than the usual one is named, and looked at when asked for.
    elsewhere = "plugin-bridge-no-such-server"
    assert server.name in json.loads(devices("--json", server=elsewhere))["jack"]["others"]
    assert json.loads(devices("--json", "--server", server.name, server=elsewhere))["jack"]["running"]


def test_devices_says_what_is_missing() -> None:
    text = devices(server="plugin-bridge-no-such-server")
    assert "JACK: " in text
    assert "Traceback" not in text
    found = json.loads(devices("--json", server="plugin-bridge-no-such-server"))
    assert not found["jack"]["running"]
    assert found["jack"]["reason"]


MANY = [
    Device(0, "Speakers", "MME", 0, 2, 44100, default_output=True),
    Device(1, "Speakers", "Windows WASAPI", 0, 2, 48000),
    Device(2, "Scarlett 2i2", "Windows WASAPI", 2, 2, 48000),
    Device(3, "Scarlett 2i2 Loopback", "Windows WASAPI", 2, 0, 48000, default_input=True),
    Device(4, "Microphone", "MME", 1, 0, 44100),
]


@pytest.mark.parametrize(
    ("wanted", "way", "index"),
    [
        ("", "input", 3),
        ("", "output", 0),
        ("2", "input", 2),
        ("scarlett 2i2", "input", 2),
        ("Loopback", "input", 3),
        ("Speakers, MME", "output", 0),
        ("scarlett", "output", 2),
    ],
)
def test_a_device_is_known_by_number_name_or_part_of_it(wanted: str, way: str, index: int) -> None:
    assert chosen(MANY, wanted, way).index == index


@pytest.mark.parametrize(
    ("wanted", "way", "sentence"),
    [
        (
            "Speakers",
            "output",
            "must be one, got 'Speakers', which fits 0: Speakers, MME .*; 1: Speakers, Windows",
        ),
        ("scarlett", "input", "must be one, got 'scarlett', which fits 2: Scarlett"),
        ("Microphone", "input", "must have 2 inputs, got 'Microphone'; candidates: 2: Scarlett"),
        ("9", "output", "must have 2 outputs, got '9'; candidates: 0: Speakers"),
    ],
)
def test_a_device_that_is_not_meant_clearly_is_refused(wanted: str, way: str, sentence: str) -> None:
    with pytest.raises(DeviceError, match=sentence):
        chosen(MANY, wanted, way)


def test_no_device_at_all_is_one_clear_sentence() -> None:
    with pytest.raises(DeviceError, match="must have 2 inputs, got 'the usual one'; none has them"):
        chosen([], "", "input")
