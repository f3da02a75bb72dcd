"""A real DAW around the engine: Ardour plays into it, records its stems and exports through it."""

from __future__ import annotations

import importlib.util
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.live import protocol
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from tests.integration import ardour_session
from tests.integration.ardour_session import Ardour, ArdourLeft, Audio
from tests.integration.jack_clients import Client
from tests.integration.jack_server import JackServer, await_that

MODEL, STEMS = "live4", ("vocals", "drums", "bass", "other")
# The model's hops of 512 frames lie on a grid that begins with the stream. With JACK's block of whole hops
# and the song on a whole block, the song meets the same grid live and offline.
RATE, BLOCK = 44100, 1024
START, FRAMES = 24 * BLOCK, 4 * RATE
ATTEMPTS = 6
DEEP_ENOUGH_DB = -80.0

Result = TypeVar("Result")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not shutil.which("jackd") or not importlib.util.find_spec("jack"),
        reason="jackd or JACK-Client is not installed (apt install jackd2; pip install JACK-Client)",
    ),
    pytest.mark.skipif(
        not ardour_session.console(), reason="Ardour 7 or later is not installed (apt install ardour)"
    ),
]


@dataclass(frozen=True)
class Take:
    """What went in, what should come out, and what Ardour recorded and exported; all on one timeline."""

    song: Audio
    stems: dict[str, Audio]
    recorded: dict[str, Audio]
    exported: Audio
    freewheeled: bool


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """What four tracks record of a song, and an export of what they hear."""
    return visit(record_and_export, tmp_path_factory)


