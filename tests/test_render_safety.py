"""What must never be lost or left: reports, resume, interrupts, full disks, memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import plugin_bridge
from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.pipeline import render_song
from plugin_bridge.render.plan import Policy, Song, Voicing
from plugin_bridge.render.settings import Settings
from tests.halves_board import Halves, HalvesSession, noise, render, write_song


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes find the package and the tests, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin_bridge.__file__).parents[1]))


@pytest.fixture
def song(tmp_path):
    return write_song(tmp_path / "song.wav")


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


def test_a_report_that_is_not_ours_is_not_overwritten(song, tmp_path):
    (tmp_path / "out/song").mkdir(parents=True)
    (tmp_path / "out/song/report.json").write_text("mine")
    with pytest.raises(AudioFileError, match="must not exist yet"):
        render(song, tmp_path / "out")
    assert (tmp_path / "out/song/report.json").read_text() == "mine"


@pytest.mark.parametrize("policy", [Policy(force=True), Policy(resume=True), Policy()])
def test_a_stem_never_replaces_its_source(tmp_path, policy):
    path = write_song(tmp_path / "odd.wav")
    before = path.read_bytes()
    with pytest.raises(AudioFileError, match="must not be replaced, it is a source"):
        render(path, tmp_path, policy, name="{stem}.{ext}")
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["odd.wav"]


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
    (out / "song/report.json").unlink()
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
from tests.halves_board import render
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
from pathlib import Path
from tests.halves_board import render
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
        code = MEMORY.format(path=str(path), out=str(tmp_path / subtype), subtype=subtype)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        frames, peaks[seconds] = map(int, ran.stdout.split())
        assert frames == 8000 * seconds
    # The long song is 25 MB of float32 a signal, 100 MB with its stems.
    assert peaks[800] - peaks[20] < 12 * 2**20
