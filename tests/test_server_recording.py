"""A recorded session, rendered offline, is what was heard live."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_bridge.board.automation import Automation
from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.errors import PresetError
from plugin_bridge.render.job import render
from plugin_bridge.server import Server
from tests.live_runs import noise, to_file
from tests.server_runs import heard, serving, until

RATE = 44100
PRESET = """
[[master.effects]]
effect = "Gain"
gain_db = -1.0
[[strips.{stem}.effects]]
effect = "Compressor"
threshold_db = -20.0
ratio = 2.0
"""


def moves_of(step: int, stems: tuple[str, ...]) -> list[tuple[Key, Value]]:
    """Two or three parameters in turn: levels, a switch, effects' own."""
    stem, first = stems[step % len(stems)], stems[0]
    every: list[list[tuple[Key, Value]]] = [
        [(Key(stem, None, "gain_db"), -float(step % 7)), (Key(stem, None, "pan"), (step % 5) / 4 - 0.5)],
        [(Key(stem, None, "mute"), step % 2 == 0), (Key("master", None, "gain_db"), -(step % 3) / 2)],
        [(Key(first, 0, "threshold_db"), -10.0 - step % 20), (Key(first, 0, "ratio"), 1.5 + step % 4)],
        [(Key("master", None, "mix"), 1 - (step % 3) / 4), (Key("master", 0, "gain_db"), -(step % 4) / 2)],
        [(Key(first, 0, "bypass"), step % 2 == 0)],
    ]
    return every[step % len(every)]


async def ride(server: Server, target: Path) -> int:
    """Move something every now and then until the file is played; the number of moves."""
    step = 0
    await until(lambda: server.status()["frames"] > RATE // 4, "the first sound")
    while not server.engine.finished:
        step += 1
        server.move(moves_of(step, server.sources))
        await asyncio.sleep(0.03)
    await until(lambda: target.exists(), "the recording of the audio")
    return step


@pytest.mark.parametrize(("model", "seconds"), [("bands", 12.0), ("classic4", 4.0), ("live4", 4.0)])
def test_the_same_moves_offline_give_what_was_played(
    model: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "presets").mkdir()
    stem = "low" if model == "bands" else "vocals"
    (tmp_path / "presets" / "moving.toml").write_text(PRESET.format(stem=stem))
    source, live = to_file(noise(seconds, RATE), RATE, tmp_path / "song.wav"), tmp_path / "live.wav"
    record = tmp_path / "session.jsonl"

    async def play() -> tuple[int, tuple[str, ...]]:
        async with serving(
            "file", source=source, target=live, model=model, preset="moving", record=record
        ) as server:
            steps = await ride(server, live)
            assert server.status()["fallback_frames"] == 0
            return steps, server.sources

    steps, sources = asyncio.run(play())
    automation = Automation.load(record)
    assert not automation.warning
    assert steps > 5
    assert len({change.frame for change in automation.changes}) > 4
    (report,) = render([source], tmp_path / "offline", automation=record, mix=True)
    assert report.status == "rendered", report.error
    out, rate = soundfile.read(live, dtype="float32", always_2d=True)
    assert rate == RATE
    for row, name in enumerate(("mix", *sources)):
        (path,) = (tmp_path / "offline").rglob(f"{name}.wav")
        offline = soundfile.read(path, dtype="float32", always_2d=True)[0]
        np.testing.assert_allclose(out[:, 2 * row : 2 * row + 2], offline, atol=1e-4, err_msg=name)


def test_a_recording_ends_where_another_board_plays(tmp_path: Path) -> None:
    record = tmp_path / "session.jsonl"

    async def play() -> None:
        async with serving(record=record, reserve_ms=50.0) as server:
            events = heard(server)
            server.move([(Key("low", None, "gain_db"), -3.0)])
            await until(lambda: record.read_text().count("\n") == 2, "the move is written")
            await server.load_preset(str(preset))
            await until(lambda: any("recording" in str(event) for event in events), "the end is told")
            server.move([(Key("low", None, "gain_db"), -6.0)])
            await asyncio.sleep(0.3)
        assert record.read_text().count("\n") == 2

    preset = tmp_path / "other.toml"
    preset.write_text('[[strips.low.effects]]\neffect = "Gain"\ngain_db = -1.0\n')
    asyncio.run(play())
    (change,) = Automation.load(record).changes
    assert change[1:3] == (Key("low", None, "gain_db"), -3.0)


def test_a_recording_goes_to_a_new_file(tmp_path: Path) -> None:
    record = tmp_path / "session.jsonl"
    record.write_text("mine")

    async def play() -> None:
        with pytest.raises(PresetError, match="a recording must go to a new file"):
            async with serving(record=record):
                pass

    asyncio.run(play())
    assert record.read_text() == "mine"
