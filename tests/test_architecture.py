"""The rooms of the house: imports point one way, libraries stay where they belong, names say something."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "plugin_bridge"

# What each room may import of ours, besides itself and what all share. Rooms that put the others together
# (`server`, `cli`, the package itself) are absent: they may import all, but for TRAINING_ONLY_BY.
ALLOWED = {
    "errors": [],
    "folders": [],
    "separation": [],
    "training": ["plugin_bridge.separation"],
    "board": ["plugin_bridge.separation"],
    "render": ["plugin_bridge.board", "plugin_bridge.separation"],
    "live": ["plugin_bridge.board", "plugin_bridge.separation"],
    "control": [
        "plugin_bridge.board.parameter_tree",
        "plugin_bridge.board.parameters",
        "plugin_bridge.board.preset",
    ],
}
SHARED = ["plugin_bridge.errors", "plugin_bridge.folders", "plugin_bridge.__version__"]
TRAINING_ONLY_BY = {"training", "cli"}

# Which modules may import a library; no other of ours may.
LIBRARY_HOMES = {
    "torch": ["plugin_bridge.separation", "plugin_bridge.training"],
    "onnxruntime": ["plugin_bridge.separation", "plugin_bridge.training"],
    "pedalboard": ["plugin_bridge.board", "plugin_bridge.training"],
    "soundfile": ["plugin_bridge.render", "plugin_bridge.training", "plugin_bridge.live.drivers"],
    "stempeg": ["plugin_bridge.training"],
    "jack": ["plugin_bridge.live.drivers"],
    "sounddevice": ["plugin_bridge.live.drivers"],
    "pythonosc": ["plugin_bridge.control.osc"],
    "aiohttp": ["plugin_bridge.control.oscquery", "plugin_bridge.control.oscquery_listener"],
    "zeroconf": ["plugin_bridge.control.discovery"],
    "ifaddr": ["plugin_bridge.control.discovery"],
    "py2tosc": ["plugin_bridge.control.layouts.touchosc"],
    "rtmidi": ["plugin_bridge.control.midi_system"],
    "mido": [
        *(f"plugin_bridge.control.midi_{what}" for what in ("automation", "feedback", "lines")),
        "plugin_bridge.training",
    ],
}

SAYS_NOTHING = {"utils", "util", "helpers", "helper", "manager", "core", "base", "misc", "common"}
MOST_LINES = 400


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, list[str]]]:
    """Every import of a source: its line, and the absolute names of which one must be allowed.

    `from a import b` may mean module `a.b` or a name in `a`; an allowed `a` covers it either way.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, [alias.name]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                climb = module.split(".") if is_package else module.split(".")[:-1]
                climb = climb[: len(climb) - node.level + 1]
                origin = ".".join([*climb, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, [f"{origin}.{alias.name}", origin]
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            name = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(name, ast.Constant):
                yield node.lineno, [str(name.value)]


def within(name: str, prefixes: list[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def fault(names: list[str], module: str) -> str | None:
    """What is wrong with an import in `module`, or None."""
    room = [*module.split("."), "the package"][1]
    library = names[0].split(".")[0]
    if library != "plugin_bridge":
        homes = LIBRARY_HOMES.get(library)
        return f"{library} may only be imported in {homes}" if homes and not within(module, homes) else None
    if within(names[0], ["plugin_bridge.training"]) and room not in TRAINING_ONLY_BY:
        return "nothing but the command line imports training"
    if room not in ALLOWED:
        return None
    allowed = [f"plugin_bridge.{room}", *ALLOWED[room], *SHARED]
    if any(within(name, allowed) for name in names):
        return None
    return f"{room} may not import {names[0]}; allowed: {allowed}"


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    found = ((line, fault(names, module)) for line, names in imports(source, module, is_package))
    return [f"{module}:{line}: {reason}" for line, reason in found if reason]


def python_files() -> list[Path]:
    folders = [PACKAGE, ROOT / "tests", ROOT / "benchmarks", ROOT / "examples"]
    return sorted([*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))])


PACKAGE_FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    assert violations(path.read_text("utf-8"), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plugin_bridge.separation.gate", "from plugin_bridge.board import strip"),
        ("plugin_bridge.separation.gate", "from ..board.strip import Strip"),
        ("plugin_bridge.separation.gate", "def f():\n    import plugin_bridge.render"),
        ("plugin_bridge.separation.gate", "from plugin_bridge import StemBoard"),
        ("plugin_bridge.separation.classical.hpss", "from ...live import ring"),
        ("plugin_bridge.training.loop", "import plugin_bridge.board"),
        ("plugin_bridge.board.strip", "from plugin_bridge.training import losses"),
        ("plugin_bridge.board.strip", "import torch.nn as nn"),
        ("plugin_bridge.board.strip", "from .. import render"),
        ("plugin_bridge.render.pipeline", "import importlib\nimportlib.import_module('plugin_bridge.live')"),
        ("plugin_bridge.render.pipeline", "import pedalboard"),
        ("plugin_bridge.live.worker", "import sounddevice"),
        ("plugin_bridge.control.osc", "from plugin_bridge.board.stemboard import StemBoard"),
        ("plugin_bridge.control.clock", "from pythonosc import osc_message"),
        ("plugin_bridge.control.oscquery_tree", "from aiohttp import web"),
        ("plugin_bridge.server.desks", "def f():\n    import aiohttp"),
        ("plugin_bridge.cli.midi", "import mido"),
        ("plugin_bridge.control.midi_ports", "import rtmidi"),
        ("plugin_bridge.control.oscquery", "import zeroconf.asyncio"),
        ("plugin_bridge.cli.layout", "import py2tosc"),
        ("plugin_bridge.server", "from plugin_bridge.training.loop import train"),
        ("plugin_bridge", "from plugin_bridge.training import losses"),
        ("plugin_bridge.cli.render", "import soundfile"),
    ],
)
def test_a_violation_is_caught(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plugin_bridge.separation.gate", "import torch\nfrom ..errors import ModelError"),
        ("plugin_bridge.separation.gate", "from .separator import Audio\nfrom . import spectral"),
        ("plugin_bridge.board.strip", "import pedalboard\nfrom plugin_bridge.separation import separator"),
        ("plugin_bridge.control.osc", "from pythonosc import osc_message"),
        ("plugin_bridge.control.osc", "from plugin_bridge.board.parameters import Parameter"),
        ("plugin_bridge.control.osc", "from plugin_bridge.board import parameters"),
        ("plugin_bridge.control.oscquery", "from aiohttp import web"),
        ("plugin_bridge.live.drivers.jack", "import jack"),
        ("plugin_bridge.cli.train", "from plugin_bridge.training import loop"),
        ("plugin_bridge.render.report", "from plugin_bridge import __version__"),
    ],
)
def test_a_lawful_import_is_let_through(module: str, source: str) -> None:
    assert violations(source, module) == []


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_small_and_its_name_says_something(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: one idea for each file"
    named = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not named & SAYS_NOTHING


def loaded_after(statement: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after a statement."""
    program = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_package_imports_nothing_heavy() -> None:
    assert not loaded_after("import plugin_bridge; dir(plugin_bridge)") & {"numpy", "torch", "pedalboard"}


def test_help_imports_no_torch() -> None:
    loaded = loaded_after(
        "sys.argv = ['plugin-bridge', '--help']\nfrom plugin_bridge.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert "plugin_bridge" in loaded
    assert "torch" not in loaded


def test_the_public_names_exist() -> None:
    import plugin_bridge

    for name in plugin_bridge.__all__:
        assert getattr(plugin_bridge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        plugin_bridge.Nonsense  # noqa: B018
