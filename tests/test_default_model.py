"""The default model: trained, fit for a stage, the same live and offline, and never in need of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import StreamingSeparator
from tests.little_song import little_song

ROOT = Path(__file__).resolve().parent.parent
RATE, FRAMES = 44100, 70_001
STEMS = ("vocals", "drums", "bass", "other")
LATEST_SECONDS = 1024 / 44100


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """One and a half seconds of music, a number of frames that is no multiple of anything."""
    mix = np.sum([*little_song(RATE).values()], axis=0)[:, RATE : RATE + FRAMES]
    soundfile.write(tmp_path / "song.wav", mix.T, RATE, subtype="FLOAT")
    return tmp_path / "song.wav"


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment whose every process fails where it imports torch."""
    package = tmp_path / "without" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('nothing of this may import torch')\n")
    paths = os.pathsep.join([str(package.parent), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "PLUGIN_BRIDGE_DATA": str(tmp_path / "none")}


def run(*words: str, folder: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "plugin_bridge", *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def by_hand(mix: np.ndarray) -> np.ndarray:
    """The model's stream, hop after hop. Shape: `(2, frames)` to `(sources, 2, frames)`."""
    separator = catalogue.load(catalogue.DEFAULT_MODEL)
    assert isinstance(separator, StreamingSeparator)
    stream = separator.stream()
    hops = -(-(mix.shape[1] + stream.latency) // stream.hop)
    padded = np.pad(mix, ((0, 0), (0, hops * stream.hop - mix.shape[1])))
    blocks = np.split(padded, hops, axis=1)
    stems = np.concatenate([stream.process(np.ascontiguousarray(block)) for block in blocks], axis=-1)
    return stems[..., stream.latency :][..., : mix.shape[1]]


def test_it_is_a_trained_one_for_the_stage() -> None:
    card = catalogue.card(catalogue.DEFAULT_MODEL)
    assert card.streaming and card.latency is not None and card.hop is not None
    assert (card.latency + card.hop) / card.sample_rate <= LATEST_SECONDS
    assert tuple(card.sources) == STEMS
    assert card.weights is not None and card.engine is not None
    assert card.licence.startswith("CC-BY-NC-SA-4.0")


@pytest.mark.parametrize("model", [(), ("--model", "live4")], ids=["by default", "by name"])
def test_a_render_is_its_stream_bit_for_bit(
    song: Path, model: tuple[str, ...], without_torch: dict[str, str]
) -> None:
    out = run("render", song.name, *model, "--json", folder=song.parent, environment=without_torch)
    (report,) = json.loads(out)
    assert report["model"] == "live4"
    mix = read(song)
    for stem, expected in zip(STEMS, by_hand(mix), strict=True):
        np.testing.assert_array_equal(read(song.parent / "stems" / "song" / f"{stem}.wav"), expected)


def test_served_it_gives_what_it_gives_by_hand(song: Path, without_torch: dict[str, str]) -> None:
    options = ("--audio", "file", "--input", song.name, "--output", "out.wav", "--no-osc")
    said = run("serve", *options, folder=song.parent, environment=without_torch)
    assert said.startswith("live4 at 44100 Hz")
    mix, out = read(song), read(song.parent / "out.wav")
    np.testing.assert_allclose(out[:2], mix, atol=1e-6)
    np.testing.assert_allclose(out[2:].reshape(4, 2, -1), by_hand(mix), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("models", "list"), "live and render, the default"),
        (("models", "show", "live4"), "architecture: band_split_rnn"),
        (("presets", "show", "karaoke"), "vocals"),
        (("osc", "list", "--preset", "stem_master"), "/stem/other/gain"),
        (("layout", "reaper", "-o", "stems.ReaperOSC"), "vocals, drums, bass, other"),
    ],
)
def test_what_asks_for_its_stems_needs_no_torch(
    words: tuple[str, ...], said: str, tmp_path: Path, without_torch: dict[str, str]
) -> None:
    assert said in run(*words, folder=tmp_path, environment=without_torch)
