"""What the function `render` takes from Python, and the sentence it has for everything else."""

import pytest
import soundfile

import plugin_bridge
from plugin_bridge.board.preset import Preset, StripSettings
from plugin_bridge.errors import AudioFileError
from tests.halves_board import noise, write_song


@pytest.mark.parametrize(
    ("inputs", "settings", "kind", "sentence"),
    [
        (None, {}, TypeError, "inputs must be a path or a list of paths, got None"),
        (3, {}, TypeError, "inputs must be a path or a list of paths, got 3"),
        (["a.wav", 3], {}, TypeError, "inputs must be a path, got 3"),
        ("", {}, ValueError, "inputs must be a path, got an empty one"),
        (["a.wav", ""], {}, ValueError, "inputs must be a path, got an empty one"),
        ("a\0.wav", {}, ValueError, "inputs must be a path, got 'a"),
        ("a.wav", {"output": ""}, ValueError, "output must be a path, got an empty one"),
        ("a.wav", {"output": None}, TypeError, "output must be a path, got None"),
        ("a.wav", {"channels": 3}, TypeError, r"channels must be a list of one or two numbers .* got 3"),
        ("a.wav", {"channels": "12"}, TypeError, "channels must be a list of one or two numbers"),
        ("a.wav", {"sample_rate": "48000"}, TypeError, "whole number of Hz, got '48000'"),
        ("a.wav", {"jobs": "2"}, TypeError, "jobs must be a whole number, got '2'"),
        ("a.wav", {"jobs": 0}, ValueError, "jobs must be at least 1, got 0"),
        ("a.wav", {"shifts": 0}, ValueError, "shifts must be at least 1, got 0"),
        ("a.wav", {"shifts": 2.5}, TypeError, "shifts must be a whole number, got 2.5"),
        ("a.wav", {"shifts": 2}, ValueError, "shifts must be 1 for a method without weights, got 2"),
        (
            "a.wav",
            {"model": "live4", "shifts": 2},
            ValueError,
            "shifts must be 1 for a causal network, got 2",
        ),
        ("a.wav", {"mix": "no"}, TypeError, "mix must be True or False, got 'no'"),
        ("a.wav", {"resume": 1}, TypeError, "resume must be True or False, got 1"),
        ("a.wav", {"stems": 3}, TypeError, "stems must be names such as"),
        ("a.wav", {"resume": True, "force": True}, ValueError, "only one of resume and force"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(tmp_path, monkeypatch, inputs, settings, kind, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=sentence):
        plugin_bridge.render(inputs, **{"model": "bands"} | settings)
    assert not list(tmp_path.iterdir())


def test_two_files_in_a_row_are_no_list(tmp_path):
    first, second = write_song(tmp_path / "a.wav"), write_song(tmp_path / "b.wav")
    with pytest.raises(AudioFileError, match=r"b\.wav must be a folder .* several inputs go into one list"):
        plugin_bridge.render(first, second, model="bands")


def test_a_preset_may_be_an_object(tmp_path):
    song = write_song(tmp_path / "song.wav")
    preset = Preset(name="quiet", model="bands", strips={"low": StripSettings(mute=True)})
    preset.save(tmp_path / "quiet.toml")
    (report,) = plugin_bridge.render(song, tmp_path / "out", preset=preset)
    assert (report.preset, report.model) == ("quiet", "bands")
    assert report.stems["low"].peak_dbfs is None
    (kept,) = plugin_bridge.render(song, tmp_path / "out", preset=tmp_path / "quiet.toml", resume=True)
    assert kept.status == "skipped"


def test_messages_suit_python(tmp_path):
    soundfile.write(tmp_path / "six.wav", noise(6, 3000).T, 48000)
    song = write_song(tmp_path / "song.wav")
    for _ in range(2):
        reports = plugin_bridge.render([song, tmp_path / "six.wav"], tmp_path / "out", model="bands")
    for report in reports:
        assert report.status == "failed" and "--" not in report.error
