"""Every bad file gives a right result or one clear sentence, and never harms another file."""

import os
import struct

import numpy as np
import pytest
import soundfile

import plugin_bridge
from plugin_bridge.errors import AudioFileError

MODEL = "bands"
RATE = 22050


def noise(frames, channels=2):
    return np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def write(path, audio, rate=RATE, **settings):
    soundfile.write(path, audio, rate, **{"subtype": "FLOAT"} | settings)
    return path


def render(path, tmp_path, **settings):
    (report,) = plugin_bridge.render(path, tmp_path / "out", model=MODEL, **settings)
    return report


def summed(report):
    stems = [
        soundfile.read(f"{report.folder}/{stem.path}", always_2d=True)[0] for stem in report.stems.values()
    ]
    assert all(np.isfinite(stem).all() for stem in stems)
    return sum(stems)


def assert_one_sentence(report, *words):
    assert report.status == "failed"
    assert "\n" not in report.error
    assert "Traceback" not in report.error
    for word in words:
        assert word in report.error


def nothing_but(tmp_path, *names):
    return sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("frames", [0, 1, 2, 700])
@pytest.mark.parametrize("channels", [1, 2])
def test_short_files_give_short_stems(tmp_path, frames, channels):
    audio = noise(frames, channels)
    report = render(write(tmp_path / "a.wav", audio), tmp_path)
    np.testing.assert_allclose(summed(report), audio, atol=1e-5)
    assert report.status == "rendered"


