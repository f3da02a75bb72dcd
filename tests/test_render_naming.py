"""Names of stems and songs, and the songs found in what was named."""

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.render.inputs import find_songs
from plugin_bridge.render.naming import (
    check_template,
    display,
    distinct,
    glob_patterns,
    relative_path,
    safe_name,
    sidecar_path,
    song_name,
)
from plugin_bridge.render.settings import Settings

FIELDS = {
    "song": "Song",
    "stem": "vocals",
    "ext": "wav",
    "folder": "",
    "model": "bands",
    "preset": "",
    "rate": "48000",
    "bits": "24",
}


@pytest.mark.parametrize(
    ("template", "path", "report"),
    [
        ("{song}/{stem}.{ext}", "Song/vocals.wav", "Song/report.json"),
        ("{song}_{stem}_{rate}_{bits}.{ext}", "Song_vocals_48000_24.wav", "Song.report.json"),
        ("{stem}/{song}.{ext}", "vocals/Song.wav", "Song.report.json"),
        ("{model}/{song}/{stem}/x.{ext}", "bands/Song/vocals/x.wav", "bands/Song/report.json"),
        ("{folder}/{song}/{stem}.{ext}", "Song/vocals.wav", "Song/report.json"),
        ("{model}/{stem}.{ext}", "bands/vocals.wav", "bands/Song.report.json"),
    ],
)
def test_templates(template, path, report):
    check_template(template)
    assert relative_path(template, FIELDS).as_posix() == path
    assert sidecar_path(template, FIELDS, "report").as_posix() == report


def test_the_songs_folder_may_be_deep():
    deep = {**FIELDS, "folder": "disc {1}/side a"}
    assert relative_path("{folder}/{song}/{stem}.{ext}", deep).as_posix() == "disc {1}/side a/Song/vocals.wav"
    assert relative_path("{folder}-{stem}.{ext}", deep).as_posix() == "disc {1}_side a-vocals.wav"


@pytest.mark.parametrize(
    "template",
    [
        "{song}/{stem}.{ext}",
        "{stem}/[1] {song}?.{ext}",
        "[1]?/{folder}/{model}-{song}/{stem}/x.{ext}",
        "{stem}.{ext}",
    ],
)
@pytest.mark.parametrize("folder", ["", "disc 1", "disc 1/side a"])
def test_what_a_template_places_is_found_again(tmp_path, template, folder):
    fields = {**FIELDS, "folder": folder}
    for place in (relative_path(template, fields), sidecar_path(template, fields, "manifest")):
        path = tmp_path / place.with_name("x.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert path in [
            its for pattern in glob_patterns(template, "*.part") for its in tmp_path.glob(pattern)
        ]


def test_nothing_deeper_than_the_template_is_searched(tmp_path):
    touch(tmp_path / "a/b/c.wav")
    assert [list(tmp_path.glob(its)) for its in glob_patterns("{song}/{stem}.{ext}", "*.wav")] == [[], []]


@pytest.mark.parametrize(
    "template",
    [
        "{song}/{track}.{ext}",
        "{song}.{ext}",
        "{song}/{stem}",
        "{song}/{stem}.wav",
        "/{song}/{stem}.{ext}",
        "../{song}/{stem}.{ext}",
        "{song}/../{stem}.{ext}",
        "{song!r}/{stem}.{ext}",
        "{song:>9}/{stem}.{ext}",
        "{song.path}/{stem}.{ext}",
        "{}/{stem}.{ext}",
        "{song}\\{stem}.{ext}",
        "C:{song}/{stem}.{ext}",
        "{song/{stem}.{ext}",
        "",
    ],
)
def test_bad_templates_are_one_sentence(template):
    with pytest.raises(ValueError, match=r"^name must ") as raised:
        check_template(template)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ('a<b>c:d"e/f\\g|h?i*j', "a_b_c_d_e_f_g_h_i_j"),
        ("CON", "_CON"),
        ("com1.takes", "_com1.takes"),
        ("Console", "Console"),
        ("song. . ", "song"),
        ("...", "untitled"),
        ("", "untitled"),
        ("tab\there", "tab_here"),
        ("Motörhead 🎵", "Motörhead 🎵"),
        ("e\u0301", "é"),
        ("caf\udce9", "caf\ufffd"),
    ],
)
def test_names_that_every_system_can_hold(name, safe):
    assert safe_name(name) == safe


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=400))
def test_every_name_becomes_a_short_safe_one(name):
    for safe in (song_name(type("P", (), {"stem": name})()), safe_name(name)[:50]):
        assert safe and not set(safe) & set('<>:"/\\|?*\0')
    assert len(song_name(type("P", (), {"stem": name})()).encode()) <= 200


