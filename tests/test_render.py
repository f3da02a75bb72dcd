"""One song through the renderer: exact lengths, null, common gain, rates, channels."""

import os

import numpy as np
import pytest
import soundfile

from plugin_bridge.errors import AudioFileError
from tests.halves_board import Halves, noise, render, stems_of, write_song


@pytest.fixture
def song(tmp_path):
    return write_song(tmp_path / "song.wav")


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [0, 1, 30011])
def test_stems_have_the_sources_rate_and_length_and_null(tmp_path, rate, channels, frames):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(channels, frames).T, rate, subtype="FLOAT")
    report = render(path, tmp_path / "out", mix=True)
    stems = stems_of(report)
    assert stems.shape == (3, channels, frames)
    assert {soundfile.info(tmp_path / "out/a" / f"{name}.wav").samplerate for name in report.stems} == {rate}
    np.testing.assert_array_equal(stems.sum(0), noise(channels, frames))
    assert report.null_residual_dbfs <= -100
    assert (report.sample_rate, report.channels, report.frames) == (rate, channels, frames)


@pytest.mark.parametrize(("subtype", "bits"), [("pcm16", 16), ("pcm24", 24)])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_quantised_stems_null_to_the_rounding(song, tmp_path, subtype, bits, kind):
    report = render(song, tmp_path / "out", format=kind, subtype=subtype, mix=True)
    stems = stems_of(report, "float64")
    residual = np.abs(stems.sum(0) - noise(2, 60000)).max()
    lsb = 2.0 ** (1 - bits)
    assert residual <= 3 * (1.5 if bits == 16 else 0.5) * lsb + 1e-7
    assert report.null_residual_dbfs == pytest.approx(20 * np.log10(residual), abs=0.1)
    assert report.common_gain_db == 0
    assert not stems[2].any()


@pytest.mark.parametrize("subtype", ["pcm16", "pcm24"])
def test_where_pcm_would_clip_all_stems_get_one_gain(tmp_path, subtype):
    path = tmp_path / "loud.wav"
    loud = noise(2, 40000, level=4.0)
    soundfile.write(path, loud.T, 44100, subtype="FLOAT")
    report = render(path, tmp_path / "out", subtype=subtype, mix=True)
    assert report.common_gain_db == pytest.approx(-20 * np.log10(np.abs(loud).max()), abs=0.01)
    gain = 10 ** (report.common_gain_db / 20)
    np.testing.assert_allclose(stems_of(report).sum(0), gain * loud, atol=3 * 1.5 * 2.0**-15)
    peaks = [stem.peak_dbfs for stem in report.stems.values() if stem.peak_dbfs is not None]
    assert -0.01 <= max(peaks) <= 0
    assert report.null_residual_dbfs < -75


def test_float_is_never_scaled_or_clipped(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, noise(2, 4000, level=40.0).T, 44100, subtype="FLOAT")
    report = render(path, tmp_path / "out")
    np.testing.assert_array_equal(stems_of(report).sum(0), noise(2, 4000, level=40.0))
    assert report.common_gain_db == 0


def test_the_dither_is_the_same_every_time(song, tmp_path):
    first = render(song, tmp_path / "1", subtype="pcm16")
    again = render(song, tmp_path / "2", subtype="pcm16", board=Halves(delay=77))
    np.testing.assert_array_equal(stems_of(first), stems_of(again))


@pytest.mark.parametrize("source_rate", [8000, 44100, 96000])
@pytest.mark.parametrize("rate", [22050, 48000])
@pytest.mark.parametrize("frames", [0, 1, 2, 50001])
def test_another_rate_gives_the_exact_length(tmp_path, source_rate, rate, frames):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, frames).T, source_rate, subtype="FLOAT")
    report = render(path, tmp_path / "out", sample_rate=rate)
    assert stems_of(report).shape[-1] == report.frames == round(frames * rate / source_rate)
    assert report.null_residual_dbfs < -100


def test_another_rate_keeps_pitch_and_place(tmp_path):
    path = tmp_path / "tone.wav"
    seconds = np.arange(44100) / 44100
    envelope = np.exp(-(((seconds - 0.5) / 0.1) ** 2))
    soundfile.write(path, 0.5 * envelope * np.sin(2 * np.pi * 1000 * seconds), 44100, subtype="FLOAT")
    report = render(path, tmp_path / "out", sample_rate=48000, mix=True)
    seconds = np.arange(48000) / 48000
    expected = 0.5 * np.exp(-(((seconds - 0.5) / 0.1) ** 2)) * np.sin(2 * np.pi * 1000 * seconds)
    mix, _ = soundfile.read(os.path.join(report.folder, "mix.wav"))
    np.testing.assert_allclose(mix, expected, atol=1e-5)


def test_only_the_stems_asked_for_are_written(song, tmp_path):
    report = render(song, tmp_path / "out", stems=("even",), mix=True)
    assert sorted(p.name for p in (tmp_path / "out/song").iterdir()) == [
        "even.wav",
        "manifest.json",
        "mix.wav",
        "report.json",
    ]
    assert report.null_residual_dbfs is None
    assert report.null_reason == "not all stems were written"


def test_a_board_that_alters_the_sound_claims_no_null(song, tmp_path):
    report = render(song, tmp_path / "out", board=Halves(is_neutral=False))
    assert report.null_residual_dbfs is None
    assert "preset" in report.null_reason


@pytest.mark.parametrize(("pick", "expected"), [((1, 2), [0, 1]), ((6, 3), [5, 2]), ((4,), [3])])
def test_channels_are_chosen(tmp_path, pick, expected):
    path = tmp_path / "surround.wav"
    soundfile.write(path, noise(6, 3000).T, 48000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="got 6; choose with channels"):
        render(path, tmp_path / "out")
    report = render(path, tmp_path / "out", channels=pick)
    np.testing.assert_array_equal(stems_of(report).sum(0), noise(6, 3000)[expected])
