"""How much memory `plugin-bridge render` takes as files get longer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.tables import Table, machine

name = "memory"

ROOT = Path(__file__).resolve().parent.parent
RATE = 44100
MINUTE = 60
HOUR = 60 * MINUTE
CASES = (
    ("bands", MINUTE),
    ("bands", 3 * MINUTE),
    ("bands", HOUR),
    ("bands", 3 * HOUR),
    ("repet", 3 * MINUTE),
    ("repet", HOUR),
)


def write_source(path: Path, seconds: int) -> None:
    """A file of so many seconds: ten seconds of stereo noise, over and over, 16-bit."""
    ten = (0.1 * np.random.default_rng(0).standard_normal((10 * RATE, 2))).astype(np.float32)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16", format="RF64") as file:
        for _ in range(seconds // 10):
            file.write(ten)


def peak_mebibytes(model: str, source: Path, folder: Path) -> float:
    """The largest resident size of a process that renders a file."""
    command = [
        sys.executable,
        "-m",
        "plugin_bridge",
        "render",
        str(source),
        "-o",
        str(folder),
        "--model",
        model,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"rendering {source.name} must end well, got exit code {process.returncode}")
    return usage.ru_maxrss / 1024


def run() -> Table:
    """Render a file of each length; needs about 14 GB of free disk for the longest."""
    rows, three_minutes = [], {}
    for model, seconds in CASES:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "noise.wav"
            write_source(source, seconds)
            peak = peak_mebibytes(model, source, Path(folder) / "stems")
        if seconds == 3 * MINUTE:
            three_minutes[model] = peak
        length = f"{seconds // MINUTE} min" if seconds < HOUR else f"{seconds // HOUR} h"
        rows.append((model, length, peak))
    return Table(
        title="Peak memory of `plugin-bridge render`",
        columns=("model", "length", "peak", "against 3 minutes"),
        rows=tuple(
            (model, length, f"{peak:.0f} MiB", f"{peak - three_minutes[model]:+.0f} MiB")
            for model, length, peak in rows
        ),
        note="Resident size of the process; stereo noise at 44.1 kHz, float32 stems. "
        f"{machine('numpy', 'scipy')}",
    )
