"""The engine on a real JACK server: ports, latency, sound, freewheel, and a server that comes and goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.errors import DeviceError
from plugin_bridge.live import protocol
from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.jack import JackDriver
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.playback import DRY
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import StreamingSeparator
from tests.integration.jack_clients import Client, Player, Recorder, Studio
from tests.integration.jack_server import JackServer, await_that, jack_server, needs_jackd
from tests.little_song import little_song

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]

ROWS = ("main", "low", "mid", "high")
PORTS = {"in_L", "in_R", *(f"{row}_{side}" for row in ROWS for side in "LR")}


@contextmanager
def running(
    server: JackServer, name: str = "engine", safety_ms: float = 30.0, model: str = "bands"
) -> Iterator[Engine]:
    """An engine that plays on a server, with three bands unless another model is named."""
    audio = AudioRequest("jack", name=name, server=server.name)
    engine = Engine(EngineRequest(audio, protocol.BoardPlan(model), safety_ms=safety_ms))
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


def noise(frames: int) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(3).standard_normal((2, frames))).astype(np.float32)


def impulse() -> NDArray[np.float32]:
    audio = np.zeros((2, 1000), np.float32)
    audio[:, 100] = 1.0
    return audio


def delayed(audio: NDArray[np.float32], by: int, frames: int) -> NDArray[np.float32]:
    out = np.zeros((2, frames), np.float32)
    out[:, by:] = audio[:, : frames - by]
    return out


def test_ports_and_latency_are_told_to_the_server(jack_server: JackServer) -> None:
    with running(jack_server) as engine:
        total = engine.latency.total
        assert {port for port in jack_server.ports() if port.startswith("engine:")} == {
            f"engine:{port}" for port in PORTS
        }
        with Client(jack_server, "wires") as wires:
            wires.jack.connect("system:capture_1", "engine:in_L")
            wires.jack.connect("system:capture_2", "engine:in_R")
            wires.jack.connect("engine:main_L", "system:playback_1")
            before = latencies(jack_server, "system:capture_1")[1]
            after = latencies(jack_server, "system:playback_1")[0]
            await_that(
                lambda: latencies(jack_server, "engine:mid_R")[1] == before + total,
                "what was recorded is as late at our outputs as at the device, and our latency",
            )
            await_that(
                lambda: latencies(jack_server, "engine:in_L")[0] == after + total,
                "what will be heard is as far from our inputs as from the device, and our latency",
            )


def latencies(server: JackServer, port: str) -> tuple[int, int]:
    """A port's largest playback and capture latency, as `jack_lsp` tells them."""
    lines = server.ports("-l")
    at = lines.index(port)
    playback, capture = (int(re.findall(r"\d+", line)[1]) for line in lines[at + 1 : at + 3])
    return playback, capture


