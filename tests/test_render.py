"""One song through the renderer: exact lengths, null, levels, safety, bounded memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyloudnorm
import pytest
import soundfile
from wavinfo import WavInfoReader

import plugin_bridge
from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.bext import Bext
from plugin_bridge.render.encoding import FLOAT32
from plugin_bridge.render.loudness import LevelMeter, LoudnessMeter
from plugin_bridge.render.manifest import read_manifest
from plugin_bridge.render.markers import Marker
from plugin_bridge.render.metadata import Metadata
from plugin_bridge.render.pipeline import render_song
from plugin_bridge.render.plan import Policy, Song, Voicing
from plugin_bridge.render.settings import Settings
from plugin_bridge.render.wav import WavWriter
from plugin_bridge.separation.separator import Audio, Stems


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes find the package, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin_bridge.__file__).parents[1]))


class Separated(NamedTuple):
    stems: Stems
    mix: Audio


@dataclass(frozen=True)
class Halves:
    """A board whose stems are a signal's odd frames, its even frames, and nothing; late by any delay."""

    sources: tuple[str, ...] = ("odd", "even", "nothing")
    is_neutral: bool = True
    delay: int = 5000

    def session(self, *, sample_rate, channels):
        return HalvesSession(self.delay, channels)


@dataclass
class HalvesSession:
    delay: int
    channels: int
    given: int = 0
    held: Audio | None = field(default=None)

    def push(self, block):
        self.held = block if self.held is None else np.concatenate([self.held, block], axis=-1)
        return self.give(max(0, self.held.shape[-1] - self.delay))

    def flush(self):
        if self.held is None:
            self.held = np.zeros((self.channels, 0), np.float32)
        return self.give(self.held.shape[-1])

    def give(self, frames):
        mix, self.held = self.held[:, :frames], self.held[:, frames:]
        odd = np.where((self.given + np.arange(frames)) % 2, mix, np.float32(0))
        self.given += frames
        return Separated(np.stack([odd, mix - odd, np.zeros_like(mix)]), mix)


VOICING = Voicing("halves", "0" * 64)
NOTHING_REPLACED = Policy()
HALVES = Halves()


def noise(channels, frames, level=0.3):
    return (level * np.random.default_rng(frames).uniform(-1, 1, (channels, frames))).astype(np.float32)


def render(path, output, policy=NOTHING_REPLACED, board=HALVES, **settings):
    return render_song(Song(path, path.stem, output), board, VOICING, Settings(**settings), policy)


def stems_of(report, kind="float32"):
    folder = report.folder
    return np.stack(
        [
            soundfile.read(os.path.join(folder, stem.path), dtype=kind, always_2d=True)[0].T
            for name, stem in report.stems.items()
            if name != "mix"
        ]
    )


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, noise(2, 60000).T, 44100, subtype="FLOAT")
    return path


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
    with pytest.raises(AudioFileError, match="got 6; choose with --channels"):
        render(path, tmp_path / "out")
    report = render(path, tmp_path / "out", channels=pick)
    np.testing.assert_array_equal(stems_of(report).sum(0), noise(6, 3000)[expected])


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


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_in_blocks_is_pyloudnorms(rate, channels):
    audio = noise(channels, 5 * rate) * np.repeat([0.001, 1.0, 0.3, 0.0, 0.1], rate).astype(np.float32)
    meter = LoudnessMeter(rate, channels)
    for start in range(0, audio.shape[-1], 7919):
        meter.add(audio[:, start : start + 7919])
    expected = pyloudnorm.Meter(rate).integrated_loudness(audio.T.astype(np.float64))
    assert meter.integrated_lufs == pytest.approx(expected, abs=0.1)


def test_loudness_of_a_reference_tone():
    meter = LevelMeter(48000, 2)
    tone = 10 ** (-23 / 20) * np.sin(2 * np.pi * 997 * np.arange(48000 * 5) / 48000)
    meter.add(np.stack([tone, tone]).astype(np.float32))
    meter.finish()
    assert meter.integrated_lufs == pytest.approx(-23.0, abs=0.1)  # EBU Tech 3341, case 1
    assert meter.peak_dbfs == pytest.approx(-23.0, abs=0.02)


def test_true_peak_lies_between_the_samples():
    meter = LevelMeter(48000, 1)
    quarter = np.sin(2 * np.pi * 12000 * np.arange(48000) / 48000 + np.pi / 4)
    meter.add(0.5 * (quarter * np.hanning(48000))[None].astype(np.float32))
    meter.finish()
    assert meter.peak_dbfs == pytest.approx(-9.03, abs=0.02)
    assert meter.true_peak_dbtp == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize(("frames", "level"), [(0, 0.0), (19000, 0.5), (48000, 0.0)])
def test_what_cannot_be_measured_is_none(frames, level):
    meter = LevelMeter(48000, 2)
    meter.add(np.full((2, frames), level, np.float32))
    meter.finish()
    assert meter.integrated_lufs is None
    assert (meter.peak_dbfs is None) == (level == 0)


def test_the_report_lies_beside_the_stems(song, tmp_path):
    report = render(song, tmp_path / "out")
    written = json.loads((tmp_path / "out/song/report.json").read_text("utf-8"))
    assert written["status"] == "rendered"
    assert written["model"] == "halves"
    assert written["stems"]["odd"]["path"] == "odd.wav"
    assert written["null_residual_dbfs"] == report.null_residual_dbfs
    assert written["seconds"] > 0 and written["peak_memory_bytes"] > 2**20
    assert set(written["versions"]) >= {"plugin-bridge", "python", "numpy", "libsndfile"}


