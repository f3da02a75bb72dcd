"""The wheel: one import package, with the catalogue and the presets inside it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def data(folder: str) -> set[str]:
    """The data files of a folder, as paths from the repository's root."""
    files = (path for path in (ROOT / folder).rglob("*") if path.suffix in {".toml", ".safetensors"})
    return {path.relative_to(ROOT).as_posix() for path in files}


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_there_is_one_import_package(contents: set[str]) -> None:
    folders = {name.split("/")[0] for name in contents}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"plugin_bridge"}


@pytest.mark.parametrize("folder", ["models", "presets"])
def test_the_data_lies_inside_the_package(contents: set[str], folder: str) -> None:
    inside = {name for name in contents if name.startswith(f"plugin_bridge/{folder}/")}
    assert not [name for name in inside if name.endswith((".py", ".pyc"))]
    assert {f"plugin_bridge/{name}" for name in data(folder)} <= inside


def test_the_types_and_the_licence_are_there(contents: set[str]) -> None:
    assert "plugin_bridge/py.typed" in contents
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents)
