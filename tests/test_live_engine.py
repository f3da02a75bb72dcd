"""The live engine with its processes: what comes out, who may die, what may change."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.errors import DeviceError, PresetError
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from plugin_bridge.live.latency import FADE_FRAMES
from plugin_bridge.live.protocol import BoardPlan
from tests.live_runs import Run, noise, running, to_file

RATE = 44100
GAIN = {"effect": "Gain", "gain_db": -6.0}
HALF = 10 ** (-6 / 20)


@pytest.fixture(scope="module")
def long_noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """More noise than any test plays."""
    audio = noise(200.0, RATE)
    return to_file(audio, RATE, tmp_path_factory.mktemp("live") / "noise.wav"), audio


def main_over_mix(run: Run, audio: np.ndarray) -> np.ndarray:
    """By what main was more or less than the mix of its time, frame by frame."""
    out = run.recorded()
    assert out.shape[1] > 0
    return out[0] / audio[0, : out.shape[1]]


@pytest.mark.parametrize(
    ("rate", "model", "block"),
    [
        (44100, "bands", 256),
        (48000, "bands", 441),
        (44100, "classic4", 1024),
        (44100, "live4", 256),
        (48000, "live4", 441),
    ],
)
def test_a_file_comes_out_as_the_board_renders_it(rate: int, model: str, block: int, tmp_path: Path) -> None:
    audio = noise(1.0, rate)
    with running("file", to_file(audio, rate, tmp_path / "in.wav"), BoardPlan(model), block=block) as run:
        run.to_the_end()
        status = run.status
    out, stems = run.recorded(), StemBoard(model).stems(audio, rate)
    assert out.shape == (2 + 2 * len(stems), audio.shape[1])
    np.testing.assert_allclose(out[:2], audio, atol=1e-6)
    for row, stem in enumerate(stems.values(), start=1):
        np.testing.assert_allclose(out[2 * row : 2 * row + 2], stem, atol=1e-4)
    assert status["fallback_frames"] == 0
    assert list(run.engine.events) == []


def test_a_clock_gives_what_a_file_gives_bit_for_bit(tmp_path: Path) -> None:
    source = to_file(noise(0.5, RATE), RATE, tmp_path / "in.wav")
    plan = BoardPlan("bands", {"low": {"gain_db": -3.0}, "high": {"effects": [GAIN]}}, {"pan": 0.5})
    outs, late = [], 0
    for driver in ("file", "paced"):
        with running(driver, source, plan, safety_ms=500.0) as run:
            run.to_the_end()
            late += run.status["late_blocks"]
        outs.append(run.recorded())
    if late:  # the machine was away for long: what is not wet is the mix, and that is another test
        pytest.skip(f"the machine was too late for {late} blocks to compare what is played in time")
    np.testing.assert_array_equal(outs[0], outs[1])


def test_what_is_no_number_in_a_file_is_silence(tmp_path: Path) -> None:
    audio = noise(0.5, RATE)
    audio[0, 5000] = np.nan
    audio[1, 7000:7010] = np.inf
    with running("file", to_file(audio, RATE, tmp_path / "in.wav"), BoardPlan("bands")) as run:
        run.to_the_end()
        assert run.status["silenced_blocks"] == 2
    mended = np.where(np.isfinite(audio), audio, 0)
    np.testing.assert_allclose(run.recorded()[:2], mended, atol=1e-6)


# --- who may die ---------------------------------------------------------------------------------------


def lose(run: Run, how: str) -> None:
    """Take the playing worker away, and wait until another plays."""
    lost = run.engine.playing_process
    assert lost is not None
    deaths = run.status["deaths"]
    if how in ("raise", "hang"):
        run.engine.fail(how)
    else:
        os.kill(lost, getattr(signal, how))
    run.until(lambda: run.status["deaths"] > deaths, f"{how} is noticed")
    run.until(lambda: run.wet() and run.engine.playing_process != lost, f"a takeover after {how}")


@pytest.mark.parametrize("hows", [("SIGKILL", "SIGSTOP"), ("raise", "hang")])
def test_a_lost_worker_costs_main_no_frame(
    hows: tuple[str, str], long_noise: tuple[Path, np.ndarray]
) -> None:
    source, audio = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=20.0) as run:
        run.until(run.settled, "both workers")
        for how in hows:
            lose(run, how)
            run.for_frames(RATE // 4)
        status = run.status
        last = run.frames
    assert status["deaths"] == 2
    assert status["state"] == "running"
    assert sum("took over" in event for event in run.engine.events) == 2
    out = run.recorded()
    assert out.shape[1] >= last - status["latency"]
    np.testing.assert_allclose(out[:2], audio[:, : out.shape[1]], atol=1e-6)


def test_stems_fall_silent_while_no_worker_plays(long_noise: tuple[Path, np.ndarray]) -> None:
    """Three deaths in a minute: nobody is hired any more, the mix plays on, and the reason is told."""
    source, audio = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=20.0) as run:
        run.until(run.settled, "both workers")
        for _ in range(2):
            lose(run, "SIGKILL")
        os.kill(run.engine.playing_process or 0, signal.SIGKILL)
        run.until(lambda: run.status["state"] == "fallback", "the end of patience")
        run.for_frames(RATE // 2)
        status, last = run.status, run.frames
    assert "3 workers died within a minute" in status["reason"]
    assert any("3 workers died within a minute" in event for event in run.engine.events)
    out = run.recorded()
    np.testing.assert_allclose(out[:2], audio[:, : out.shape[1]], atol=1e-6)
    assert out.shape[1] >= last - status["latency"]
    assert not out[2:, -RATE // 4 :].any()
    assert out[2:, : RATE // 4].any()


def test_a_standby_that_dies_is_replaced_unheard_and_counted(long_noise: tuple[Path, np.ndarray]) -> None:
    source, _ = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=500.0) as run:
        run.until(run.settled, "both workers")
        process, playing, joins = run.engine.playing_process, run.status["playing"], run.status["joins"]
        for deaths in (1, 2, 3):
            os.kill(standby_process(run), signal.SIGKILL)
            run.until(lambda deaths=deaths: run.status["deaths"] == deaths, "the death is counted")
            if deaths < 3:
                run.until(lambda: run.engine.troupe.slots[1 - playing].member is not None, "a new standby")
        run.for_frames(RATE // 4)
        assert run.engine.playing_process == process
        with pytest.raises(PresetError, match="another board must be built by a second worker, got none: 3 "):
            run.engine.change(BoardPlan("bands", {"low": {"effects": [GAIN]}}))
        assert run.status["state"] == "running"  # the one that plays need not suffer for the others
        assert run.status["joins"] == joins or run.status["late_blocks"]


def standby_process(run: Run) -> int:
    """The process id of the worker that does not play."""
    member = run.engine.troupe.slots[1 - run.status["playing"]].member
    assert member is not None
    return int(member.process.pid or 0)


def test_a_stopped_standby_holds_up_nobody(long_noise: tuple[Path, np.ndarray]) -> None:
    """It reads nothing that it is told, and is found out when it is needed."""
    source, _ = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=20.0) as run:
        run.until(run.settled, "both workers")
        lost = run.engine.playing_process or 0
        os.kill(standby_process(run), signal.SIGSTOP)
        for step in range(5000):
            run.engine.move([(Key("low", None, "gain_db"), -float(step % 20))])
            if step % 100 == 0:
                run.engine.tick()
        os.kill(lost, signal.SIGKILL)
        run.until(lambda: run.status["deaths"] == 2, "both losses are noticed")
        run.until(lambda: run.wet() and run.engine.playing_process != lost, "a takeover")
        assert run.status["state"] == "running"
        assert run.engine.plan.moved == {Key("low", None, "gain_db"): -19.0}


def test_a_board_whose_worker_dies_while_it_builds_is_given_up(long_noise: tuple[Path, np.ndarray]) -> None:
    source, _ = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=100.0) as run:
        run.until(run.settled, "both workers")
        before, playing = run.engine.plan, run.engine.playing_process
        process = standby_process(run)
        os.kill(process, signal.SIGSTOP)  # so that it is surely still building
        run.engine.change(BoardPlan("bands", {"low": {"effects": [GAIN]}}))
        run.engine.tick()
        assert run.status["standby"] == "building"
        os.kill(process, signal.SIGKILL)
        run.until(lambda: bool(run.engine.events), "the death is noticed")
        assert run.engine.events[0].startswith("the next board is given up: worker ")
        run.until(run.settled, "a new standby")
        assert (run.engine.plan, run.engine.playing_process) == (before, playing)


# --- what may change -----------------------------------------------------------------------------------


def test_changes_are_moves_or_swaps_and_nothing_steps(long_noise: tuple[Path, np.ndarray]) -> None:
    source, audio = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=100.0, reserve_ms=50.0) as run:
        run.until(run.settled, "both workers")
        joins, playing = run.status["joins"], run.status["playing"]
        halved = {name: {"gain_db": -6.0} for name in run.engine.sources}
        run.engine.change(BoardPlan("bands", halved))
        run.for_frames(RATE // 2)
        if not run.status["late_blocks"]:
            assert (run.status["joins"], run.status["playing"]) == (joins, playing)
        run.engine.change(BoardPlan("bands", {name: {"effects": [GAIN]} for name in run.engine.sources}))
        run.until(lambda: run.status["playing"] != playing, "the swap")
        run.until(run.settled, "the standby has the new board")
        run.engine.move([(Key("master", None, "gain_db"), -6.0)])
        run.engine.set_block(1000)
        run.for_frames(RATE // 2)
        assert run.engine.plan.moved == {Key("master", None, "gain_db"): -6.0}
        assert "the host's block must be at most 256 frames" in run.engine.events.pop()
        run.engine.set_block(64)
        run.for_frames(RATE // 2)
        run.engine.move([(Key("low", None, "mute"), True)])
        run.engine.set_bypass(True)
        run.for_frames(RATE // 4)
        run.engine.set_bypass(False)
        run.for_frames(RATE // 4)
        late = run.status["late_blocks"]
    out = run.recorded()
    ratio = main_over_mix(run, audio)
    assert not out[2:4, -RATE // 8 :].any() or late
    # No gap: main is never less than its board makes it. No step: a ramp takes 20 ms, a join 64 frames.
    whole = ratio[: -RATE * 5 // 8]
    assert whole.min() > HALF * HALF - 1e-4
    assert np.abs(np.diff(whole)).max() < 1 / FADE_FRAMES
    kept = [level for level in (1.0, HALF, HALF * HALF) if np.isclose(whole, level, atol=1e-4).sum() > 1000]
    assert kept == [1.0, HALF, HALF * HALF]


def another_bands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of the user's, with the stems of `bands` at other frequencies."""
    card = Path("models/bands/card.toml").read_text("utf-8") + "\n[config]\ncrossovers_hz = [500.0, 5000.0]\n"
    (folder / "models" / "other_bands").mkdir(parents=True)
    (folder / "models" / "other_bands" / "card.toml").write_text(card, "utf-8")
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(folder))


