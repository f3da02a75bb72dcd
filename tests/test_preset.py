"""Presets: ours fit four stems, what is saved is what is loaded, and every bad file is one clear sentence."""

from __future__ import annotations

import os
import stat
import sys
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pedalboard import Chain, Compressor, Convolution, Gain, Invert, LadderFilter, Limiter, Mix, Reverb

from plugin_bridge import Preset, StemBoard, Strip
from plugin_bridge.board.effects import effect_classes
from plugin_bridge.board.preset import SCHEMA, StripSettings
from plugin_bridge.errors import ModelError, PresetError
from plugin_bridge.separation.classical.bands import Bands
from tests.board_instruments import RATE, FourBands, cut, noise, streamed

OURS = ["acapella", "drumless", "karaoke", "practice_bass", "stem_master", "vocal_lift"]


@pytest.fixture(autouse=True)
def _no_presets_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path / "data"))


def full_board():
    return StemBoard(
        "bands",
        {
            "low": Strip([Reverb(room_size=0.3), Compressor(-17.3, 2.5)], gain_db=-4.2, pan=0.25),
            "mid": Strip([Chain([Gain(3), Mix([Gain(-6), Invert()])]), LadderFilter()], mute=True),
            "high": Strip(solo=True, gain_db=float("-inf")),
        },
        Strip([Limiter(-1.5)], gain_db=1.5),
    )


# Ours ----------------------------------------------------------------------------------------------


def test_our_presets_are_found():
    assert set(OURS) <= set(Preset.names())
    assert Preset.names() == sorted(Preset.names())


@pytest.mark.parametrize("name", Preset.names())
def test_our_preset_fits_four_stems_and_streams(name, tmp_path):
    preset, audio = Preset.load(name), noise(8000)
    assert (preset.name, preset.schema) == (name, SCHEMA)
    assert preset.description and len(preset.description) < 120
    board = StemBoard.from_preset(name, FourBands())
    assert not board.is_neutral
    whole = board(audio, RATE)
    assert np.isfinite(whole).all() and np.abs(whole - audio).max() > 1e-3
    np.testing.assert_array_equal(streamed(board, cut(audio, [1, 100, 3000])), whole)
    preset.save(tmp_path / "again.toml")
    assert Preset.load(tmp_path / "again.toml") == preset


def test_our_presets_do_what_they_are_called():
    audio = noise(5000)
    stems = StemBoard(FourBands()).stems(audio, RATE)

    def played(name):
        return StemBoard.from_preset(name, FourBands())(audio, RATE)

    np.testing.assert_allclose(played("acapella"), stems["vocals"], atol=1e-6)
    np.testing.assert_allclose(played("karaoke"), audio - stems["vocals"], atol=1e-6)
    np.testing.assert_allclose(played("drumless"), audio - stems["drums"], atol=1e-6)


def test_two_boards_of_one_preset_share_nothing():
    preset = Preset.load("stem_master")
    one, two = (StemBoard.from_preset(preset, FourBands()) for _ in range(2))
    assert one == two
    one["vocals"].effects.clear()
    one.master.gain_db = -3
    assert one != two == StemBoard.from_preset(preset, FourBands())


# Saved and loaded ----------------------------------------------------------------------------------


def test_board_preset_file_preset_board_is_the_board(tmp_path):
    board, audio, path = full_board(), noise(5000), tmp_path / "deep" / "folder" / "mine.toml"
    preset = Preset.of(board, "mine", "An “odd” name: \\ \" ' \n = [é]")
    preset.save(path)
    again = Preset.load(path)
    assert again == preset
    other = StemBoard.from_preset(again)
    assert other == board and other.to_dict() == board.to_dict() and other.model == "bands"
    assert Preset.of(other, preset.name, preset.description) == preset
    np.testing.assert_array_equal(other(audio, RATE), board(audio, RATE))


@pytest.mark.parametrize("name", effect_classes())
def test_every_effect_goes_through_a_file(name, tmp_path):
    board = StemBoard("bands", {"mid": [effect_classes()[name]()]})
    Preset.of(board, "one").save(tmp_path / "one.toml")
    assert StemBoard.from_preset(Preset.load(tmp_path / "one.toml")) == board


