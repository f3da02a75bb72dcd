"""What is read from sources of every format, and what of their metadata the stems carry."""

import os

import numpy as np
import pytest
import soundfile
from wavinfo import WavInfoReader

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.bext import Bext
from plugin_bridge.render.encoding import FLOAT32
from plugin_bridge.render.markers import Marker
from plugin_bridge.render.metadata import Metadata
from plugin_bridge.render.wav import WavWriter
from tests.halves_board import noise, render, stems_of


@pytest.mark.parametrize(
    ("ending", "settings"),
    [
        ("wav", {"subtype": "PCM_16"}),
        ("w64", {"subtype": "FLOAT"}),
        ("rf64", {"subtype": "FLOAT", "format": "RF64"}),
        ("aiff", {"subtype": "PCM_24"}),
        ("flac", {"subtype": "PCM_24"}),
        ("ogg", {}),
        ("mp3", {}),
        ("caf", {"subtype": "FLOAT"}),
    ],
)
def test_reads_what_libsndfile_reads(tmp_path, ending, settings):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, noise(2, 44100).T, 44100, **settings)
    report = render(path, tmp_path / "out")
    source, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(stems_of(report).sum(0), source.T, atol=1e-6)


def without_length(path, audio):
    """An MP3 of variable rate whose first frame, which states the length, is cut off."""
    soundfile.write(path, audio.T, 44100, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\xff\xfb", 4) :])


def test_an_mp3_without_a_stated_length_is_read_to_its_end(tmp_path):
    quiet_then_loud = noise(1, 441000) * (np.arange(441000) > 200000)
    without_length(tmp_path / "a.mp3", quiet_then_loud.astype(np.float32))
    report = render(tmp_path / "a.mp3", tmp_path / "out")
    assert soundfile.info(tmp_path / "a.mp3").frames > 500000  # what libsndfile guesses
    assert 441000 <= report.frames <= 441000 + 4 * 1152
    assert np.abs(stems_of(report).sum(0)[:, 430000:440000]).max() > 0.1


def test_an_mp3_whose_end_cannot_be_reached_is_refused(tmp_path):
    loud_then_quiet = noise(1, 441000) * (np.arange(441000) < 100000)
    without_length(tmp_path / "a.mp3", loud_then_quiet.astype(np.float32))
    with pytest.raises(AudioFileError, match="must state its length"):
        render(tmp_path / "a.mp3", tmp_path / "out")


def make_broadcast_wav(path, rate=48000):
    bext = Bext(b"Scene 3", b"recorder", b"REF", b"2024-02-29", b"12:34:56", 48000 * 7200 + 5, b"")
    markers = (Marker(1, 1000, b"verse"), Marker(2, 30000, b"chorus"))
    chunks, _ = Metadata(bext, markers, {b"INAM": b"Song", b"IART": b"Singer"}).for_wav("A=PCM,F=48000")
    with (
        path.open("wb") as file,
        WavWriter(file, sample_rate=rate, channels=2, encoding=FLOAT32, chunks=chunks) as writer,
    ):
        writer.write(noise(2, 48000))


@pytest.mark.parametrize(("rate", "scale"), [("source", 1), (96000, 2)])
def test_the_timestamp_and_markers_are_kept(tmp_path, rate, scale):
    make_broadcast_wav(tmp_path / "take.wav")
    render(tmp_path / "take.wav", tmp_path / "out", sample_rate=None if rate == "source" else rate)
    info = WavInfoReader(str(tmp_path / "out/take/odd.wav"))
    assert info.bext.time_reference == scale * (48000 * 7200 + 5)
    assert info.bext.originator_date == "2024-02-29"
    assert info.bext.coding_history.count("\r\n") == 2
    assert "halves;odd" in info.bext.coding_history
    assert [cue.position for cue in info.cues.cues] == [scale * 1000, scale * 30000]
    assert [info.cues.label_and_note(n)[0] for n in (1, 2)] == ["verse", "chorus"]
    assert (info.info.title, info.info.artist) == ("Song", "Singer")


def test_flac_gets_the_tags_and_the_report_names_the_rest(tmp_path):
    make_broadcast_wav(tmp_path / "take.wav")
    report = render(tmp_path / "take.wav", tmp_path / "out", format="flac")
    with soundfile.SoundFile(tmp_path / "out/take/odd.flac") as flac:
        assert (flac.title, flac.artist) == ("Song", "Singer")
    assert report.not_carried == ["bext", "cue"]


def test_tags_of_compressed_sources_reach_wav(tmp_path):
    for ending in ("flac", "ogg", "mp3"):
        with soundfile.SoundFile(tmp_path / f"{ending}.{ending}", "w", 44100, 1) as file:
            file.title, file.artist = "Lied", "Bjørk"
            file.write(noise(1, 5000)[0])
        report = render(tmp_path / f"{ending}.{ending}", tmp_path / "out")
        with soundfile.SoundFile(os.path.join(report.folder, "odd.wav")) as stem:
            assert (stem.title, stem.artist) == ("Lied", "Bjørk"), ending
