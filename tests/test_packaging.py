"""The wheel: one import package, with the catalogue and the presets inside it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent


def data(folder: str) -> set[str]:
    """The data files of a folder, as paths from the repository's root."""
    files = (path for path in (ROOT / folder).rglob("*") if path.suffix in {".toml", ".safetensors", ".onnx"})
    return {path.relative_to(ROOT).as_posix() for path in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
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


def test_the_wheel_installed_elsewhere_renders(wheel: Path, tmp_path: Path) -> None:
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
    ]
    subprocess.run([*install, str(wheel)], check=True, timeout=300)
    frames = np.random.default_rng(0).standard_normal((22050, 2)).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "song.wav", frames, 44100, "FLOAT")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "PLUGIN_BRIDGE_DATA": str(tmp_path / "none"),
    }

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(tmp_path / "site") in run("-c", "import plugin_bridge; print(plugin_bridge.__file__)")
    run("-m", "plugin_bridge", "render", "song.wav", "--preset", "karaoke", "--mix")
    assert {path.name for path in (tmp_path / "stems" / "song").glob("*.wav")} == {
        "vocals.wav", "drums.wav", "bass.wav", "other.wav", "mix.wav",
    }  # fmt: skip