def test_nothing_is_overwritten_unless_asked(song, tmp_path):
    render(song, tmp_path / "out")
    before = (tmp_path / "out/song/odd.wav").read_bytes()
    with pytest.raises(AudioFileError, match="must not exist yet"):
        render(song, tmp_path / "out", mix=True)
    assert (tmp_path / "out/song/odd.wav").read_bytes() == before
    assert render(song, tmp_path / "out", Policy(force=True)).status == "rendered"


def alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "settings", [{}, {"format": "flac"}, {"subtype": "pcm16", "mix": True}, {"sample_rate": 22050}]
)
def test_resume_keeps_what_is_done(song, tmp_path, settings):
    done = render(song, tmp_path / "out", **settings)
    kept = render(song, tmp_path / "out", Policy(resume=True), **settings)
    assert kept.status == "skipped"
    assert kept.stems == done.stems


def test_resume_redoes_what_is_not_done(song, tmp_path):
    out, resume = tmp_path / "out", Policy(resume=True)
    assert render(song, out, resume).status == "rendered"
    assert render(song, out, resume).status == "skipped"
    (out / "song/odd.wav").unlink()
    assert render(song, out, resume).status == "rendered"
    alter(out / "song/even.wav")
    assert render(song, out, resume).status == "rendered"
    assert render(song, out, resume, subtype="pcm24").status == "rendered"
    assert render(song, out, resume, subtype="pcm24").status == "skipped"
    alter(song)
    assert render(song, out, resume, subtype="pcm24").status == "rendered"
    other = Voicing("halves", "1" * 64)
    again = render_song(Song(song, "song", out), Halves(), other, Settings(subtype="pcm24"), resume)
    assert again.status == "rendered"
    (out / "song/manifest.json").write_text("damaged", "utf-8")
    assert render(song, out, resume).status == "rendered"
    assert render(song, out, resume).status == "skipped"


def test_resume_leaves_another_songs_stems_alone(song, tmp_path):
    render(song, tmp_path / "out")
    other = tmp_path / "elsewhere" / "song.wav"
    other.parent.mkdir()
    soundfile.write(other, noise(1, 300).T, 44100)
    with pytest.raises(AudioFileError, match="must be free for"):
        render(other, tmp_path / "out", Policy(resume=True))
    assert render(song, tmp_path / "out", Policy(resume=True)).status == "skipped"


def test_the_manifest_remembers_former_files(song, tmp_path):
    render(song, tmp_path / "out")
    render(song, tmp_path / "out", Policy(resume=True), format="flac")
    manifest = read_manifest(tmp_path / "out/song/manifest.json")
    assert manifest.earlier == ["even.wav", "nothing.wav", "odd.wav"]
    assert [output.path for output in manifest.outputs] == ["odd.flac", "even.flac", "nothing.flac"]


class Interrupting(Halves):
    """A board whose session is interrupted in its second block."""

    def session(self, *, sample_rate, channels):
        session = HalvesSession(0, channels)
        first = session.push

        def push(block):
            if session.given:
                raise KeyboardInterrupt
            return first(block)

        session.push = push
        return session


@pytest.mark.parametrize("subtype", ["float32", "pcm16"])
def test_an_interrupt_leaves_nothing(song, tmp_path, subtype):
    with pytest.raises(KeyboardInterrupt):
        render(song, tmp_path / "deep/out", board=Interrupting(), subtype=subtype)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song.wav"]


def test_an_interrupt_leaves_earlier_stems_whole(song, tmp_path):
    render(song, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out/song").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        render(song, tmp_path / "out", Policy(force=True), board=Interrupting())
    assert {path: path.read_bytes() for path in (tmp_path / "out/song").iterdir()} == before


class Wrong(Halves):
    """A board that gives one frame too few."""

    def session(self, *, sample_rate, channels):
        session = HalvesSession(0, channels)
        session.flush = lambda: session.give(0)
        session.delay = 1
        return session


def test_a_session_that_loses_frames_is_found_out(song, tmp_path):
    with pytest.raises(RuntimeError, match="1 too few"):
        render(song, tmp_path / "out", board=Wrong())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["wav", "flac"])
@pytest.mark.parametrize("subtype", ["float32", "pcm16"])
def test_a_full_disk_is_one_sentence(song, tmp_path, kind, subtype):
    if (kind, subtype) == ("flac", "float32"):
        subtype = "pcm24"
    code = f"""
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_render import render
import plugin_bridge
from plugin_bridge.errors import AudioFileError
try:
    render(Path({str(song)!r}), Path({str(tmp_path / "out")!r}), format={kind!r}, subtype={subtype!r})
except AudioFileError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "must be writable, got: File too large; make room" in ran.stdout
    assert ran.stdout.count("\n") == 1
    assert not ran.stderr
    assert not (tmp_path / "out").exists()


MEMORY = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_render import render
report = render(Path({path!r}), Path({out!r}), subtype={subtype!r})
print(report.frames, report.peak_memory_bytes)
"""


@pytest.mark.parametrize("subtype", ["float32", "pcm16"])
def test_memory_does_not_grow_with_the_song(tmp_path, subtype):
    peaks = {}
    for seconds in (20, 800):
        path = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
            for _ in range(seconds // 20):
                file.write(noise(1, 160000)[0])
        code = MEMORY.format(
            tests=os.path.dirname(__file__), path=str(path), out=str(tmp_path / subtype), subtype=subtype
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        frames, peaks[seconds] = map(int, ran.stdout.split())
        assert frames == 8000 * seconds
    # The long song is 25 MB of float32 a signal, 100 MB with its stems.
    assert peaks[800] - peaks[20] < 12 * 2**20