def test_a_model_is_swapped_and_one_that_does_not_fit_is_refused(
    long_noise: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_bands(tmp_path, monkeypatch)
    source, audio = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=100.0, reserve_ms=200.0) as run:
        latency = run.status["latency"]
        run.until(run.settled, "both workers")
        playing = run.status["playing"]
        run.engine.change(BoardPlan("other_bands"))
        run.until(lambda: run.status["playing"] != playing, "the swap")
        run.until(run.settled, "the standby has the new model")
        refusals = {
            "classic4": "the model must give the stems low, mid, high while the engine runs, got vocals",
            "repet": "streaming must use a streaming separator, got 'repet'",
            "no_such_model": "model must be one of the catalogue, got 'no_such_model'",
        }
        for model, sentence in refusals.items():
            run.engine.change(BoardPlan(model))
            run.until(lambda: bool(run.engine.events), f"{model} is refused")
            assert sentence in run.engine.events.popleft()
            assert run.engine.plan.model == "other_bands"
        with pytest.raises(PresetError, match="strips must be among low, mid, high, got 'vocals'"):
            run.engine.change(BoardPlan("other_bands", {"vocals": {"gain_db": 1.0}}))
        assert run.status["latency"] == latency
        assert run.status["deaths"] == 0
    ratio = main_over_mix(run, audio)
    np.testing.assert_allclose(ratio, 1, atol=1e-4)