@pytest.mark.parametrize("rate", [8000, 11025, 88200, 192000])
def test_every_rate(tmp_path, rate):
    audio = noise(rate // 4)
    report = render(write(tmp_path / "a.wav", audio, rate), tmp_path)
    assert summed(report).shape == audio.shape
    assert report.null_residual_dbfs <= -100


@pytest.mark.parametrize("rate", [100, 2000000])
def test_a_rate_that_no_model_takes(tmp_path, rate):
    report = render(write(tmp_path / "a.wav", noise(500), rate), tmp_path)
    assert_one_sentence(report, "a.wav", "sample_rate must be between")
    assert report.details is None
    assert nothing_but(tmp_path, "a.wav")


def test_silence_stays_silence(tmp_path):
    report = render(write(tmp_path / "a.wav", np.zeros((RATE, 2))), tmp_path, subtype="pcm16")
    assert not summed(report).any()
    assert all(stem.peak_dbfs is None and stem.integrated_lufs is None for stem in report.stems.values())
    assert report.null_residual_dbfs == -240


@pytest.mark.parametrize("subtype", ["float32", "pcm16"])
@pytest.mark.parametrize("kind", ["dc", "square"])
def test_dc_and_full_scale(tmp_path, kind, subtype):
    frames = np.arange(RATE)
    wave = np.full(RATE, 1.0) if kind == "dc" else np.sign(np.sin(frames * 0.05) + 1e-9)
    audio = np.stack([wave, wave], axis=-1)
    report = render(write(tmp_path / "a.wav", audio), tmp_path, subtype=subtype)
    gain = 10 ** (report.common_gain_db / 20)
    np.testing.assert_allclose(
        summed(report), gain * audio, atol=1e-5 if subtype == "float32" else 3 * 1.5 / 32768
    )


def test_nan_and_inf_are_silence(tmp_path):
    audio = noise(RATE)
    audio[100, 0], audio[200, 1], audio[300, 0], audio[400, 1] = np.nan, np.inf, -np.inf, 1e30
    report = render(write(tmp_path / "a.wav", audio), tmp_path)
    clean = np.where(np.isfinite(audio) & (np.abs(audio) < 1e9), audio, 0)
    np.testing.assert_allclose(summed(report), clean, atol=1e-5)
    assert report.silenced_samples == 4


def test_an_empty_file(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    assert_one_sentence(render(tmp_path / "a.wav", tmp_path), "a.wav", "empty file")
    assert nothing_but(tmp_path, "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.raw", "a"])
def test_a_text_file_with_any_ending(tmp_path, name):
    (tmp_path / name).write_text("this is no sound\n" * 100)
    assert_one_sentence(render(tmp_path / name, tmp_path), name, "must be a sound file")
    assert nothing_but(tmp_path, name)


@pytest.mark.parametrize("ending", ["wav", "w64", "rf64", "aiff", "flac", "ogg", "mp3", "caf"])
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_file_cut_in_the_middle(tmp_path, ending, share):
    path = tmp_path / f"a.{ending}"
    compressed = ending in ("flac", "ogg", "mp3")
    form = {"format": "RF64"} if ending == "rf64" else {}
    subtype = None if compressed else "PCM_16"
    soundfile.write(path, noise(5 * RATE), RATE, subtype=subtype, **form)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    report = render(path, tmp_path)
    assert_one_sentence(report, f"a.{ending}")
    assert nothing_but(tmp_path, f"a.{ending}")
    if ending in ("wav", "rf64", "aiff"):
        held = (int(share * len(content)) - (len(content) - 4 * 5 * RATE)) // 4
        assert f"got {held} of the {5 * RATE} frames" in report.error


def test_a_streamed_wav_of_unknown_length_is_whole(tmp_path):
    path = write(tmp_path / "a.wav", noise(5000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = content[4:8] = struct.pack("<I", 0xFFFFFFFF)  # what ffmpeg writes to a pipe
    path.write_bytes(content)
    assert render(path, tmp_path).frames == 5000


def test_a_recording_that_was_not_finished(tmp_path):
    path = write(tmp_path / "a.wav", noise(5000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", 0)
    path.write_bytes(content)
    assert_one_sentence(render(path, tmp_path), "must state its length")


def test_a_damaged_header(tmp_path):
    path = write(tmp_path / "a.wav", noise(5000))
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(content)
        for at in random.integers(0, 100, 4):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        report = render(path, tmp_path, force=True)
        if report.status == "failed":
            assert_one_sentence(report)
        else:
            summed(report)


def test_what_is_not_there(tmp_path):
    assert_one_sentence(render(tmp_path / "gone.wav", tmp_path), "gone.wav", "no such file")
    assert_one_sentence(render(tmp_path / "gone" / "folder", tmp_path), "no such file")


def test_a_name_longer_than_the_system_takes(tmp_path):
    report = render(tmp_path / ("n" * 300 + ".wav"), tmp_path)
    assert_one_sentence(report, "must be")
    with pytest.raises(AudioFileError, match="must be a folder that can be made"):
        plugin_bridge.render(tmp_path, tmp_path / ("n" * 300), model=MODEL)


def test_a_folder_without_sound(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("nothing")
    assert_one_sentence(render(tmp_path / "notes", tmp_path), "notes", "must hold sound files, got none")


def test_a_file_in_place_of_the_output(tmp_path):
    write(tmp_path / "a.wav", noise(100))
    (tmp_path / "out").write_text("in the way")
    for output in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(AudioFileError, match="must be a folder that can be made"):
            plugin_bridge.render(tmp_path / "a.wav", output, model=MODEL)
    assert (tmp_path / "out").read_text() == "in the way"


def test_a_file_in_place_of_a_songs_folder(tmp_path):
    write(tmp_path / "a.wav", noise(100))
    write(tmp_path / "b.wav", noise(100))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").write_text("in the way")
    first, second = plugin_bridge.render(
        [tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "out", model=MODEL
    )
    assert_one_sentence(first, "must be writable")
    assert second.status == "rendered"
    assert (tmp_path / "out/a").read_text() == "in the way"


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere; Windows has no modes"
)
def test_a_folder_that_may_not_be_written(tmp_path):
    write(tmp_path / "a.wav", noise(100))
    (tmp_path / "out").mkdir(mode=0o500)
    assert_one_sentence(render(tmp_path / "a.wav", tmp_path), "must be writable", "Permission denied")


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root may read everything; Windows has no modes"
)
def test_a_file_that_may_not_be_read(tmp_path):
    write(tmp_path / "a.wav", noise(100)).chmod(0)
    assert_one_sentence(render(tmp_path / "a.wav", tmp_path), "must be readable", "Permission denied")


@pytest.mark.parametrize(
    "name",
    [
        "with spaces",
        "Motörhead 🎵",
        "n" * 250,
        "🎵" * 60,
        "dots...",
        "CON",
        "[brackets] {braces} 100%",
        "-dash",
    ],
    ids=["spaces", "emoji", "250", "240 bytes", "dots", "reserved", "braces", "dash"],
)
def test_unusual_names(tmp_path, name):
    audio = noise(3000)
    report = render(write(tmp_path / f"{name}.wav", audio), tmp_path)
    assert report.error is None
    np.testing.assert_allclose(summed(report), audio, atol=1e-5)
    (folder,) = (tmp_path / "out").iterdir()
    assert len(folder.name.encode()) <= 255
    assert render(tmp_path / f"{name}.wav", tmp_path, resume=True).status == "skipped"


@pytest.mark.skipif(
    os.name == "nt" or os.uname().sysname == "Darwin", reason="names there are always Unicode"
)
def test_a_name_that_is_no_unicode(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    soundfile.write(tmp_path / "a.wav", noise(3000), RATE)
    os.rename(tmp_path / "a.wav", path)
    report = render(path, tmp_path)
    assert report.status == "rendered"
    assert report.source.endswith("caf\ufffd.wav")
    assert (tmp_path / "out/caf\ufffd/report.json").exists()


def test_long_names_on_flat_templates(tmp_path):
    write(tmp_path / f"{'n' * 250}.wav", noise(100))
    report = render(tmp_path, tmp_path, name="{song}_{model}_{stem}_{rate}.{ext}")
    assert report.status == "rendered"
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_the_same_file_twice_is_rendered_once(tmp_path):
    path = write(tmp_path / "a.wav", noise(100))
    reports = plugin_bridge.render([path, path, tmp_path], tmp_path / "out", model=MODEL)
    assert [report.status for report in reports] == ["rendered"]


def test_two_songs_of_one_name(tmp_path):
    for folder, frames in (("one", 100), ("two", 200)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.wav", noise(frames))
    reports = plugin_bridge.render([tmp_path / "one", tmp_path / "two"], tmp_path / "out", model=MODEL)
    assert [summed(report).shape[0] for report in reports] == [100, 200]
    assert [os.path.basename(report.folder) for report in reports] == ["a", "a (2)"]


def test_stems_inside_the_input_folder_are_not_rendered_again(tmp_path):
    write(tmp_path / "a.wav", noise(100))
    for settings in ({}, {"resume": True}, {"resume": True, "format": "flac"}, {"force": True}):
        reports = plugin_bridge.render(tmp_path, tmp_path / "out", model=MODEL, **settings)
        assert [os.path.basename(report.source) for report in reports] == ["a.wav"]
    os.remove(tmp_path / "a.wav")
    assert_one_sentence(render(tmp_path, tmp_path), "stems of earlier renders only")


def test_a_bad_file_costs_only_itself(tmp_path):
    write(tmp_path / "a.wav", noise(3000))
    (tmp_path / "b.wav").write_text("no sound")
    write(tmp_path / "c.wav", noise(4000))
    reports = plugin_bridge.render(tmp_path, tmp_path / "out", model=MODEL)
    assert [report.status for report in reports] == ["rendered", "failed", "rendered"]
    assert_one_sentence(reports[1], "b.wav")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c"]


def test_channels_that_are_not_there(tmp_path):
    path = write(tmp_path / "a.wav", noise(100, 1))
    assert_one_sentence(render(path, tmp_path, channels=(1, 2)), "must have channel 2, got 1 channels")
    path = write(tmp_path / "six.wav", noise(100, 6))
    assert_one_sentence(render(path, tmp_path), "got 6; choose with channels")


def test_stems_may_be_named_as_on_the_command_line(tmp_path):
    path = write(tmp_path / "a.wav", noise(100))
    assert list(render(path, tmp_path, stems="high,low").stems) == ["low", "high"]
    with pytest.raises(ValueError, match="stems must be one of low, mid, high, got 'vocals'"):
        render(path, tmp_path, stems="vocals")


def test_an_empty_song_is_no_flac(tmp_path):
    path = write(tmp_path / "a.wav", noise(0))
    assert_one_sentence(render(path, tmp_path, format="flac"), "must have frames to be FLAC")
