"""The server's commands on a running engine: moves, dates, switches, levels, faults."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.commands import Fault, Moved, Switched
from plugin_bridge.errors import UnknownAddress
from plugin_bridge.live.protocol import Moves
from tests.live_runs import noise, to_file
from tests.server_runs import heard, run, serving, settled, until, users_presets

RATE = 44100
LOW, MID, HIGH = (Key(stem, None, "gain_db") for stem in ("low", "mid", "high"))


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's presets: one that needs building, one that does not."""
    return users_presets(tmp_path, monkeypatch)


# --- moves ---------------------------------------------------------------------------------------------


def test_a_board_tells_what_can_be_moved_and_where_it_is() -> None:
    async def test() -> None:
        async with serving(preset="effects") as server:
            assert server.sources == ("low", "mid", "high")
            assert server.values[LOW] == 0.0
            assert server.values[Key("low", 0, "gain_db")] == -6.0
            assert server.values[Key("low", 0, "bypass")] is False
            assert server.values[Key("master", None, "mix")] == 1.0
            assert set(server.parameters) == set(server.values)
            assert server.preset == ("effects", False)
            assert server.model == "bands"
            assert "bands" in server.models()
            assert "repet" not in server.models()
            assert {"effects", "levels", "karaoke"} <= set(server.presets())

    run(test())


def test_a_move_is_clipped_told_once_and_counts_from_a_frame() -> None:
    async def test() -> None:
        async with serving() as server:
            events = heard(server)
            server.move([(LOW, 99.0), (MID, -3)])
            assert (server.values[LOW], server.values[MID]) == (24.0, -3.0)
            assert events == [Moved(LOW, 24.0), Moved(MID, -3.0)]
            server.move([(LOW, 24.0)])
            applied = server.engine.troupe.applied
            await until(lambda: len(applied) >= 2, "the worker has answered")
            assert [(change[1], change[2]) for change in applied][:2] == [(LOW, 24.0), (MID, -3.0)]
            assert applied[0][0] == applied[1][0] <= server.status()["frames"]
            assert events[:2] == [Moved(LOW, 24.0), Moved(MID, -3.0)]
            assert [event for event in events if isinstance(event, Moved)] == events[:2]

    run(test())


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (Key("vocals", None, "gain_db"), 0.0, UnknownAddress),
        (Key("low", 0, "gain_db"), 0.0, UnknownAddress),
        (LOW, math.nan, ValueError),
        (LOW, "loud", TypeError),
    ],
)
def test_of_moves_that_are_refused_none_is_made(key: Key, value: Any, error: type[Exception]) -> None:
    async def test() -> None:
        async with serving() as server:
            with pytest.raises(error):
                server.move([(MID, -5.0), (key, value)])
            assert server.values[MID] == 0.0
            assert server.engine.plan.moved == {}

    run(test())


def test_many_moves_become_few_messages_and_the_last_one_wins() -> None:
    async def test() -> None:
        async with serving() as server:
            await until(lambda: settled(server), "both workers")
            before = server.engine.troupe.slots[server.engine.troupe.playing].serial
            for step in range(2000):
                server.move([((LOW, MID, HIGH)[step % 3], -float(step % 40))])
                if step % 20 == 0:
                    await asyncio.sleep(0)
            last = dict(server.values)
            await asyncio.sleep(0.3)
            slot = server.engine.troupe.slots[server.engine.troupe.playing]
            assert 1 <= slot.serial - before <= 1000
            assert server.values == last
            assert slot.plan is not None
            assert {key: slot.plan.moved[key] for key in (LOW, MID, HIGH)} == {
                key: last[key] for key in (LOW, MID, HIGH)
            }

    run(test())


