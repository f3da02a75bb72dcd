"""What the command line does when nobody listens, someone hangs up, or names are odd."""

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
from plugin_bridge.cli.main import main
from plugin_bridge.cli.progress import sentences
from plugin_bridge.render.report import Report, StemReport

PROGRAM = [sys.executable, "-m", "plugin_bridge"]
posix = pytest.mark.skipif(os.name == "nt", reason="there are no such signals, streams or names there")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """Processes find the package from any folder; what `main` does to signals does not outlast a test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin_bridge.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGTERM, *([] if os.name == "nt" else [signal.SIGHUP]))
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def write(path, frames=4000, rate=22050):
    soundfile.write(path, np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, 2)), rate)
    return path


def shell(line):
    line = line.replace("PROGRAM", f"'{sys.executable}' -m plugin_bridge")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)


@posix
@pytest.mark.parametrize("command", ["render song.wav --model bands --json", "models list", "presets list"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path, command, redirection):
    write(tmp_path / "song.wav")
    ran = shell(f"PROGRAM {command} {redirection}")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("plugin-bridge: the output must be usable, got: ")
    assert len(ran.stderr.splitlines()) == 1 + command.startswith("render")


@posix
@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", "<&-", "<&- >&- 2>&-"])
def test_a_render_needs_no_stream(tmp_path, redirection):
    write(tmp_path / "song.wav")
    ran = shell(f"PROGRAM render song.wav --model bands {redirection}")
    assert ran.returncode == (1 if "full" in redirection else 0)
    assert "Traceback" not in ran.stderr
    assert not ran.stdout
    assert soundfile.info(tmp_path / "stems/song/low.wav").frames == 4000


def start(*arguments, **settings):
    return subprocess.Popen(
        [*PROGRAM, "render", *arguments, "--model", "bands"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def wait_for_a_part(process, folder):
    while not list(folder.rglob(".plugin-bridge-*")):
        assert process.poll() is None
        time.sleep(0.01)


@posix
@pytest.mark.alone
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_hang_up_ends_everything_and_leaves_nothing_half(tmp_path, jobs):
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, 120 * 44100, 44100)
    process = start("a.wav", "b.wav", "--jobs", jobs, start_new_session=True)
    wait_for_a_part(process, tmp_path / "stems")
    os.killpg(process.pid, signal.SIGHUP)  # a terminal that closes tells the whole group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 129
    assert errors.splitlines()[-1] == "plugin-bridge: interrupted"
    assert not list(tmp_path.rglob(".plugin-bridge-*"))


@posix
@pytest.mark.alone
def test_a_terminal_that_is_closed_hangs_up(tmp_path):
    import fcntl
    import pty
    import termios

    write(tmp_path / "a.wav", 120 * 44100, 44100)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "render", "a.wav", "--model", "bands"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    wait_for_a_part(process, tmp_path / "stems")
    os.close(ours)
    assert process.wait(timeout=120) == 129
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@posix
def test_nohup_is_heeded(tmp_path):
    write(tmp_path / "a.wav", 60 * 44100, 44100)
    process = start("a.wav", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_a_part(process, tmp_path / "stems")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0


@posix
def test_an_interrupt_still_tells_in_json_what_was_done(tmp_path):
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav", 120 * 44100, 44100)
    process = start("a.wav", "b.wav", "--json")
    wait_for_a_part(process, tmp_path / "stems/b")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert [report["source"] for report in json.loads(out)] == ["a.wav"]


@pytest.mark.parametrize("arguments", [[""], ["song.wav", ""], ["song.wav", "-o", ""]])
def test_an_empty_path_is_wrong_usage(tmp_path, capsys, arguments):
    write(tmp_path / "song.wav")
    assert main(["render", *arguments, "--model", "bands"]) == 2
    assert "must be a path, got an empty one" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


@pytest.mark.parametrize(("kind", "file"), [("presets", "bad.toml"), ("models", "bad/card.toml")])
def test_one_broken_file_does_not_hide_the_rest(tmp_path, monkeypatch, capsys, kind, file):
    assert main([kind, "list"]) == 0
    before = capsys.readouterr().out.splitlines()
    path = tmp_path / "data" / kind / file
    path.parent.mkdir(parents=True)
    path.write_text("name = [")
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path / "data"))
    assert main([kind, "list"]) == 0
    shown = capsys.readouterr()
    (broken,) = set(shown.out.splitlines()) - set(before)
    assert broken.startswith("bad ") and "broken: " in broken and str(path) in broken
    assert len(shown.out.splitlines()) == len(before) + 1
    assert not shown.err
    assert main([kind, "show", "bad"]) == 2
    assert "; mend " in capsys.readouterr().err


@posix
def test_names_with_control_characters_stay_on_their_line(tmp_path, capsys):
    write(tmp_path / "a\n\x1b[2Jb.wav")
    write(tmp_path / "text\n.wav").write_text("no sound")
    assert main(["render", ".", "gone\n.wav", "--model", "bands"]) == 1
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 3
    assert "\x1b" not in errors
    assert r"a\n\x1b[2Jb.wav" in errors


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_told_of(tmp_path, capsys):
    write(tmp_path / "song.wav")
    (tmp_path / "closed").mkdir(mode=0)
    assert main(["render", ".", "--model", "bands"]) == 1
    first, second = sorted(capsys.readouterr().err.splitlines())
    assert first.startswith("done: song.wav")
    assert second == "failed: closed must be readable, got: Permission denied"


def test_the_line_of_a_song_says_what_matters():
    stem = StemReport(path="a.wav", peak_dbfs=None, true_peak_dbtp=None, integrated_lufs=None)
    report = Report(source="a", status="rendered", folder="b", stems={"a": stem})
    assert sentences(report) == ["done: a -> b (1 file)"]
    altered = Report(
        source="a",
        status="rendered",
        folder="b",
        stems={"a": stem, "b": stem},
        null_reason="the preset alters the sound",
        earlier_kept=["c.wav"],
    )
    assert sentences(altered) == [
        "done: a -> b (2 files, no null: the preset alters the sound)",
        "  still there from an earlier render: c.wav",
    ]
