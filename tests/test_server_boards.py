"""Models and presets that a running server goes over to, and saves."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from pathlib import Path

import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.preset import Preset
from plugin_bridge.control.commands import Fault, PresetNamed, Rebuilt
from plugin_bridge.errors import ModelError, PresetError
from tests.server_runs import heard, run, serving, settled, until, users_presets

RATE = 44100
LOW, MID, HIGH = (Key(stem, None, "gain_db") for stem in ("low", "mid", "high"))


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's presets: one that needs building, one that does not."""
    return users_presets(tmp_path, monkeypatch)


def test_a_preset_of_levels_moves_and_one_with_effects_is_built() -> None:
    async def test() -> None:
        async with serving(reserve_ms=50.0) as server:
            await until(lambda: settled(server), "both workers")
            events = heard(server)
            await server.load_preset("levels")
            assert server.values[LOW] == -4.0
            assert server.values[Key("master", None, "mix")] == 0.5
            assert Rebuilt() not in events
            assert server.preset == ("levels", False)
            server.move([(LOW, -5.0)])
            await until(lambda: server.preset == ("levels", True), "it was moved away from")
            server.move([(LOW, -4.0)])
            await until(lambda: server.preset == ("levels", False), "and back")
            process = server.engine.playing_process
            await server.load_preset("effects")
            assert server.engine.playing_process != process
            assert server.values[Key("low", 0, "gain_db")] == -6.0
            assert server.values[LOW] == 0.0
            await until(lambda: Rebuilt() in events, "it is told")
            named = [event for event in events if isinstance(event, PresetNamed)]
            assert named == [
                PresetNamed("levels", False),
                PresetNamed("levels", True),
                PresetNamed("levels", False),
                PresetNamed("effects", False),
            ]

    run(test())


def test_loads_that_fail_say_why_and_change_nothing(own_data: Path) -> None:
    (own_data / "late.toml").write_text('[[strips.low.effects]]\neffect = "GSMFullRateCompressor"\n')
    (own_data / "broken.toml").write_text('[[strips.low.effects]]\neffect = "Gian"\n')
    (own_data / "hosted.toml").write_text('[[master.effects]]\neffect = "VST3Plugin"\npath = "none.vst3"\n')

    async def test() -> None:
        async with serving() as server:
            await until(lambda: settled(server), "both workers")
            before = server.engine.plan
            for name, sentence in {
                "none": "a preset must be a known name",
                "karaoke": "strips must be among low, mid, high, got 'vocals'",
                "late": "restart with --reserve-ms",
                "hosted": "a hosted plugin must exist, got 'none.vst3'",
                "broken": "an effect must be one of pedalboard's, got 'Gian'",
            }.items():
                with pytest.raises(PresetError, match=sentence):
                    await server.load_preset(name)
            # A value that was moved must not be what another model's stems are refused for.
            server.move([(LOW, -3.0)])
            await asyncio.sleep(0.1)
            before = server.engine.plan
            refused = {
                "band": "did you mean 'bands'",
                "repet": "must use a streaming",
                "hpss": "the model must give the stems low, mid, high while the engine runs",
            }
            for name, sentence in refused.items():
                with pytest.raises(ModelError, match=sentence):
                    await server.load_model(name)
            assert server.engine.plan == before
            assert server.preset == ("", True)

    run(test())


def test_of_two_loads_the_last_one_plays_and_settle_waits_for_both() -> None:
    async def test() -> None:
        async with serving(reserve_ms=50.0) as server:
            await until(lambda: settled(server), "both workers")
            first = asyncio.create_task(server.load_preset("effects"))
            await asyncio.sleep(0)
            second = asyncio.create_task(server.load_preset("levels"))
            await asyncio.sleep(0)
            await server.settle()
            assert first.done()
            assert second.done()
            with pytest.raises(PresetError, match="another board was asked for since"):
                await first
            await second
            assert server.preset[0] == "levels"
            assert server.values[LOW] == -4.0
            await server.settle()  # nothing is under way

    run(test())


def test_a_load_ends_when_no_worker_is_left_to_build() -> None:
    async def test() -> None:
        async with serving() as server:
            await until(lambda: settled(server), "both workers")
            events = heard(server)
            loading = None
            for _ in range(3):
                slot = server.engine.troupe.slots[1 - server.engine.troupe.playing]
                await until(lambda slot=slot: slot.member is not None, "a standby")
                assert slot.member is not None
                os.kill(slot.member.process.pid or 0, signal.SIGSTOP)
                if loading is None or loading.done():
                    loading = asyncio.create_task(server.load_preset("effects"))
                    await asyncio.sleep(0.05)
                os.kill(slot.member.process.pid or 0, signal.SIGKILL)
                deaths = server.status()["deaths"]
                await until(lambda deaths=deaths: server.status()["deaths"] > deaths, "the death")
            assert loading is not None
            with pytest.raises(PresetError):
                await loading
            with pytest.raises(PresetError, match="restart"):
                await server.load_preset("effects")
            codes = [event.code for event in events if isinstance(event, Fault)]
            assert codes.count("worker_lost") == 3
            assert "gave_up" in codes

    run(test())


def test_what_plays_is_saved_as_it_sounds(own_data: Path) -> None:
    async def test() -> None:
        async with serving(preset="effects") as server:
            server.move([(LOW, -math.inf), (MID, -2.5), (Key("low", 0, "gain_db"), -8.0)])
            server.move([(Key("low", 0, "bypass"), True), (Key("master", None, "mix"), 0.25)])
            events = heard(server)
            await server.save_preset("mine")
            assert server.preset == ("mine", False)
            assert PresetNamed("mine", False) in events
            assert "mine" in server.presets()
            with pytest.raises(ValueError, match="a preset's name must have only"):
                await server.save_preset("../mine")
            values = dict(server.values)
            server.move([(MID, 0.0)])
            await server.load_preset("mine")
            assert server.values == values

    run(test())
    preset = Preset.load("mine")
    assert preset.model == "bands"
    assert preset.strips["low"].gain_db == -math.inf
    assert preset.strips["low"].effects == [{"effect": "Gain", "gain_db": -8.0, "bypass": True}]
    assert preset.strips["mid"].gain_db == -2.5
    assert preset.master.mix == 0.25
    assert (own_data / "mine.toml").exists()