def test_dated_moves_start_at_their_frames_half_a_second_apart(tmp_path: Path) -> None:
    source, target = to_file(noise(4.0, RATE), RATE, tmp_path / "in.wav"), tmp_path / "out.wav"

    async def test() -> list[tuple[int, Any]]:
        async with serving(source=source, target=target, safety_ms=500.0) as server:
            await until(lambda: server.status()["frames"] > RATE, "a second")
            now = time.time()
            server.move([(LOW, -12.0), (MID, -12.0), (HIGH, -12.0)], now + 0.25)
            server.move([(LOW, 0.0), (MID, 0.0), (HIGH, 0.0)], now + 0.75)
            assert server.values[LOW] == 0.0  # not yet
            events = heard(server)
            applied = server.engine.troupe.applied
            await until(lambda: len(applied) == 6, "both have counted")
            assert [event.value for event in events if isinstance(event, Moved)] == [-12.0] * 3 + [0.0] * 3
            await until(lambda: target.exists(), "the recording")
            assert server.status()["late_blocks"] == 0 or pytest.skip("the machine was late")
            return list(applied)

    applied = asyncio.run(test())
    first, second = applied[0][0], applied[3][0]
    assert {frame for frame, *_ in applied} == {first, second}
    assert abs(second - first - RATE // 2) <= 1
    import soundfile

    audio, out = (soundfile.read(path, dtype="float32", always_2d=True)[0][:, 0] for path in (source, target))
    ratio = out[: len(audio)] / audio
    ramp = round(0.020 * RATE)
    np.testing.assert_allclose(ratio[: first - 1], 1, atol=1e-4)
    assert ratio[first + ramp // 2] < 0.99
    np.testing.assert_allclose(ratio[first + ramp : second], 10 ** (-12 / 20), atol=1e-4)
    np.testing.assert_allclose(ratio[second + ramp :], 1, atol=1e-4)


def test_a_move_whose_worker_is_lost_is_made_by_the_next() -> None:
    async def test() -> None:
        async with serving(preset="effects") as server:
            await until(lambda: settled(server), "both workers")
            lost = server.engine.playing_process
            assert lost is not None
            os.kill(lost, signal.SIGKILL)
            inner = Key("low", 0, "gain_db")
            server.move([(LOW, -2.0), (inner, -9.0)])
            server.move([(MID, -7.0)], time.time() + 0.6)
            await until(lambda: server.engine.playing_process != lost, "a takeover")
            await until(lambda: server.values[MID] == -7.0, "the dated move")
            slot = server.engine.troupe.slots[server.engine.troupe.playing]
            assert slot.plan is not None
            assert slot.plan.moved == {LOW: -2.0, inner: -9.0, MID: -7.0}

    run(test())


def test_a_newer_move_is_not_undone_by_the_answer_to_a_dated_one() -> None:
    async def test() -> None:
        async with serving() as server:
            await until(lambda: settled(server), "both workers")
            server.move([(LOW, -20.0)], time.time() + 0.1)
            begin = time.monotonic()
            while time.monotonic() < begin + 0.4:
                server.move([(LOW, -1.0 - (time.monotonic() - begin))])
                await asyncio.sleep(0.001)
            last = server.values[LOW]
            await asyncio.sleep(0.3)
            assert server.values[LOW] == last
            assert -1.5 < float(last) < -1.0

    run(test())


def test_dated_moves_have_an_end() -> None:
    async def test() -> None:
        async with serving() as server:
            with pytest.raises(ValueError, match="moves to come must be at most"):
                for _ in range(5000):
                    server.move([(LOW, 0.0)], time.time() + 1.0)

    run(test())


# --- switches, levels, faults --------------------------------------------------------------------------


def test_ping_mode_and_bypass_are_two_switches() -> None:
    async def test() -> None:
        async with serving() as server:
            events = heard(server)
            server.set_ping_mode(True)
            server.set_bypass(True)
            server.set_bypass(True)
            assert server.status()["state"] == "bypass"
            server.set_bypass(False)
            assert (server.bypass, server.ping_mode) == (False, True)
            assert server.status()["state"] == "ping"
            await until(lambda: server.status()["playing"] == -1, "the mix")
            server.set_ping_mode(False)
            await until(lambda: server.status()["playing"] in (0, 1), "the board")
            assert events == [
                Switched("ping_mode", True),
                Switched("bypass", True),
                Switched("bypass", False),
                Switched("ping_mode", False),
            ]

    run(test())


def test_levels_latency_and_status_have_what_control_shows() -> None:
    async def test() -> None:
        async with serving() as server:
            server.move([(LOW, -math.inf)])
            await until(lambda: server.status()["frames"] > 2 * RATE, "two seconds")
            levels = server.levels()
            assert list(levels) == ["in", "master", "low", "mid", "high"]
            assert levels["in"].rms_left == pytest.approx(-20, abs=1)  # noise at 0.1
            assert levels["in"].peak_left > levels["in"].rms_left
            await until(lambda: server.levels()["low"].rms_left < -100, "silence")
            terms = dict(server.latency())
            assert terms.pop("total") == sum(terms.values()) == server.status()["latency"]
            status = server.status()
            assert (status["block"], status["device"], status["model"]) == (256, "paced", "bands")

    run(test())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ends a process by its signal")
def test_a_lost_worker_is_a_fault_that_is_told() -> None:
    async def test() -> None:
        async with serving() as server:
            await until(lambda: settled(server), "both workers")
            events = heard(server)
            os.kill(server.engine.playing_process or 0, signal.SIGKILL)
            await until(lambda: any(getattr(event, "code", "") == "took_over" for event in events), "told")
            codes = [event.code for event in events if isinstance(event, Fault)]
            assert codes.index("worker_lost") < codes.index("took_over")
            assert any("took over" in sentence for sentence in server.sentences)

    run(test())


def test_who_wants_to_hear_no_more_hears_no_more() -> None:
    async def test() -> None:
        async with serving() as server:
            events: list[Any] = []
            deafen = server.watch(events.append)
            deafen()
            deafen()
            server.move([(LOW, -1.0)])
            assert events == []

    run(test())


def test_moves_travel_as_plain_data() -> None:
    import pickle

    message = Moves(1, ((LOW, -math.inf), (Key("low", 0, "mode"), "LPF12")), 7)
    assert pickle.loads(pickle.dumps(message)) == message