def test_what_needs_more_latency_is_refused_with_the_figure(long_noise: tuple[Path, np.ndarray]) -> None:
    source, _ = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=100.0) as run:
        before = run.engine.plan
        late_effect = {"effect": "GSMFullRateCompressor"}
        run.engine.change(BoardPlan("bands", {"low": {"effects": [late_effect]}}))
        run.until(lambda: bool(run.engine.events), "the refusal")
        event = run.engine.events.popleft()
        assert event.startswith(
            f"the board must fit the latency of {run.status['latency']} frames, got one that"
        )
        assert "restart with --reserve-ms " in event
        run.until(run.settled, "the standby has the valid board again")
        assert run.engine.plan == before


def test_a_storm_of_presets_leaves_no_gap_and_the_last_one_wins(long_noise: tuple[Path, np.ndarray]) -> None:
    source, audio = long_noise
    with running("paced", source, BoardPlan("bands"), safety_ms=100.0) as run:
        run.until(run.settled, "both workers")
        names = run.engine.sources
        for step in range(1000):
            level = {"gain_db": -float(step % 6)}
            strip = {**level, "effects": [GAIN]} if step % 3 == 0 else level
            run.engine.change(BoardPlan("bands", dict.fromkeys(names, strip)))
            if step % 20 == 0:
                run.engine.tick()
            time.sleep(0.001)
        last = BoardPlan("bands", {name: {"gain_db": -1.0, "effects": [GAIN, GAIN]} for name in names})
        run.engine.change(last)
        run.until(lambda: run.engine.troupe.next is None, "the last swap")
        run.until(run.settled, "the standby has the last board")
        run.for_frames(RATE // 2)
        assert run.engine.plan == last
        assert run.status["deaths"] == 0
    ratio = main_over_mix(run, audio)
    lowest = 10 ** (-1 / 20) * HALF * HALF
    assert ratio.min() > lowest - 1e-3
    assert ratio.max() < 1 + 1e-3
    np.testing.assert_allclose(np.median(ratio[-RATE // 4 :]), lowest, atol=1e-4)
    assert np.abs(np.diff(ratio)).max() < 1 / FADE_FRAMES


# --- what cannot be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audio", "sentence"),
    [
        (AudioRequest("paced", source="no-such-file.wav"), "the input must be a readable sound file"),
        (
            AudioRequest("paced", target="no-such-folder/out.wav"),
            "the output must be a file in a writable folder",
        ),
        (AudioRequest("file"), "the file driver must have an input file, got none"),
        (AudioRequest("tape"), "audio must be one of jack, portaudio, paced, file, got 'tape'"),
    ],
)
def test_audio_that_cannot_be_is_one_sentence(audio: AudioRequest, sentence: str) -> None:
    with pytest.raises(DeviceError, match=sentence):
        Engine(EngineRequest(audio, BoardPlan("bands")))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"largest_block": 8193}, "largest_block must be between 16 and 8192 frames, got 8193"),
        ({"safety_ms": -1.0}, "safety_ms must be between 0 and 60000, got -1"),
        ({"reserve_ms": float("nan")}, "reserve_ms must be between 0 and 60000, got nan"),
        ({"audio": AudioRequest("paced", block=15)}, "block must be between 16 and 8192 frames, got 15"),
    ],
)
def test_a_request_out_of_range_is_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EngineRequest(**{"audio": AudioRequest("paced"), "plan": BoardPlan("bands"), **values})
