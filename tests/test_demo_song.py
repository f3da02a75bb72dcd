"""The demo song is the exact sum of its true stems, and its program still makes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
STEMS = ("vocals", "drums", "bass", "other")


def read(path: Path) -> NDArray[np.int16]:
    """Shape: `(channels, frames)`, in the file's own 16-bit steps."""
    audio, sample_rate = soundfile.read(path, dtype="int16")
    assert sample_rate == 44100
    return audio.T


@pytest.fixture(scope="module")
def stems() -> dict[str, NDArray[np.int16]]:
    return {name: read(EXAMPLES / "demo-stems-true" / f"{name}.flac") for name in STEMS}


def test_the_stems_sum_to_the_song_exactly(stems: dict[str, NDArray[np.int16]]) -> None:
    total = np.sum(list(stems.values()), axis=0, dtype=np.int64)
    np.testing.assert_array_equal(total, read(EXAMPLES / "demo.flac"))


def test_the_song_is_loud_and_does_not_clip() -> None:
    peak = np.abs(read(EXAMPLES / "demo.flac").astype(int)).max()
    assert 20 * np.log10(peak / 32768) == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("name", STEMS)
def test_every_stem_is_heard(stems: dict[str, NDArray[np.int16]], name: str) -> None:
    stem = stems[name] / 32768
    assert stem.shape[0] == 2
    assert 12 <= stem.shape[1] / 44100 <= 14
    assert 10 * np.log10((stem**2).mean()) > -30


def test_the_singer_is_silent_before_the_verse(stems: dict[str, NDArray[np.int16]]) -> None:
    assert not stems["vocals"][:, : int(1.5 * 44100)].any()
    assert stems["drums"][:, : int(1.5 * 44100)].any()


@pytest.mark.slow
def test_composing_again_gives_the_same_song(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "compose_demo.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for name in STEMS:
        made = read(tmp_path / "demo-stems-true" / f"{name}.flac").astype(int)
        kept = read(EXAMPLES / "demo-stems-true" / f"{name}.flac").astype(int)
        # One step of 16 bits: another processor may round the last bit of a sine otherwise.
        assert np.abs(made - kept).max() <= 1
