"""Songs with stems: every layout read, bad data refused in a sentence, the cache exact and whole."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from plugin_bridge.errors import AudioFileError
from plugin_bridge.training.augmentation_variants import (
    ORIGINAL,
    Variant,
    drawn_variants,
    parsed_variants,
    varied,
)
from plugin_bridge.training.cache import CachedSong, cached_songs, default_cache, open_entry
from plugin_bridge.training.datasets import Track, find_songs, read_track

SOURCES = ("vocals", "drums", "bass", "other")
RATE = 8000


def noise(seed: int, frames: int = RATE, channels: int = 2) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((frames, channels)) * 0.1).astype(np.float32)


def song(home: Path, *, frames: int = RATE, rate: int = RATE, suffix: str = ".wav", seed: int = 0) -> Path:
    home.mkdir(parents=True)
    for number, source in enumerate(SOURCES):
        soundfile.write(home / f"{source}{suffix}", noise(seed + number, frames), rate)
    return home


def cached(folder: Path, cache: Path, **settings: object) -> list[CachedSong]:
    wanted: dict[str, object] = {"sample_rate": RATE, "channels": 2, "folder": cache} | settings
    return cached_songs(find_songs(folder, SOURCES), **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_folder_of_songs_is_read(tmp_path: Path, suffix: str) -> None:
    song(tmp_path / "b", suffix=suffix)
    song(tmp_path / "train" / "a", suffix=suffix, frames=500)
    found = find_songs(tmp_path, SOURCES)
    assert [(each.name, each.frames, each.sample_rate) for each in found] == [
        ("b", RATE, RATE),
        ("train/a", 500, RATE),
    ]
    assert found[0].sources == SOURCES


def test_hidden_files_are_no_songs(tmp_path: Path) -> None:
    home = song(tmp_path / "a")
    (home / "._vocals.wav").write_bytes(b"what a Mac leaves beside every file")
    (song(tmp_path / ".half-written") / "bass.wav").unlink()
    assert [each.name for each in find_songs(tmp_path, SOURCES)] == ["a"]


def test_a_mixture_beside_the_stems_is_left_out(tmp_path: Path) -> None:
    home = song(tmp_path / "hq")
    soundfile.write(home / "mixture.wav", noise(9), RATE)
    (found,) = find_songs(tmp_path, ("vocals", "accompaniment"))
    assert sorted(track.path.stem for track in found.stems["accompaniment"]) == ["bass", "drums", "other"]


def test_accompaniment_is_the_sum_of_the_rest(tmp_path: Path) -> None:
    home = song(tmp_path / "songs" / "a")
    songs = find_songs(tmp_path / "songs", ("vocals", "accompaniment"))
    (kept,) = cached_songs(songs, sample_rate=RATE, channels=2, folder=tmp_path / "cache")
    expected = sum(soundfile.read(home / f"{name}.wav")[0] for name in ("drums", "bass", "other"))
    np.testing.assert_allclose(kept.stems()[1].T, expected, atol=1e-4)


def test_mir1k_as_published(tmp_path: Path) -> None:
    both = noise(1)
    (tmp_path / "Wavfile").mkdir()
    (tmp_path / "UndividedWavfile").mkdir()
    soundfile.write(tmp_path / "Wavfile" / "abjones_1_01.wav", both, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "UndividedWavfile" / "abjones_1.wav", both, RATE, subtype="FLOAT")
    (clip,) = find_songs(tmp_path, ("vocals", "accompaniment"))
    assert clip.name == "abjones_1_01"
    np.testing.assert_array_equal(read_track(clip.stems["accompaniment"][0]), both[:, :1].T)
    np.testing.assert_array_equal(read_track(clip.stems["vocals"][0]), both[:, 1:].T)


def test_mir1k_split(tmp_path: Path) -> None:
    clip = tmp_path / "amy_1_01"
    clip.mkdir()
    soundfile.write(clip / "voice.ogg", noise(1, channels=1), RATE)
    soundfile.write(clip / "accompaniment.ogg", noise(2, channels=1), RATE)
    (found,) = find_songs(tmp_path, ("vocals", "accompaniment"))
    assert found.name == "amy_1_01"
    assert found.stems["vocals"] == (Track(clip / "voice.ogg"),)
    (clip / "accompaniment.ogg").unlink()
    with pytest.raises(AudioFileError, match="must hold the stem 'accompaniment'"):
        find_songs(tmp_path, ("vocals", "accompaniment"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_musdb_stem_files(tmp_path: Path) -> None:
    pytest.importorskip("stempeg", reason="stempeg is not installed", exc_type=ImportError)
    rate, inputs, maps = 44100, [], []
    tones = [np.sin(np.arange(rate) * 2 * np.pi * hz / rate) * 0.3 for hz in (200, 400, 800, 1600)]
    streams = [sum(tones), *tones]  # mixture, drums, bass, other, vocals
    for number, stream in enumerate(streams):
        soundfile.write(tmp_path / f"{number}.wav", np.stack([stream, stream], 1), rate)
        inputs += ["-i", str(tmp_path / f"{number}.wav")]
        maps += ["-map", f"{number}:a"]
    home = tmp_path / "train"
    home.mkdir()
    command = ["ffmpeg", "-v", "error", *inputs, *maps, "-c:a", "aac", "-b:a", "192k"]
    subprocess.run([*command, str(home / "A Song.stem.mp4")], check=True)
    (found,) = find_songs(tmp_path, SOURCES)
    assert (found.name, found.sample_rate) == ("train/A Song", rate)
    assert abs(found.frames - rate) < 3000
    (kept,) = cached_songs([found], sample_rate=rate, channels=2, folder=tmp_path / "cache")
    for source, tone_hz in zip(SOURCES, (1600, 200, 400, 800), strict=True):
        heard = np.abs(np.fft.rfft(kept.stems()[SOURCES.index(source), 0, : rate // 2]))
        assert np.argmax(heard) * 2 == tone_hz
    (home / "A Song.stem.mp4").write_bytes(b"nothing that ffmpeg knows")
    with pytest.raises(AudioFileError, match=r"must be a readable \.stem\.mp4"):
        find_songs(tmp_path, SOURCES)


def test_a_missing_stem_is_named(tmp_path: Path) -> None:
    (song(tmp_path / "a") / "bass.wav").unlink()
    with pytest.raises(AudioFileError, match=r"must hold the stem 'bass', got drums, other, vocals"):
        find_songs(tmp_path, SOURCES)
    (found,) = find_songs(tmp_path, SOURCES, silent=["bass"])
    assert found.stems["bass"] == ()


def test_a_stem_declared_silent_is_silence(tmp_path: Path) -> None:
    (song(tmp_path / "songs" / "a") / "bass.wav").unlink()
    songs = find_songs(tmp_path / "songs", SOURCES, silent=["bass"])
    (kept,) = cached_songs(songs, sample_rate=RATE, channels=2, folder=tmp_path / "cache")
    assert not kept.stems()[2].any()
    assert kept.stems()[0].any()


def test_unequal_lengths_are_refused(tmp_path: Path) -> None:
    soundfile.write(song(tmp_path / "a") / "bass.wav", noise(1, RATE - 5), RATE)
    with pytest.raises(AudioFileError, match=r"must be equally long, got 8000 .* 7995 in bass\.wav"):
        find_songs(tmp_path, SOURCES)


def test_unequal_rates_are_refused(tmp_path: Path) -> None:
    soundfile.write(song(tmp_path / "a") / "bass.wav", noise(1), 16000)
    with pytest.raises(AudioFileError, match=r"one sample rate, got 8000 Hz .* 16000 Hz in bass\.wav"):
        find_songs(tmp_path, SOURCES)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"RIFF\x10\0\0\0WAVE"]
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    (song(tmp_path / "a") / "bass.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match=r"bass\.wav must be a readable sound file, got '"):
        find_songs(tmp_path, SOURCES)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    home = song(tmp_path / "songs" / "a", suffix=".flac")
    songs = find_songs(tmp_path / "songs", SOURCES)
    whole = (home / "bass.flac").read_bytes()
    (home / "bass.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioFileError, match=r"bass\.flac must be readable to its end"):
        cached_songs(songs, sample_rate=RATE, channels=2, folder=tmp_path / "cache")


def test_an_empty_song_is_refused(tmp_path: Path) -> None:
    song(tmp_path / "a", frames=0)
    with pytest.raises(AudioFileError, match="must not be empty"):
        find_songs(tmp_path, SOURCES)


def test_no_songs_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold songs, got none in"):
        find_songs(tmp_path, SOURCES)
    with pytest.raises(ValueError, match="must be a folder"):
        find_songs(tmp_path / "nowhere", SOURCES)


def test_the_cache_is_close_and_its_mix_exact(tmp_path: Path) -> None:
    home = song(tmp_path / "songs" / "a")
    (kept,) = cached(tmp_path / "songs", tmp_path / "cache")
    true = np.stack([soundfile.read(home / f"{source}.wav", dtype="float32")[0].T for source in SOURCES])
    error = kept.stems() - true
    assert 20 * np.log10(np.abs(error).max()) < -95
    assert kept.samples.dtype == np.int16
    np.testing.assert_allclose(kept.activity, np.full((4, 1), 0.1), rtol=0.05)


def test_a_view_copies_nothing_and_stays_inside(tmp_path: Path) -> None:
    song(tmp_path / "songs" / "a")
    (kept,) = cached(tmp_path / "songs", tmp_path / "cache")
    view = kept.view(1, 100, 50)
    assert view.base is not None
    assert np.shares_memory(view, kept.samples)
    out = np.empty((2, 50), np.float32)
    kept.read_into(out, 1, 100)
    np.testing.assert_array_equal(out, kept.stems()[1, :, 100:150])
    with pytest.raises(ValueError, match="must lie within its 8000 frames, got 7999 to 8001"):
        kept.view(0, 7999, 2)


def test_another_rate_is_resampled_and_said_once(tmp_path: Path) -> None:
    song(tmp_path / "songs" / "a", rate=16000, frames=16000)
    song(tmp_path / "songs" / "b")
    said: list[str] = []
    first, second = cached(tmp_path / "songs", tmp_path / "cache", note=said.append)
    assert first.sample_rate == second.sample_rate == RATE
    assert first.frames == RATE
    assert said == ["1 of 2 songs are resampled from 16000 Hz to 8000 Hz in the cache"]


def test_channels_are_mixed_down(tmp_path: Path) -> None:
    home = song(tmp_path / "songs" / "a")
    (kept,) = cached(tmp_path / "songs", tmp_path / "cache", channels=1)
    true = soundfile.read(home / "drums.wav")[0].mean(1)
    np.testing.assert_allclose(kept.stems()[1, 0], true, atol=1e-4)


def entries(cache: Path) -> list[Path]:
    return sorted(path.parent for path in cache.glob("*/song.json"))


def test_the_key_is_the_content(tmp_path: Path) -> None:
    home = song(tmp_path / "songs" / "a")
    cached(tmp_path / "songs", tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    stamp = entry.stat().st_mtime_ns
    shutil.copytree(tmp_path / "songs", tmp_path / "copy")
    cached(tmp_path / "copy", tmp_path / "cache")
    assert entries(tmp_path / "cache") == [entry]
    assert entry.stat().st_mtime_ns == stamp
    soundfile.write(home / "bass.wav", noise(77), RATE)
    (changed,) = cached(tmp_path / "songs", tmp_path / "cache")
    assert len(entries(tmp_path / "cache")) == 2
    np.testing.assert_allclose(changed.stems()[2].T, noise(77), atol=1e-3)


def test_a_broken_entry_is_built_again(tmp_path: Path) -> None:
    song(tmp_path / "songs" / "a")
    (kept,) = cached(tmp_path / "songs", tmp_path / "cache")
    whole = kept.stems()
    (entry,) = entries(tmp_path / "cache")
    stems = entry / "stems.npy"
    content = stems.read_bytes()
    stems.unlink()
    stems.write_bytes(content[:1000])
    (again,) = cached(tmp_path / "songs", tmp_path / "cache")
    np.testing.assert_array_equal(again.stems(), whole)
    assert list((tmp_path / "cache").glob(".building-*")) == []


def _build(folder: Path, cache: Path) -> int:
    return int(cached(folder, cache)[0].samples.astype(np.int64).sum())


def test_several_processes_may_build_the_same_cache(tmp_path: Path) -> None:
    song(tmp_path / "songs" / "a", frames=80000)
    arguments = [(tmp_path / "songs", tmp_path / "cache")] * 4
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.starmap(_build, arguments, chunksize=1)
    assert len(set(sums)) == 1
    assert len(entries(tmp_path / "cache")) == 1
    assert list((tmp_path / "cache").glob(".building-*")) == []


def test_jobs_build_what_one_builds(tmp_path: Path) -> None:
    for number in range(3):
        song(tmp_path / "songs" / str(number), seed=number)
    alone = cached(tmp_path / "songs", tmp_path / "one")
    together = cached(tmp_path / "songs", tmp_path / "two", jobs=2)
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.samples, two.samples)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    song(tmp_path / "songs" / "a")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(AudioFileError, match="must be writable"):
        cached(tmp_path / "songs", tmp_path / "cache")


def test_variants_are_cached_beside_the_original(tmp_path: Path) -> None:
    home = tmp_path / "songs" / "a"
    home.mkdir(parents=True)
    tone = np.sin(np.arange(4 * RATE) * 2 * np.pi * 440 / RATE) * 0.3
    for source in SOURCES:
        soundfile.write(home / f"{source}.wav", np.stack([tone, tone], 1), RATE)
    faster = Variant(12, 1.25)
    original, varied = cached(tmp_path / "songs", tmp_path / "cache", variants=[ORIGINAL, faster])
    assert varied.name == "a (+12 st, x1.25)"
    assert varied.frames == round(original.frames / 1.25)
    heard = np.abs(np.fft.rfft(varied.stems()[0, 0, RATE : 2 * RATE]))
    assert abs(int(np.argmax(heard)) - 880) <= 5
    assert open_entry(entries(tmp_path / "cache")[0]).sources == SOURCES


def test_a_change_of_speed_is_a_resampled_song() -> None:
    """Where pitch and tempo change together, a tone keeps its level and gains no others."""
    tone = np.sin(np.arange(4 * RATE) * 2 * np.pi * 440 / RATE).astype(np.float32) * 0.3
    song = np.stack([np.stack([tone, tone]), np.zeros((2, 4 * RATE), np.float32)])
    fast = varied(song, RATE, Variant(12, 2.0))
    assert fast.shape == (2, 2, 2 * RATE)
    wanted = 0.3 * np.sin(np.arange(2 * RATE) * 2 * np.pi * 880 / RATE)
    assert np.abs(fast[0, :, 1000:-1000] - wanted[1000:-1000]).max() < 1e-3
    assert not fast[1].any()
    assert Variant(-2, 0.8909).is_speed
    assert not Variant(-2, 1.0).is_speed


def test_variants_are_checked_and_drawn_by_seed() -> None:
    assert drawn_variants(3, 4) == drawn_variants(3, 4)
    assert drawn_variants(3, 4) != drawn_variants(4, 4)
    assert drawn_variants(3, 2)[0] == ORIGINAL
    with pytest.raises(ValueError, match=r"semitones must be in -12\.\.12, got 13"):
        Variant(13)
    with pytest.raises(ValueError, match=r"tempo must be in 0\.5\.\.2, got 3"):
        Variant(0, 3)
    with pytest.raises(ValueError, match="must be pairs"):
        parsed_variants([[1, 2, 3]])


def test_the_default_cache_is_in_the_platforms_cache_folder() -> None:
    assert default_cache().name == "training"
    assert "plugin-bridge" in str(default_cache())