def test_long_names_stay_apart_and_fit():
    song = {**FIELDS, "song": "🎵" * 60, "stem": "v" * 100}
    path = relative_path("{song}_{stem}.{ext}", song)
    assert len(path.name.encode()) <= 255
    assert path.name.endswith(".wav")
    assert relative_path("{song}_{stem}.{ext}", {**song, "stem": "v" * 101}) != path


def test_equal_names_get_apart_as_file_systems_see_them():
    assert distinct(["a", "A", "e\u0301", "é", "a", "b"]) == ["a", "A (2)", "e\u0301", "é (2)", "a (3)", "b"]


@pytest.mark.parametrize(
    ("names", "former", "result"),
    [
        (["a", "a"], ["", "a"], ["a (2)", "a"]),
        (["a", "a", "a"], ["", "a (2)", "a"], ["a (3)", "a (2)", "a"]),
        (["a", "a"], ["a", "a"], ["a", "a (2)"]),
        (["a", "b"], ["../b", "a"], ["a", "b"]),
    ],
)
def test_who_had_a_number_keeps_it(names, former, result):
    assert distinct(names, former) == result


def test_paths_are_shown_on_any_terminal():
    assert display("caf\udce9").encode() == "caf\ufffd".encode()


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, [0.0, 0.1], 8000)


def test_folders_are_searched_in_one_order(tmp_path):
    touch(
        *(tmp_path / name for name in ("b.wav", "a.flac", "disc 1/c.aiff", "disc 1/a.WAV", ".hidden/x.wav"))
    )
    (tmp_path / "notes.txt").write_text("no sound")
    found = find_songs([tmp_path], tmp_path / "out")
    assert [(f.path.name, f.song.name, f.song.folder) for f in found] == [
        ("a.flac", "a", ""),
        ("b.wav", "b", ""),
        ("a.WAV", "a (2)", "disc 1"),
        ("c.aiff", "c", "disc 1"),
    ]


def test_a_file_named_twice_is_one_song(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    named = [tmp_path / "a.wav", tmp_path, tmp_path / "link.wav", tmp_path / "." / "a.wav"]
    assert len(find_songs(named, tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"format": "mp3"}, "format must be one of wav, flac"),
        ({"subtype": "pcm8"}, "subtype must be one of float32, pcm24, pcm16"),
        ({"format": "flac", "subtype": "float32"}, "subtype must be pcm24 or pcm16 in FLAC"),
        ({"sample_rate": 10}, "sample_rate must be 'source' or 1000 to 768000 Hz"),
        ({"format": "flac", "sample_rate": 700000}, "at most 655350 Hz in FLAC"),
        ({"stems": ()}, "stems must name at least one"),
        ({"stems": ("vocals", "bass", "vocals")}, "stems must differ, got 'vocals' twice"),
        ({"channels": (1, 1)}, "channels must be one or two different numbers"),
        ({"channels": (1, 2, 3)}, "channels must be one or two different numbers"),
        ({"channels": (0,)}, "channels must be one or two different numbers"),
    ],
)
def test_settings_that_cannot_be(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Settings(**settings)