@pytest.mark.parametrize(
    ("rate", "block"),
    [(44100, 64), (44100, 1024), (48000, 128), (48000, 256), (96000, 512)],
)
def test_everything_is_late_by_exactly_the_latency(rate: int, block: int) -> None:
    with (
        JackServer(rate, block) as server,
        running(server) as engine,
        Studio(server, "engine", ROWS) as studio,
    ):
        total = engine.latency.total
        assert (engine.sample_rate, engine.block) == (rate, block)
        sound = noise(rate // 4)
        frames = sound.shape[1] + total
        main, *_ = studio.record(sound, frames, engine.tick)
        assert engine.status()["playing"] != DRY
        np.testing.assert_allclose(main, delayed(sound, total, frames), atol=1e-5)

        click = impulse()
        main, *_ = studio.record(click, click.shape[1] + total, engine.tick)
        assert np.abs(main).argmax(axis=1).tolist() == [100 + total] * 2

        engine.set_bypass(True)
        await_that(lambda: count(engine, "playing") == DRY, "the bypass is heard")
        click = impulse()
        main, *stems = studio.record(click, click.shape[1] + total, engine.tick)
        np.testing.assert_array_equal(main, delayed(click, total, main.shape[1]))
        assert not np.any(stems)


def test_a_freewheeling_host_gets_every_frame_wet(jack_server: JackServer) -> None:
    with running(jack_server) as engine, Studio(jack_server, "engine", ROWS) as studio:
        total = engine.latency.total
        sound = noise(10 * jack_server.sample_rate)
        late = count(engine, "late_blocks")
        studio.player.jack.set_freewheel(True)
        main, *stems = studio.record(sound, sound.shape[1] + total, engine.tick)
        studio.player.jack.set_freewheel(False)
        assert count(engine, "late_blocks") == late
        expected = catalogue.load("bands").separate(sound)
        for stem, wanted in zip(stems, expected, strict=True):
            np.testing.assert_allclose(stem[:, total:], wanted, atol=1e-5)
        np.testing.assert_allclose(main[:, total:], sound, atol=1e-5)


@pytest.mark.parametrize("freewheel", [False, True], ids=["in time", "faster than time"])
def test_the_default_model_plays_what_it_gives_offline(freewheel: bool) -> None:
    """JACK's block is the model's hop, so that a song meets the same hops here as offline."""
    separator = catalogue.load(catalogue.DEFAULT_MODEL)
    assert isinstance(separator, StreamingSeparator)
    with (
        JackServer(separator.sample_rate, separator.stream().hop) as server,
        running(server, safety_ms=100.0, model=catalogue.DEFAULT_MODEL) as engine,
        Studio(server, "engine", ("main", *separator.sources)) as studio,
    ):
        total, song = engine.latency.total, sum(little_song(separator.sample_rate).values())
        late = count(engine, "late_blocks")
        if freewheel:
            studio.player.jack.set_freewheel(True)
        main, *stems = studio.record(song, song.shape[1] + total, engine.tick)
        if freewheel:
            studio.player.jack.set_freewheel(False)
        late = count(engine, "late_blocks") - late
        np.testing.assert_allclose(main, delayed(song, total, main.shape[1]), atol=1e-5)
        if late and not freewheel:
            pytest.skip(f"the machine was too late for {late} blocks to compare stems that play in time")
        assert not late
        for stem, wanted in zip(stems, separator.separate(song), strict=True):
            np.testing.assert_allclose(stem[:, total:], wanted, atol=1e-5)


def test_a_block_larger_than_planned_is_played_dry_and_told(jack_server: JackServer) -> None:
    with running(jack_server) as engine, Studio(jack_server, "engine", ROWS) as studio:
        total, sound = engine.latency.total, noise(20000)
        for block, wet in ((512, False), (64, True)):
            studio.player.jack.blocksize = block
            await_that(lambda wet=wet: (count(engine, "playing") != DRY) == wet, "the block is played")
            main, *stems = studio.record(sound.copy(), 20000 + total, engine.tick)
            np.testing.assert_allclose(main, delayed(sound, total, 20000 + total), atol=1e-5)
            assert bool(np.any(stems)) == wet
        assert heard(engine, "restart with --largest-block 512")


def test_a_large_block_does_not_hold_an_export_up(jack_server: JackServer) -> None:
    with running(jack_server, safety_ms=2.0) as engine, Studio(jack_server, "engine", ROWS) as studio:
        studio.player.jack.blocksize = 1024
        studio.player.jack.set_freewheel(True)
        sound, total = noise(44100), engine.latency.total
        main, *_ = studio.record(sound, 44100 + total, engine.tick)
        studio.player.jack.set_freewheel(False)
        np.testing.assert_allclose(main[:, total:], sound, atol=1e-5)


@pytest.mark.parametrize("kill", [False, True], ids=["asked to end", "killed"])
def test_a_server_that_comes_back_finds_us_connected_as_before(jack_server: JackServer, kill: bool) -> None:
    with running(jack_server) as engine:
        with Player(jack_server) as player, Recorder(jack_server, player, ("main",)) as recorder:
            recorder.jack.connect("system:capture_1", "engine:in_L")
            recorder.jack.connect("player:out_R", "engine:in_R")
            recorder.jack.connect("engine:main_L", "recorder:main_L")
            recorder.jack.connect("engine:low_R", "system:playback_2")
            wires = connections(jack_server)
            calls = count(engine, "callbacks")
            await_that(lambda: count(engine, "callbacks") > calls + 50, "the engine is called")
            jack_server.end(kill)
            await_that(lambda: heard(engine, "the JACK server is gone"), "the engine notices")
        jack_server.start()
        await_that(lambda: heard(engine, "the JACK server is back"), "the engine finds it")
        await_that(lambda: len(connections(jack_server)) == 2, "the device is connected")
        with Player(jack_server) as player, Recorder(jack_server, player, ("main",)):
            await_that(
                lambda: [engine.tick(), connections(jack_server)][1] == wires, "late ones are connected too"
            )
        calls = count(engine, "callbacks")
        await_that(lambda: count(engine, "callbacks") > calls + 10, "the engine is called again")


def connections(server: JackServer) -> set[tuple[str, str]]:
    """What `jack_lsp` says of the engine's connections."""
    found, port = set(), ""
    for line in server.ports("-c"):
        if not line.startswith(" "):
            port = line
        elif port.startswith("engine:"):
            found.add((port, line.strip()))
    return found


def test_a_server_that_comes_back_at_another_rate_is_refused_until_it_has_the_first(
    jack_server: JackServer,
) -> None:
    with running(jack_server) as engine:
        jack_server.end()
        jack_server.sample_rate = 48000
        jack_server.start()
        await_that(
            lambda: heard(engine, "must run at 44100 Hz as before, got 48000 Hz"), "the engine says so"
        )
        jack_server.end()
        jack_server.sample_rate = 44100
        jack_server.start()
        await_that(lambda: heard(engine, "the JACK server is back"), "the engine plays again")
        assert f"engine:{ROWS[0]}_L" in jack_server.ports()


def test_a_late_device_is_told_once(jack_server: JackServer) -> None:
    with running(jack_server) as engine:
        jack_server.stall(0.3)
        await_that(lambda: heard(engine, "xruns"), "the engine tells of the xrun")


def test_a_taken_name_is_refused(jack_server: JackServer) -> None:
    with Player(jack_server, "engine"):
        with pytest.raises(DeviceError, match=r"got 'engine'.*choose another with --name"):
            JackDriver(AudioRequest("jack", name="engine", server=jack_server.name))
        assert not [port for port in jack_server.ports() if not port.startswith(("engine:", "system:"))]


@pytest.mark.parametrize("name", ["", "a:b", "x" * 100])
def test_a_name_that_jack_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="choose another with --name"):
        JackDriver(AudioRequest("jack", name=name, server="plugin-bridge-none"))


