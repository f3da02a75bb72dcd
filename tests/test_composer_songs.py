"""Composed songs: the same for the same seed, at the level of music, by command, faults in one sentence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin_bridge.errors import AudioFileError
from plugin_bridge.training.composer import compose, compose_song
from plugin_bridge.training.composer_figures import figures
from plugin_bridge.training.composer_library import Library, open_library
from plugin_bridge.training.composer_mix import SOURCES
from plugin_bridge.training.composer_report import distance_db, measured, report
from plugin_bridge.training.composer_sources import Use, licences, notes, read_sources
from plugin_bridge.training.datasets import find_songs
from tests.composer_material import RATE, material


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("material") / "data")


@pytest.fixture(scope="module")
def library(data: Path) -> Library:
    return open_library(data, fonts=[])


def test_a_song_is_the_same_for_the_same_seed_and_another_for_another(library: Library) -> None:
    first, facts = compose_song(library, 3, 0, 12)
    again, same_facts = compose_song(library, 3, 0, 12)
    np.testing.assert_array_equal(first, again)
    assert facts == same_facts
    for seed, index in ((3, 1), (4, 0)):
        other, other_facts = compose_song(library, seed, index, 12)
        assert other_facts["arrangement"] != facts["arrangement"] or other.shape != first.shape
        assert other.shape != first.shape or not np.array_equal(other, first)


def test_a_song_has_four_stems_at_the_level_of_music(library: Library) -> None:
    for index in range(3):
        stems, facts = compose_song(library, 1, index, 12)
        assert stems.shape[:2] == (4, 2)
        assert 10 < stems.shape[-1] / RATE < 14
        assert np.isfinite(stems).all()
        assert np.abs(stems).max() <= 0.981
        assert np.abs(stems.sum(0)).max() <= 0.981
        found = figures(stems, SOURCES, RATE)
        assert set(found) == set(SOURCES)
        assert all(-25 < its.level_db < 2 for its in found.values())
        assert found["bass"].bands_db.argmax() <= 3
        assert set(facts["licences"]) == {"CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "MIT"}
        assert {use["stem"] for use in facts["uses"]} == {"score", *SOURCES}


def stem_hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.flac"))
    }


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plugin_bridge.training", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_the_command_composes_goes_on_and_reports(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "songs"
    words = ["compose", data, "-o", out, "--songs", "2", "--seed", "7", "--seconds", "10", "--no-soundfonts"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "2/2: song-0000" in done.stdout
    songs = find_songs(out, SOURCES)
    assert [song.name for song in songs] == ["song-00000", "song-00001"]
    sources = json.loads((out / "sources.json").read_text("utf-8"))
    assert sources["songs"] == 2
    assert "Voice" in sources["licences"]["CC-BY-4.0"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.flac")}
    (out / "song-00001" / "bass.flac").unlink()
    hashes = stem_hashes(out)
    assert run(*words, "--jobs", "2").returncode == 0
    assert {key: stem_hashes(out)[key] for key in hashes} == hashes
    kept = out / "song-00000" / "bass.flac"
    assert kept.stat().st_mtime_ns == before[kept]
    assert (out / "song-00001" / "bass.flac").is_file()
    assert list(out.glob(".composing-*")) == []

    page = tmp_path / "docs" / "composer.md"
    done = run("compose-report", out, "--reference", out, "--name", "themselves", "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert "2 songs" in text
    assert "| CC-BY-4.0 | Voice |" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
def test_other_formats(data: Path, tmp_path: Path, suffix: str) -> None:
    (facts,) = compose(data, tmp_path / "songs", songs=1, seconds=10, suffix=suffix, fonts=False)
    (song,) = find_songs(tmp_path / "songs", SOURCES)
    assert song.frames == round(facts["seconds"] * RATE)


def test_a_report_finds_no_distance_from_itself(data: Path, tmp_path: Path) -> None:
    list(compose(data, tmp_path / "songs", songs=1, seconds=10, fonts=False))
    found = measured(find_songs(tmp_path / "songs", SOURCES))
    assert distance_db(found["bass"], found["bass"]) == 0
    brighter = [replace(each, bands_db=each.bands_db[::-1]) for each in found["bass"]]
    assert distance_db(brighter, found["bass"]) > 5
    with pytest.raises(ValueError, match="needs composed songs, got none"):
        report(data, tmp_path / "songs", "x", "y")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"songs": 0}, "one song and one job or more, got 0 and 1"),
        ({"songs": 1, "seconds": 2}, "must last 10 seconds or more, got 2"),
        ({"songs": 1, "suffix": "mp3"}, "must be written as one of flac, ogg, wav, got 'mp3'"),
    ],
)
def test_misuse_is_one_sentence(data: Path, tmp_path: Path, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        list(compose(data, tmp_path / "songs", **settings))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data must be a folder, got"):
        open_library(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="composing needs MIDI songs, got none"):
        open_library(tmp_path)
    home = material(tmp_path / "data")
    for path in (home / "vocals").rglob("*.wav"):
        path.unlink()
    with pytest.raises(ValueError, match="composing needs vocal phrases, got none"):
        open_library(home, fonts=[])
    (home / "composer_sources.toml").write_text("[[source]]\nname = 'x'\nrole = 'brass'\n", "utf-8")
    with pytest.raises(ValueError, match=r"composer_sources\.toml must be a table of sources, got"):
        open_library(home, fonts=[])
    failed = run("compose", home, "-o", tmp_path / "songs")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1


def test_a_place_that_cannot_be_written_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "songs").write_text("a file")
    with pytest.raises(AudioFileError, match="must be a folder to write to"):
        list(compose(data, tmp_path / "songs", songs=1))


def test_every_source_of_our_table_names_its_licence(tmp_path: Path) -> None:
    sources = read_sources(tmp_path)
    assert len(sources) > 10
    assert all(source.licence and source.name and not Path(source.folder).is_absolute() for source in sources)
    assert licences([]) == {}
    songs = next(source for source in sources if source.role == "scores")
    assert notes(tmp_path, [Use("score", songs.name, songs.licence, "1.mid")]) == {songs.name: songs.note}
    assert notes(tmp_path, []) == {}