def visit(work: Callable[[Path], Result], tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Visit the studio until Ardour stays to the end; only what comes of that visit is judged."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work(tmp_path_factory.mktemp("ardour"))
        except ArdourLeft as error:
            left = error
            print(f"visit {attempt}: {left}")
    raise left


def session(home: Path, *more_tracks: str) -> tuple[Path, Audio]:
    """A closed session with a song on its first track."""
    folder, song = home / "nulls", band(FRAMES)
    ardour_session.settings(home)
    with Ardour(home) as ardour:
        ardour.create(folder, RATE, ("song", *more_tracks))
    ardour_session.prepare(folder, aligned=more_tracks)
    ardour_session.put_song(folder, "song", song, RATE, START)
    return folder, song


def record_and_export(home: Path) -> Take:
    """Record the stems of a song on four tracks, then export the mix of what they hear."""
    folder, song = session(home, *STEMS)
    with studio() as server, playing(server), Ardour(home, server.name) as ardour:
        ardour.load(folder)
        plug(server, through_tracks())
        ardour.record(STEMS, until=START + FRAMES + RATE // 2)
        ardour.save()
        recorded = {stem: placed(folder, stem) for stem in STEMS}
        ardour.listen(STEMS)
        # Ardour compensates what it records, and inserts; what a track hears live is as late as JACK says.
        late = ardour.number("Session:worst_input_latency()")
        with freewheeling(server) as freewheeled:
            exported = ardour.export(START, START + FRAMES + late, home / "export")[:, late:]
    return Take(song, StemBoard(MODEL).stems(song, RATE), recorded, exported, freewheeled == [True, False])


def export_through_insert(home: Path) -> tuple[Audio, Audio]:
    """A song, and its export through an insert that knows our latency and the block of the way round."""
    folder, song = session(home)
    with studio() as server, playing(server) as engine:
        ardour_session.put_insert(folder, "song", engine.latency.total + BLOCK, BLOCK)
        with Ardour(home, server.name) as ardour:
            ardour.load(folder)
            plug(server, through_insert())
            return song, ardour.export(START, START + FRAMES, home / "export")


@contextmanager
def studio() -> Iterator[JackServer]:
    """A JACK server that is killed in the end: asked to end after an export, it sometimes never does."""
    with JackServer(RATE, BLOCK) as server:
        try:
            yield server
        finally:
            server.end(kill=True)


@contextmanager
def playing(server: JackServer) -> Iterator[Engine]:
    """An engine on the server, looked after as `serve` does."""
    audio = AudioRequest("jack", name="engine", server=server.name)
    engine = Engine(EngineRequest(audio, protocol.BoardPlan(MODEL), safety_ms=100.0))
    over = threading.Event()

    def look_after() -> None:
        while not over.wait(0.02):
            engine.tick()

    carer = threading.Thread(target=look_after)
    carer.start()
    try:
        await_that(lambda: engine.status()["callbacks"] > 0, "the engine is called")
        yield engine
        print(engine.status(), *engine.events, sep="\n")
    finally:
        over.set()
        carer.join()
        engine.stop()


@contextmanager
def freewheeling(server: JackServer) -> Iterator[list[bool]]:
    """Each change of the server to running faster than time, and back."""
    changes: list[bool] = []
    client = Client(server, "watch")
    client.jack.set_freewheel_callback(changes.append)
    with client:
        yield changes
        await_that(lambda: len(changes) != 1, "the server keeps time again")


def plug(server: JackServer, wires: list[tuple[str, str]]) -> None:
    """Connect ports."""
    with Client(server, "plug") as client:
        for wire in wires:
            client.jack.connect(*wire)


def through_tracks() -> list[tuple[str, str]]:
    """The song into the engine alone, each stem to its track, and the tracks to the master bus."""
    found = []
    for side, letter in ((1, "L"), (2, "R")):
        found.append((f"ardour:song/audio_out {side}", f"engine:in_{letter}"))
        for stem in STEMS:
            found.append((f"engine:{stem}_{letter}", f"ardour:{stem}/audio_in {side}"))
            found.append((f"ardour:{stem}/audio_out {side}", f"ardour:Master/audio_in {side}"))
    return found


def through_insert() -> list[tuple[str, str]]:
    """The insert's send into the engine, main back into its return, and the track to the master bus."""
    found = []
    for side, letter in ((1, "L"), (2, "R")):
        found.append((f"ardour:insert 1/audio_send {side}", f"engine:in_{letter}"))
        found.append((f"engine:main_{letter}", f"ardour:insert 1/audio_return {side}"))
        found.append((f"ardour:song/audio_out {side}", f"ardour:Master/audio_in {side}"))
    return found


def placed(folder: Path, stem: str) -> Audio:
    """What Ardour has where the song lies, by its own account of where that is. Shape: `(2, FRAMES)`."""
    position, audio = ardour_session.recorded(folder, stem, RATE)
    begin = START - position
    assert begin >= 0 and begin + FRAMES <= audio.shape[1], "the recording holds the whole song"
    return audio[:, begin : begin + FRAMES]


def band(frames: int) -> Audio:
    """A bass, a chord, a voice-like tone in the middle and hits of noise. Shape: `(2, frames)`."""
    rng = np.random.default_rng(8)
    t = np.arange(frames) / RATE
    bass = 0.2 * np.sin(2 * np.pi * 55 * t)
    voice = 0.15 * sum(np.sin(2 * np.pi * 220 * k * t + np.sin(30 * t)) / k for k in range(1, 8))
    chord = [0.05 * sum(np.sin(2 * np.pi * hz * t) for hz in hertz) for hertz in ((330, 415), (331, 494))]
    hits = 0.3 * rng.standard_normal((2, frames)) * np.exp(-((t % 0.5) * 40))
    return (np.stack(chord) + bass + voice + hits).astype(np.float32)


def null_db(got: Audio, expected: Audio) -> float:
    """The power of the difference relative to what was expected."""
    assert got.shape == expected.shape
    return float(10 * np.log10(np.mean(np.square(got - expected)) / np.mean(np.square(expected)) + 1e-20))


def lag(got: Audio, expected: Audio) -> int:
    """How many frames late something is, for the message of a failure only."""
    spectrum = np.fft.rfft(got[0], 2 * FRAMES) * np.conj(np.fft.rfft(expected[0], 2 * FRAMES))
    peak = int(np.argmax(np.fft.irfft(spectrum)))
    return peak if peak < FRAMES else peak - 2 * FRAMES


@pytest.mark.parametrize("stem", STEMS)
def test_a_recorded_stem_nulls_against_the_offline_one(take: Take, stem: str) -> None:
    got, expected = take.recorded[stem], take.stems[stem]
    depth = null_db(got, expected)
    print(f"{stem}: {depth:.1f} dB")
    assert depth < DEEP_ENOUGH_DB, f"{lag(got, expected)} frames late"


def test_the_recorded_stems_sum_to_the_song(take: Take) -> None:
    got = np.sum([take.recorded[stem] for stem in STEMS], axis=0)
    depth = null_db(got, take.song)
    print(f"sum: {depth:.1f} dB")
    assert depth < DEEP_ENOUGH_DB, f"{lag(got, take.song)} frames late"


def test_an_export_faster_than_time_through_the_engine_is_the_song(take: Take) -> None:
    assert take.freewheeled
    depth = null_db(take.exported, take.song)
    print(f"export: {depth:.1f} dB")
    assert depth < DEEP_ENOUGH_DB, f"{lag(take.exported, take.song)} frames late"


def test_an_export_through_an_insert_is_the_song(tmp_path_factory: pytest.TempPathFactory) -> None:
    song, exported = visit(export_through_insert, tmp_path_factory)
    depth = null_db(exported, song)
    print(f"insert: {depth:.1f} dB")
    assert depth < DEEP_ENOUGH_DB, f"{lag(exported, song)} frames late"
