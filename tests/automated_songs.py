"""What tests of renders with automation share: recordings, songs, the files of a render, the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from plugin_bridge import StemBoard
from plugin_bridge.board.automation import AutomationWriter
from plugin_bridge.board.parameter_tree import Key
from tests.board_instruments import RATE, noise

ROOT = Path(__file__).resolve().parent.parent
RAMP = round(0.02 * RATE)
MUTE = Key("mid", None, "mute")


def recorded(path: Path, board: StemBoard, sample_rate: int = RATE) -> AutomationWriter:
    """A recording that begins with a board."""
    values = board.to_dict()
    return AutomationWriter(path, sample_rate, values["model"], values["strips"], values["master"])


def recording(path: Path, board: StemBoard, changes: list[tuple], sample_rate: int = RATE) -> Path:
    """A recording of changes at given frames."""
    with recorded(path, board, sample_rate) as writer:
        for change in changes:
            writer.write(*change)
    return path


def song(path: Path, frames: int = RATE, rate: int = RATE, seed: int = 1) -> Path:
    soundfile.write(path, noise(frames, seed=seed).T, rate, subtype="FLOAT")
    return path


def read(folder: str | Path, *names: str) -> np.ndarray:
    """Sound files of a folder, `(names, channels, frames)`."""
    files = [
        soundfile.read(Path(folder) / f"{name}.wav", dtype="float32", always_2d=True)[0] for name in names
    ]
    return np.stack(files).transpose(0, 2, 1)


def run(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command `render` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "plugin_bridge", "render", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PLUGIN_BRIDGE_DATA": str(cwd / "data")},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