# Without denormals: a hosted plugin built with -ffast-math turns them off for the whole thread.
@given(
    st.floats(-100, 24, allow_subnormal=False) | st.just(float("-inf")),
    st.floats(-1, 1, allow_subnormal=False),
    st.booleans(),
    st.booleans(),
    st.floats(-60, 0, width=32, allow_subnormal=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_values_go_through_a_file(gain_db, pan, mute, solo, threshold_db, description):
    strip = Strip([Compressor(threshold_db=threshold_db)], gain_db=gain_db, pan=pan, mute=mute, solo=solo)
    preset = Preset.of(StemBoard("bands", {"mid": strip}), "any", description)
    path = os.path.join(os.environ["PLUGIN_BRIDGE_DATA"], "any.toml")
    preset.save(path)
    assert Preset.load(path) == preset
    assert StemBoard.from_preset(Preset.load(path))["mid"] == strip


def test_what_is_neutral_is_not_written(tmp_path):
    Preset.of(StemBoard("bands"), "plain").save(tmp_path / "plain.toml")
    assert tomllib.loads((tmp_path / "plain.toml").read_text()) == {
        "schema": 1,
        "name": "plain",
        "model": "bands",
    }


def test_name_is_that_of_the_file_where_none_is_written(tmp_path):
    (tmp_path / "bare.toml").write_text("schema = 1")
    assert Preset.load(tmp_path / "bare.toml") == Preset(name="bare")
    assert Preset.load(str(tmp_path / "bare.toml")).name == "bare"
    assert StemBoard.from_preset(Preset.load(tmp_path / "bare.toml"), "bands").is_neutral


def test_effect_that_has_no_description_is_not_saved():
    board = StemBoard("bands", {"mid": [Convolution(np.ones(4, np.float32), sample_rate=RATE)]})
    with pytest.raises(TypeError, match="write it to a file first"):
        Preset.of(board, "none")


# The user's ----------------------------------------------------------------------------------------


def test_presets_of_the_user_come_first():
    folder = os.path.join(os.environ["PLUGIN_BRIDGE_DATA"], "presets")
    Preset.of(StemBoard("bands", {"low": Strip(mute=True)}), "karaoke").save(
        os.path.join(folder, "karaoke.toml")
    )
    Preset.of(StemBoard("bands"), "mine").save(os.path.join(folder, "mine.toml"))
    assert Preset.load("karaoke").model == "bands"
    assert set(Preset.names()) == {*OURS, "mine"}
    assert StemBoard.from_preset("karaoke")["low"].mute


def test_files_that_are_no_presets_are_not_listed():
    folder = os.path.join(os.environ["PLUGIN_BRIDGE_DATA"], "presets")
    os.makedirs(os.path.join(folder, "nested.toml"))
    for name in ("Upper.toml", "notes.txt", ".hidden.toml", "with space.toml"):
        with open(os.path.join(folder, name), "w") as file:
            file.write("")
    with pytest.raises(PresetError):
        Preset.load("nested")
    assert set(Preset.names()) == set(OURS)


# Bad files -----------------------------------------------------------------------------------------

FILES = {
    "not TOML": b"gain_db: 3",
    "binary": bytes(range(256)),
    "not UTF-8": "name = 'Grüße'".encode("latin-1"),
    "null bytes": b"\0" * 100,
    "deep": b"a = " + b"[" * 100_000,
    "huge number": b"schema = " + b"9" * 5000,
    "twice": b"name = 'a'\nname = 'b'",
    "unknown key": b"gain_db = 3",
    "unknown key of a strip": b"[strips.low]\ngian_db = 3",
    "word for a number": b"[strips.low]\ngain_db = 'loud'",
    "switch for a number": b"[strips.low]\ngain_db = true",
    "number for a switch": b"[strips.low]\nmute = 1",
    "beyond the range": b"[strips.low]\ngain_db = 25",
    "not a number": b"[strips.low]\ngain_db = nan",
    "pan beyond the range": b"[master]\npan = 2.0",
    "number for a strip": b"strips = 3",
    "list for a strip": b"strips.low = []",
    "number for an effect": b"[strips.low]\neffects = [3]",
    "effect without a name": b"[[strips.low.effects]]\nroom_size = 0.5",
    "unknown effect": b"[[strips.low.effects]]\neffect = 'Reverbb'",
    "unknown parameter": b"[[master.effects]]\neffect = 'Reverb'\nsize = 0.5",
    "value that the effect refuses": b"[[master.effects]]\neffect = 'Reverb'\nroom_size = 5.0",
    "not a number for an effect": b"[[master.effects]]\neffect = 'Gain'\ngain_db = nan",
    "huge number for an effect": b"[[master.effects]]\neffect = 'Gain'\ngain_db = 1" + b"0" * 400,
    "date for a number": b"[[master.effects]]\neffect = 'Gain'\ngain_db = 2020-01-01",
    "huge number for a strip": b"[master]\ngain_db = 1" + b"0" * 400,
    "missing plugin": b"[[master.effects]]\neffect = 'VST3Plugin'\npath = 'nowhere.vst3'",
    "path with a null byte": b'[[master.effects]]\neffect = "VST3Plugin"\npath = "a\\u0000b"',
    "missing impulse": b"master.effects = [{effect='Convolution', impulse_response_filename='no.wav'}]",
    "later schema": b"schema = 2",
    "word for a schema": b"schema = 'one'",
    "switch for a schema": b"schema = true",
    "number for a name": b"name = 3",
    "number for a model": b"model = 3",
}


def sentence(caught):
    text = str(caught.value)
    assert text and "\n" not in text and "Traceback" not in text and len(text) < 1000, text
    return text


@pytest.mark.parametrize("name", FILES)
def test_bad_file_is_one_clear_sentence_with_its_path(name, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(FILES[name])
    with pytest.raises(PresetError) as caught:
        Preset.load(path)
    assert str(path) in sentence(caught)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_preset_or_one_clear_sentence(content):
    path = os.path.join(os.environ["PLUGIN_BRIDGE_DATA"], "any.toml")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    try:
        assert Preset.load(path).name == "any"
    except PresetError as error:
        assert "\n" not in str(error)


def test_later_schema_says_what_to_do(tmp_path):
    (tmp_path / "later.toml").write_text("schema = 7")
    with pytest.raises(PresetError, match=r"got 7 in .*; update this program"):
        Preset.load(tmp_path / "later.toml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("karaok", "did you mean 'karaoke'?"),
        ("zzz", "known presets: acapella, "),
        ("", "known presets: "),
        ("../karaoke", "must be a known name or a .toml file"),
        ("KARAOKE", "must be a known name or a .toml file"),
        ("missing.toml", "must be a readable file, got missing.toml: No such file"),
        ("a\0b.toml", "a preset must be"),
    ],
)
def test_unknown_preset_is_one_clear_sentence(name, words):
    with pytest.raises(PresetError) as caught:
        Preset.load(name)
    assert words in sentence(caught)


def test_folder_is_no_preset(tmp_path):
    with pytest.raises(PresetError, match="must be a readable file"):
        Preset.load(tmp_path)


def test_preset_for_other_stems_names_the_stems(tmp_path):
    with pytest.raises(
        PresetError, match="'karaoke' must move stems that 'bands' gives, got 'vocals'; its stems: low"
    ):
        StemBoard.from_preset("karaoke", "bands")
    with pytest.raises(PresetError, match="that Bands gives"):
        StemBoard.from_preset("karaoke", Bands())
    with pytest.raises(ModelError, match="did you mean 'bands'"):
        StemBoard.from_preset(Preset(name="x", model="band"))


# Writing -------------------------------------------------------------------------------------------


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_save_replaces_and_leaves_nothing_aside(tmp_path):
    path = tmp_path / "mine.toml"
    for name in ("first", "second"):
        Preset(name=name).save(path)
        assert Preset.load(path).name == name
    assert files_in(tmp_path) == ["mine.toml"]


def test_save_over_a_folder_fails_and_leaves_nothing_aside(tmp_path):
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(PresetError, match="must be written to a writable folder") as caught:
        Preset(name="x").save(tmp_path / "mine.toml")
    sentence(caught)
    assert files_in(tmp_path) == ["mine.toml"]


def test_save_below_a_file_fails(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PresetError, match="must be written to a writable folder"):
        Preset(name="x").save(tmp_path / "file" / "mine.toml")


def test_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "mine.toml"
    Preset(name="old").save(path)
    broken = Preset(name="new", strips={"low": StripSettings(effects=[{"effect": object()}])})
    with pytest.raises(TypeError):
        broken.save(path)
    assert Preset.load(path).name == "old"
    assert files_in(tmp_path) == ["mine.toml"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root and Windows write anywhere")
def test_save_into_a_folder_without_permission_fails(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(
            PresetError, match=r"must be written to a writable folder, got .*: Permission denied"
        ):
            Preset(name="x").save(tmp_path / "mine.toml")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_saved_file_can_be_read_as_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    Preset(name="x").save(tmp_path / "mine.toml")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "mine.toml")}
    assert len(modes) == 1
