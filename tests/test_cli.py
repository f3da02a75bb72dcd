"""The command line, run as a user runs it: real processes, their output and exit codes."""

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
from plugin_bridge.board.preset import Preset
from plugin_bridge.cli.main import main
from plugin_bridge.separation import catalogue

PROGRAM = [sys.executable, "-m", "plugin_bridge"]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes find the package from any folder, installed or not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(plugin_bridge.__file__).parents[1]))


@pytest.fixture(autouse=True)
def restored_signal():
    """`main` decides what SIGTERM does, which must not outlast a test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


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


@pytest.mark.parametrize(
    "arguments", [(), ("render",), ("models",), ("models", "show"), ("presets",), ("presets", "check")]
)
def test_help_is_there_for_every_command(arguments):
    ran = run(*arguments, "--help")
    assert ran.returncode == 0
    assert ran.stdout.startswith("usage: plugin-bridge")
    assert not ran.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from plugin_bridge.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pedalboard', 'soundfile', 'rich', 'msgspec'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


def test_version():
    assert run("--version").stdout == f"plugin-bridge {plugin_bridge.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["COMMAND"]),
        (("rendr",), ["rendr", "render", "models", "presets"]),
        (("render",), ["INPUT"]),
        (("render", "a.wav", "--formt", "flac"), ["--formt", "--format"]),
        (("render", "a.wav", "--modl=bands"), ["--modl", "--model"]),
        (("render", "a.wav", "--zzzz"), ["--zzzz", "--resume"]),
        (("models", "lst"), ["lst", "list", "show"]),
        (("models", "show", "bandz"), ["bandz", "bands"]),
        (("models", "list", "--all"), ["--all"]),
        (("presets", "show", "no such preset"), ["no such preset"]),
        (("presets", "check", "nowhere.toml"), ["nowhere.toml"]),
        (("render", "a.wav", "--model", "nope"), ["nope", "bands"]),
        (("render", "a.wav", "--preset", "nope"), ["nope"]),
        (("render", "a.wav", "--model", "bands", "--stems", "vocals"), ["vocals", "low, mid, high"]),
        (("render", "a.wav", "--stems", ","), ["--stems"]),
        (("render", "a.wav", "--format", "mp3"), ["mp3", "wav, flac"]),
        (("render", "a.wav", "--subtype", "pcm8"), ["pcm8", "float32, pcm24, pcm16"]),
        (("render", "a.wav", "--format", "flac", "--subtype", "float32"), ["FLAC", "wav"]),
        (("render", "a.wav", "--device", "tpu"), ["tpu", "auto, cpu, cuda, mps"]),
        (("render", "a.wav", "--name", "{title}.{ext}"), ["{title}", "{song}"]),
        (("render", "a.wav", "b.wav", "--model", "bands", "--name", "{stem}.{ext}"), ["{song}", "2 songs"]),
        (("render", "a.wav", "--sample-rate", "fast"), ["fast", "Hz"]),
        (("render", "a.wav", "--sample-rate", "5"), ["1000"]),
        (("render", "a.wav", "--channels", "left"), ["left", "1,2"]),
        (("render", "a.wav", "--channels", "3,3"), ["3,3"]),
        (("render", "a.wav", "--jobs", "0"), ["0"]),
        (("render", "a.wav", "--resume", "--force"), ["--resume", "--force"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    shown = capsys.readouterr()
    assert code == 2, shown.err
    assert_one_line(shown.err, *words)
    assert not shown.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [(), ("rendr",), ("render", "a.wav", "--model", "nope")])
def test_wrong_usage_ends_the_process_so_too(arguments):
    ran = run(*arguments)
    assert ran.returncode == 2
    assert_one_line(ran.stderr, "plugin-bridge: ")
    assert not ran.stdout


def test_every_model_is_listed_and_shown():
    listed = run("models", "list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == catalogue.names()
    for name in catalogue.names():
        shown = run("models", "show", name)
        assert shown.returncode == 0
        assert catalogue.card(name).summary in shown.stdout
        assert catalogue.model_hash(name) in shown.stdout


def test_every_preset_is_listed_shown_and_checked(tmp_path, capsys):
    assert main(["presets", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == Preset.names()
    for name in Preset.names():
        assert main(["presets", "show", name]) == 0
        (tmp_path / "again.toml").write_text(capsys.readouterr().out, "utf-8")
        assert Preset.load(tmp_path / "again.toml") == Preset.load(name)
        assert main(["presets", "check", str(tmp_path / "again.toml")]) == 0
        assert "is well" in capsys.readouterr().out


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


def test_a_preset_that_does_not_fit_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "song.wav")
    (tmp_path / "bad.toml").write_text('name = "bad"\n[strips.trumpet]\nmute = true\n')
    for command in (
        ["render", "song.wav", "--model", "bands", "--preset", "bad.toml"],
        ["presets", "show", "bad"],
    ):
        assert main(command) == 2
        assert_one_line(capsys.readouterr().err, "bad")
    (tmp_path / "broken.toml").write_text("name = [")
    assert main(["presets", "check", "broken.toml"]) == 2
    assert_one_line(capsys.readouterr().err, "broken.toml")


@pytest.mark.parametrize("name", catalogue.names())
def test_every_model_renders_what_nulls(tmp_path, name):
    write(tmp_path / "song.wav", 66150, 44100)
    (report,) = plugin_bridge.render(tmp_path / "song.wav", tmp_path / "out", model=name)
    assert report.error is None
    assert tuple(report.stems) == tuple(catalogue.card(name).sources)
    assert report.frames == 66150
    assert report.null_residual_dbfs <= -100
    for stem in report.stems.values():
        assert soundfile.info(tmp_path / "out/song" / stem.path).frames == 66150


def test_a_reader_that_leaves_early_is_no_error():
    ran = subprocess.run(
        f"{sys.executable} -m plugin_bridge models show bands | head -0; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert ran.returncode in (0, 141)
    assert not ran.stderr


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


def test_resume_force_and_neither(tmp_path):
    write(tmp_path / "song.wav")
    command = ("render", "song.wav", "--model", "bands")
    assert run(*command, cwd=tmp_path).returncode == 0
    refused = run(*command, cwd=tmp_path)
    assert refused.returncode == 1
    assert_one_line(refused.stderr, "--resume", "--force")
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
