"""Hosted plugins in boards: they stream, and their state is kept."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from plugin_bridge import Board, Preset, StemBoard, Strip
from plugin_bridge.board.effects import load_plugin
from plugin_bridge.errors import PresetError
from tests.board_instruments import RATE, cut, noise, streamed

ZAM = Path("/usr/lib/vst3/ZaMaximX2.vst3")


hosted = pytest.mark.skipif(not ZAM.exists(), reason="needs Debian's zam-plugins (ZaMaximX2.vst3)")


@hosted
@pytest.mark.parametrize("where", ["strip", "master", "board"])
def test_hosted_plugin_streams_as_in_one_call(where):
    plugin, audio = load_plugin(ZAM), noise(RATE // 2)
    board = {
        "strip": lambda: StemBoard("bands", {"mid": [plugin]}),
        "master": lambda: StemBoard("bands", master=[plugin]),
        "board": lambda: Board([plugin, StemBoard("bands")]),
    }[where]()
    plain = {"strip": 767, "master": 767, "board": 767 + 255}[where]
    assert board.reported_latency_samples == plain + plugin.reported_latency_samples > plain
    whole = board(audio, RATE)
    assert np.isfinite(whole).all() and whole.any()
    np.testing.assert_allclose(streamed(board, cut(audio, [100, 3000])), whole, atol=1e-6)


@hosted
def test_hosted_plugin_survives_copy_pickle_and_preset(tmp_path):
    plugin = load_plugin(ZAM)
    name = next(name for name, value in plugin.parameters.items() if "thr" in name)
    plugin.parameters[name].raw_value = 0.25
    board, audio = StemBoard("bands", {"mid": [plugin]}), noise(20000)
    whole = board(audio, RATE)
    Preset.of(board, "hosted").save(tmp_path / "hosted.toml")
    copies = [copy.deepcopy(board), pickle.loads(pickle.dumps(board)), StemBoard.from_dict(board.to_dict())]
    copies.append(StemBoard.from_preset(Preset.load(tmp_path / "hosted.toml")))
    for other in copies:
        assert other["mid"].effects[0].parameters[name].raw_value == pytest.approx(0.25, abs=1e-3)
        assert other == board
        np.testing.assert_allclose(other(audio, RATE), whole, atol=1e-6)
    assert copy.deepcopy(Board([plugin])) == Board([plugin])


@hosted
def test_state_of_another_version_warns():
    board = StemBoard("bands", {"mid": [load_plugin(ZAM)]})
    values = board.to_dict()
    values["strips"]["mid"]["effects"][0]["version"] = "0.0.1"
    with pytest.warns(UserWarning, match=r"gets the state of version 0\.0\.1"):
        StemBoard.from_dict(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StemBoard.from_dict(board.to_dict())


@hosted
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "not base64!"),
        ("state", 5),
        ("raw_values", 3),
        ("raw_values", {"nothing": 0.5}),
        ("raw_values", {"threshold": 7}),
        ("path", 3),
        ("path", str(ZAM.with_name("Missing.vst3"))),
        ("plugin_name", 5),
        ("unknown", 1),
    ],
)
def test_wrong_hosted_plugin_is_one_clear_sentence(key, value):
    effect = {"effect": "VST3Plugin", "path": str(ZAM), key: value}
    with pytest.raises(PresetError):
        Strip.from_dict({"effects": [effect]})


def test_file_that_is_no_plugin_is_one_clear_sentence(tmp_path):
    (tmp_path / "broken.vst3").write_bytes(b"not a plugin")
    for path in (tmp_path / "broken.vst3", tmp_path / "missing.vst3", tmp_path):
        with pytest.raises(PresetError, match="a hosted plugin must"):
            load_plugin(path)