def test_a_missing_server_is_one_clear_sentence() -> None:
    audio = AudioRequest("jack", server="plugin-bridge-no-such-server")
    with pytest.raises(
        DeviceError, match="'plugin-bridge-no-such-server' must be running, got none; start it"
    ):
        Engine(EngineRequest(audio, protocol.BoardPlan("bands")))


def test_two_engines_play_side_by_side(jack_server: JackServer) -> None:
    with (
        running(jack_server, "one") as one,
        running(jack_server, "two", safety_ms=40.0) as two,
        Studio(jack_server, "one", ROWS) as first,
        Studio(jack_server, "two", ROWS) as second,
    ):
        sound = noise(10000)
        for engine, studio in ((one, first), (two, second)):
            total = engine.latency.total
            main, *_ = studio.record(sound, 10000 + total, lambda: (one.tick(), two.tick()))
            np.testing.assert_allclose(main, delayed(sound, total, 10000 + total), atol=1e-5)
        assert one.latency.total != two.latency.total


def test_stopping_leaves_nothing_behind(jack_server: JackServer) -> None:
    before = children()
    with running(jack_server) as engine:
        await_that(lambda: count(engine, "frames") > 0, "the engine plays")
        segments = set(re.findall(r"/dev/shm/psm_\w+", Path("/proc/self/maps").read_text()))
        assert segments
        assert len(children() - before) >= 3
    assert not [segment for segment in segments if Path(segment).exists()]
    assert children() <= before | trackers()
    assert not [port for port in jack_server.ports() if port.startswith("engine:")]


def children() -> set[str]:
    """The process ids of our children."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


def trackers() -> set[str]:
    """Python's own watcher over shared memory, which lives as long as we do."""
    return {pid for pid in children() if "resource_tracker" in Path(f"/proc/{pid}/cmdline").read_text()}


def test_a_failing_callback_plays_silence_and_is_called_again(jack_server: JackServer) -> None:
    calls = []

    def callback(block: NDArray[np.float32], at_ns: int = 0) -> NDArray[np.float32]:
        calls.append(block.shape)
        if len(calls) < 5:
            raise ZeroDivisionError("nothing to divide by")
        return np.ones((2, block.shape[1]), np.float32)

    driver = JackDriver(AudioRequest("jack", name="engine", server=jack_server.name))
    try:
        driver.start(Connection(callback, lambda frames: True, ("main",), 0))
        told: list[str] = []

        def complained() -> bool:
            told.extend(driver.events())
            return any(
                "failed and played silence, the last with ZeroDivisionError" in event for event in told
            )

        await_that(complained, "the failure is told")
        await_that(lambda: len(calls) > 10, "the callback is called again")
        assert set(calls) == {(2, jack_server.block)}
    finally:
        driver.stop()
