"""What a render may replace, keep or remove, and what it never touches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import plugin_bridge
from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.manifest import read_manifest
from plugin_bridge.render.plan import Policy
from plugin_bridge.render.staging import Staging
from tests.halves_board import Halves, HalvesSession, render, write_song

RESUME, FORCE = Policy(resume=True), Policy(force=True)


@pytest.fixture
def song(tmp_path):
    return write_song(tmp_path / "song.wav")


def alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["odd.wav", "report.json", "manifest.json"])
@pytest.mark.parametrize("content", ["", "mine", '{"schema": "plugin-bridge/manifest/9"}'])
def test_resume_replaces_nothing_that_no_manifest_names(song, tmp_path, name, content):
    there = tmp_path / "out/song" / name
    there.parent.mkdir(parents=True)
    there.write_text(content)
    with pytest.raises(AudioFileError, match="got a file that no manifest of this song names; replace it"):
        render(song, tmp_path / "out", RESUME)
    assert there.read_text() == content
    assert render(song, tmp_path / "out", FORCE).status == "rendered"


def test_resume_replaces_no_file_beside_what_the_manifest_names(song, tmp_path):
    render(song, tmp_path / "out")
    (tmp_path / "out/song/odd.flac").write_text("mine")
    with pytest.raises(AudioFileError, match="no manifest of this song names"):
        render(song, tmp_path / "out", RESUME, format="flac")
    assert (tmp_path / "out/song/odd.flac").read_text() == "mine"


def test_a_damaged_manifest_vouches_for_nothing(song, tmp_path):
    render(song, tmp_path / "out")
    (tmp_path / "out/song/manifest.json").write_text("damaged")
    with pytest.raises(AudioFileError, match="no manifest of this song names"):
        render(song, tmp_path / "out", RESUME)


def test_a_manifest_names_nothing_outside_its_folder(song, tmp_path):
    render(song, tmp_path / "out")
    manifest = tmp_path / "out/song/manifest.json"
    values = json.loads(manifest.read_text())
    values["outputs"][0]["path"] = "../../song.wav"
    manifest.write_text(json.dumps(values))
    assert read_manifest(manifest) is None
    render(song, tmp_path / "out", FORCE, stems=("even",))
    assert song.exists()


@pytest.mark.parametrize("settings", [{"resume": True}, {"force": True}, {}])
@pytest.mark.parametrize("jobs", [1, 2])
def test_no_stem_replaces_another_source(tmp_path, settings, jobs):
    write_song(tmp_path / "a.wav")
    (tmp_path / "a").mkdir()
    other = write_song(tmp_path / "a/low.wav")
    before = other.read_bytes()
    first, second = plugin_bridge.render(
        [tmp_path / "a.wav", other], tmp_path, model="bands", jobs=jobs, **settings
    )
    assert first.status == "failed"
    assert f"{other} must not be replaced, it is a source of this render" in first.error
    assert second.status == "rendered"
    assert other.read_bytes() == before


@pytest.mark.parametrize("policy", [RESUME, FORCE])
def test_stems_of_other_settings_go_unless_they_were_altered(song, tmp_path, policy):
    folder = tmp_path / "out/song"
    render(song, tmp_path / "out")
    alter(folder / "even.wav")
    (folder / "notes.wav").write_text("mine")
    report = render(song, tmp_path / "out", policy, format="flac")
    assert sorted(path.name for path in folder.glob("*.wav")) == ["even.wav", "notes.wav"]
    assert report.earlier_kept == ["even.wav"]
    assert json.loads((folder / "report.json").read_text())["earlier_kept"] == ["even.wav"]
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.earlier == ["even.wav"]
    assert [output.path for output in manifest.outputs] == ["odd.flac", "even.flac", "nothing.flac"]
    assert render(song, tmp_path / "out", policy, format="flac", mix=True).earlier_kept == ["even.wav"]


def test_one_stem_after_the_other_may_be_rendered(song, tmp_path):
    render(song, tmp_path / "out", stems=("odd",))
    report = render(song, tmp_path / "out", RESUME, stems=("even",), mix=True)
    assert report.earlier_kept == ["odd.wav"]
    assert (tmp_path / "out/song/odd.wav").exists()


def test_force_keeps_what_another_song_left(song, tmp_path):
    other = write_song(tmp_path / "elsewhere.wav")
    alter(other)
    render(other, tmp_path / "out", name="all/{stem}.{ext}")
    os.rename(tmp_path / "out/all/elsewhere.manifest.json", tmp_path / "out/all/song.manifest.json")
    report = render(song, tmp_path / "out", FORCE, name="all/{stem}.{ext}", format="flac")
    assert report.earlier_kept == ["even.wav", "nothing.wav", "odd.wav"]


def test_an_earlier_stem_that_is_a_source_now_stays(song, tmp_path):
    plugin_bridge.render(song, tmp_path / "out", model="bands")
    low = tmp_path / "out/song/low.wav"
    first, second = plugin_bridge.render(
        [song, low], tmp_path / "out", model="bands", format="flac", force=True
    )
    assert first.earlier_kept == ["low.wav"]
    assert second.status == "rendered"


def test_the_report_of_a_kept_song_is_whole_and_of_here(song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (done,) = plugin_bridge.render("song.wav", "out", model="bands")
    (kept,) = plugin_bridge.render(song, tmp_path / "out", model="bands", resume=True)
    assert (kept.status, kept.stems) == ("skipped", done.stems)
    assert kept.folder == str(tmp_path / "out/song")
    (tmp_path / "out/song/report.json").unlink()
    (again,) = plugin_bridge.render(song, tmp_path / "out", model="bands", resume=True)
    assert again.status == "rendered"
    assert (tmp_path / "out/song/report.json").exists()


@pytest.mark.parametrize("settings", [{"resume": True}, {"force": True}])
def test_songs_keep_their_numbers_when_the_folder_grows(tmp_path, settings):
    album, out = tmp_path / "album", tmp_path / "out"
    (album / "disc 2").mkdir(parents=True)
    write_song(album / "disc 2/a.wav")
    plugin_bridge.render(album, out, model="bands")
    (album / "disc 1").mkdir()
    alter(write_song(album / "disc 1/a.wav"))
    new, old = plugin_bridge.render(album, out, model="bands", **settings)
    assert (new.status, new.folder) == ("rendered", str(out / "a (2)"))
    assert (old.status, old.folder) == ("skipped" if "resume" in settings else "rendered", str(out / "a"))


@pytest.mark.skipif(os.name == "nt", reason="there, no process can be asked whether it lives")
def test_what_killed_renders_left_goes_wherever_it_lies(song, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = Staging()
    alive = own.open(tmp_path / "out/other/alive.wav")
    living = Path(alive.name)
    dead = living.with_name(living.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    vain = tmp_path / "out/vain" / dead.name
    vain.parent.mkdir()
    for path in (dead, vain):
        path.write_text("half")
    plugin_bridge.render(song, tmp_path / "out", model="bands")
    assert living.exists() and not dead.exists() and not vain.parent.exists()
    own.__exit__(None, None, None)


class Meddling(Halves):
    """A board during whose session something happens to the source."""

    def session(self, *, sample_rate, channels):
        self.act()
        return HalvesSession(0, channels)


@pytest.mark.parametrize("change", ["altered", "replaced", "removed", "longer"])
def test_a_source_that_changes_while_it_is_read_fails(song, tmp_path, change):
    def act():
        if change == "altered":
            alter(song)
            os.utime(song, ns=(0, 0))
        elif change == "longer":
            with song.open("ab") as file:
                file.write(b"more")
        elif change == "removed":
            song.unlink()
        else:
            os.replace(write_song(tmp_path / "new.wav"), song)

    board = Meddling()
    object.__setattr__(board, "act", act)
    with pytest.raises(AudioFileError, match="must not change while it is read; render it again"):
        render(song, tmp_path / "out", board=board)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes in folders there")
def test_a_pipe_or_device_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", os.devnull):
        (report,) = plugin_bridge.render(path, tmp_path / "out", model="bands")
        assert "must be a regular file" in report.error
