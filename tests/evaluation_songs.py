"""What the tests of scoring need: short songs on disk whose stems are noise of known level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 8000
SOURCES = ("vocals", "drums", "bass", "other")


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def songs(folder: Path, names: Sequence[str] = ("a", "b"), *, frames: int = RATE, channels: int = 1) -> Path:
    """Four stems for each name, all different, in files of 32 bits."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        stems = noise(len(SOURCES), frames, channels, seed=number)
        for source, stem in zip(SOURCES, stems, strict=True):
            soundfile.write(folder / name / f"{source}.wav", stem, RATE, subtype="FLOAT")
    return folder


def clips(folder: Path, lengths: Sequence[int] = (4000, 8000)) -> Path:
    """Clips as MIR-1K publishes them: music left, voice right."""
    folder.mkdir(parents=True)
    for number, frames in enumerate(lengths):
        both = noise(frames, 2, seed=number)
        soundfile.write(folder / f"amy_1_{number:02}.wav", both, RATE, subtype="FLOAT")
    return folder
