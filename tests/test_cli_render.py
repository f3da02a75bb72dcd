"""`plugin-bridge render`, run as a user runs it: real processes, signals, files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import plugin_bridge

PROGRAM = [sys.executable, "-m", "plugin_bridge"]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes find the package from any folder, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin_bridge.__file__).parents[1]))


def run(*arguments, **settings):
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, **settings)


def assert_one_line(text, *words):
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    for word in words:
        assert word in text


def write(path, frames=4000, rate=22050):
    soundfile.write(path, np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, 2)), rate)
    return path


def test_a_preset_is_applied_and_named(tmp_path):
    write(tmp_path / "song.wav")
    preset = tmp_path / "louder.toml"
    preset.write_text(
        'name = "louder"\nmodel = "bands"\n[strips.low]\ngain_db = 6.0\n[strips.mid]\nmute = true\n'
    )
    ran = run("render", "song.wav", "--preset", "louder.toml", "--mix", "--json", cwd=tmp_path)
    (report,) = json.loads(ran.stdout)
    assert (report["model"], report["preset"]) == ("bands", "louder")
    assert report["null_residual_dbfs"] is None
    assert "preset" in report["null_reason"]
    plain = plugin_bridge.render(tmp_path / "song.wav", tmp_path / "plain", model="bands")[0]
    read = [soundfile.read(tmp_path / folder / "song/low.wav")[0] for folder in ("stems", "plain")]
    np.testing.assert_allclose(read[0][2000:], 10 ** (6 / 20) * read[1][2000:], atol=1e-4)
    assert report["stems"]["mid"]["peak_dbfs"] is None
    assert plain.stems["mid"].peak_dbfs is not None
    assert (
        "kept: "
        in run("render", "song.wav", "--preset", "louder.toml", "--mix", "--resume", cwd=tmp_path).stderr
    )
    preset.write_text(preset.read_text().replace("6.0", "5.0"))
    assert (
        "done: "
        in run("render", "song.wav", "--preset", "louder.toml", "--mix", "--resume", cwd=tmp_path).stderr
    )


def test_renders_and_says_so(tmp_path):
    write(tmp_path / "song.wav")
    ran = run("render", "song.wav", "--model", "bands", cwd=tmp_path)
    assert ran.returncode == 0
    assert not ran.stdout
    assert_one_line(ran.stderr, "done: song.wav -> stems", "null", "real time")
    assert sorted(path.name for path in (tmp_path / "stems/song").iterdir()) == [
        "high.wav",
        "low.wav",
        "manifest.json",
        "mid.wav",
        "report.json",
    ]


def test_all_options_together(tmp_path):
    write(tmp_path / "song.wav", 30000)
    options = (
        "--model bands --stems low,high --mix --format flac --subtype pcm16 --sample-rate 48000 --channels 2"
    )
    name = "{song}_{stem}_{rate}_{bits}.{ext}"
    ran = run(
        "render", "song.wav", "-o", "out", *options.split(), "--name", name, "--device", "cpu", cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "song.manifest.json",
        "song.report.json",
        "song_high_48000_16.flac",
        "song_low_48000_16.flac",
        "song_mix_48000_16.flac",
    ]
    info = soundfile.info(tmp_path / "out/song_low_48000_16.flac")
    assert (info.samplerate, info.channels, info.frames) == (48000, 1, round(30000 * 48000 / 22050))


def test_json_is_all_of_stdout(tmp_path):
    write(tmp_path / "song.wav")
    (tmp_path / "text.wav").write_text("no sound")
    ran = run("render", "song.wav", "text.wav", "gone.wav", "--model", "bands", "--json", cwd=tmp_path)
    assert ran.returncode == 1
    done, text, gone = json.loads(ran.stdout)
    assert (done["status"], text["status"], gone["status"]) == ("rendered", "failed", "failed")
    assert done == json.loads((tmp_path / "stems/song/report.json").read_text("utf-8"))
    assert "text.wav" in text["error"] and "gone.wav" in gone["error"]
    assert ran.stderr.count("failed: ") == 2


def test_any_terminal_gets_any_name(tmp_path):
    write(tmp_path / "Motörhead 🎵.wav")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = run("render", ".", "gone 🎵.wav", "--model", "bands", cwd=tmp_path, env=ascii_only)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "done: Mot?rhead ?.wav" in ran.stderr


def test_resume_force_and_neither(tmp_path):
    write(tmp_path / "song.wav")
    command = ("render", "song.wav", "--model", "bands")
    assert run(*command, cwd=tmp_path).returncode == 0
    refused = run(*command, cwd=tmp_path)
    assert refused.returncode == 1
    assert_one_line(refused.stderr, "with resume", "with force")
    assert_one_line(run(*command, "--resume", cwd=tmp_path).stderr, "kept: ")
    assert_one_line(run(*command, "--force", cwd=tmp_path).stderr, "done: ")


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_jobs_give_the_same_files(tmp_path, jobs):
    for number in range(3):
        write(tmp_path / f"song {number} 🎵.wav", 3000 + number)
    (tmp_path / "broken.wav").write_text("no sound")
    ran = run("render", ".", "--model", "bands", "--subtype", "pcm16", "--jobs", jobs, "--json", cwd=tmp_path)
    assert ran.returncode == 1
    reports = json.loads(ran.stdout)
    assert [os.path.basename(report["source"]) for report in reports] == [
        "broken.wav",
        *(f"song {number} 🎵.wav" for number in range(3)),
    ]
    single = plugin_bridge.render(
        tmp_path / "song 1 🎵.wav", tmp_path / "single", model="bands", subtype="pcm16"
    )
    for stem in single[0].stems.values():
        alone = (tmp_path / "single/song 1 🎵" / stem.path).read_bytes()
        assert (tmp_path / "stems/song 1 🎵" / stem.path).read_bytes() == alone


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.alone
@pytest.mark.skipif(os.name == "nt", reason="signals are sent another way there")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_everything_and_leaves_nothing_half(tmp_path, jobs, number, code):
    for name in ("a.wav", "b.wav", "c.wav"):
        write(tmp_path / name, 120 * 44100, 44100)
    command = [*PROGRAM, "render", "a.wav", "b.wav", "c.wav", "--model", "bands", "--jobs", str(jobs)]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not list((tmp_path / "stems").rglob(".plugin-bridge-*")):  # until some file is being written
        assert process.poll() is None
        time.sleep(0.01)
    # A terminal sends Ctrl-C to the whole group; kill sends SIGTERM to one process.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "plugin-bridge: interrupted"
    for path in leftovers(tmp_path / "stems"):
        assert not path.name.startswith(".plugin-bridge-")
        if path.suffix == ".wav":
            assert soundfile.info(path).frames == 120 * 44100
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):  # Python's own resource tracker leaves a moment after us
            os.killpg(process.pid, 0)
            time.sleep(0.01)


@pytest.mark.alone
@pytest.mark.skipif(os.name == "nt", reason="signals are sent another way there")
def test_a_dead_worker_costs_one_song(tmp_path):
    for name in ("a.wav", "b.wav", "c.wav"):
        write(tmp_path / name, 60 * 44100, 44100)
    command = [*PROGRAM, "render", ".", "--model", "bands", "--jobs", "2", "--json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (parts := list((tmp_path / "stems").rglob(".plugin-bridge-*"))):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(int(parts[0].name.split("-")[3]), signal.SIGKILL)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    states = [report["status"] for report in json.loads(out)]
    assert sorted(states) == ["failed", "rendered", "rendered"]
    assert "exit code -9" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "stems").rglob(".plugin-bridge-*"))


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are another thing there")
def test_a_terminal_gets_a_bar(tmp_path):
    import pty

    write(tmp_path / "song.wav", 20 * 44100, 44100)
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "render", "song.wav", "--model", "bands"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=theirs, stdout=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal is gone with the program
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert "song.wav" in shown.decode()
    assert "%" in shown.decode()
    assert "done: song.wav" in shown.decode().replace("\r\n", "")


def test_a_full_disk_ends_one_file(tmp_path):
    write(tmp_path / "long.wav", 400000)
    write(tmp_path / "short.wav", 4000)
    limit = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000)); "
    code = limit + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from plugin_bridge.cli.main import main; "
    ran = subprocess.run(
        [sys.executable, "-c", code + "raise SystemExit(main(['render', '.', '--model', 'bands']))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    first, second = ran.stderr.splitlines()
    assert first.startswith("failed: ") and "must be writable" in first
    assert second.startswith("done: ")
    assert sorted(path.name for path in (tmp_path / "stems").iterdir()) == ["short"]
