"""The command line, run as a user runs it: real processes, their output and exit codes."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import plugin_bridge
from plugin_bridge.board.preset import Preset
from plugin_bridge.cli.main import main
from plugin_bridge.separation import catalogue

ABSENT_DEVICE = "cuda" if sys.platform == "darwin" else "mps"
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
        (("render", "a.wav", "--model", "bands", "--device", ABSENT_DEVICE), [ABSENT_DEVICE, "cpu or auto"]),
        (("render", "a.wav", "--name", "{title}.{ext}"), ["{title}", "{song}"]),
        (("render", "a.wav", "b.wav", "--model", "bands", "--name", "{stem}.{ext}"), ["{song}", "2 songs"]),
        (("render", "a.wav", "--sample-rate", "fast"), ["fast", "Hz"]),
        (("render", "a.wav", "--sample-rate", "5"), ["1000"]),
        (("render", "a.wav", "--channels", "left"), ["left", "1,2"]),
        (("render", "a.wav", "--channels", "3,3"), ["3,3"]),
        (("render", "a.wav", "--jobs", "0"), ["0"]),
        (("render", "a.wav", "--resume", "--force"), ["resume", "force"]),
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


def test_a_line_of_the_list_tells_what_one_chooses_by():
    lines = {line.split()[0]: line for line in run("models", "list").stdout.splitlines()}
    card = catalogue.card("live4")
    folder = catalogue.model_folder("live4")
    size = sum((folder / name).stat().st_size for name in (card.weights, card.engine.graph)) / 1e6
    facts = f"live and render, the default; 23 ms; SDR {card.scores['mean']:.2f} dB"
    assert (
        f"({facts}; {card.real_time_factor} of real time; {size:.1f} MB; CC-BY-NC-SA-4.0)" in lines["live4"]
    )
    assert "(render; " in lines["repet"] and "SDR" not in lines["repet"] and "MB" not in lines["repet"]


def test_every_preset_is_listed_shown_and_checked(tmp_path, capsys):
    assert main(["presets", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == Preset.names()
    for name in Preset.names():
        assert main(["presets", "show", name]) == 0
        (tmp_path / "again.toml").write_text(capsys.readouterr().out, "utf-8")
        assert Preset.load(tmp_path / "again.toml") == Preset.load(name)
        assert main(["presets", "check", str(tmp_path / "again.toml")]) == 0
        assert "is well" in capsys.readouterr().out


def test_a_preset_that_no_name_reaches_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "My Mix.toml").write_text("[master]\ngain_db = -3.0\n")
    assert main(["presets", "list"]) == 0
    assert "My Mix.toml: a preset's name must have only" in capsys.readouterr().out.splitlines()[-1]


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
