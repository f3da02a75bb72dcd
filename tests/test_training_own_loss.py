"""Networks with a loss of their own: the loop uses it, and a resumed run ends where a whole one does."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.networks.network import SelfMeasuringNetwork
from plugin_bridge.training.loop import Run
from plugin_bridge.training.recipe import Budget, Examples, Objective, Optimiser, Recipe
from plugin_bridge.training.songs import batches_of

SELF_MEASURING = [
    name
    for name in networks.architectures()
    if isinstance(networks.build(name, {"preset": "tiny"}), SelfMeasuringNetwork)
]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of two tones and noise, two seconds."""
    folder = tmp_path_factory.mktemp("songs")
    generator = np.random.default_rng(0)
    (folder / "song").mkdir()
    for at, source in enumerate(("vocals", "accompaniment")):
        tone = np.sin(2 * np.pi * 300 * (at + 1) * np.arange(32000) / 16000)
        noise = 0.02 * generator.standard_normal(32000)
        soundfile.write(folder / "song" / f"{source}.wav", 0.1 * tone + noise, 16000)
    return folder


def run_of(architecture: str, songs: Path, folder: Path, *, steps: int = 6, resume: bool = False) -> Run:
    recipe = Recipe(
        architecture=architecture,
        config={"preset": "tiny"},
        mixed_precision=False,
        examples=Examples(seconds=0.25, batch=2),
        objective=Objective(waveform=1e6),  # nobody could take it for the own loss
        optimiser=Optimiser(learning_rate=1e-3, warm_up_steps=1, final_share=1.0),
        budget=Budget(steps=steps),
    )
    batches = batches_of(recipe, [songs], folder.parent / "cache")
    return Run(recipe, batches, folder, device="cpu", resume=resume, note=lambda line: None)


def test_there_are_such_networks() -> None:
    assert {"deep_clustering", "deep_attractor", "mlrr"} <= set(SELF_MEASURING)


@pytest.mark.parametrize("architecture", SELF_MEASURING)
def test_the_logged_loss_is_the_networks_own(architecture: str, songs: Path, tmp_path: Path) -> None:
    training = run_of(architecture, songs, tmp_path / "run", steps=1)
    network = training.network
    assert isinstance(network, SelfMeasuringNetwork)
    stems = torch.from_numpy(training.batches.batch(0).stems)
    own = float(network.eval().own_loss(stems.sum(1), stems).detach())
    training.train()
    with (tmp_path / "run" / "log.csv").open() as file:
        logged = float(next(csv.DictReader(file))["loss"])
    assert logged == pytest.approx(own, abs=2e-6)


@pytest.mark.parametrize("architecture", SELF_MEASURING)
def test_a_resumed_run_ends_where_a_whole_one_does(architecture: str, songs: Path, tmp_path: Path) -> None:
    run_of(architecture, songs, tmp_path / "whole").train()
    assert run_of(architecture, songs, tmp_path / "begun", steps=3).train().steps == 3
    assert run_of(architecture, songs, tmp_path / "begun", resume=True).train().steps == 6
    whole, resumed = (
        checkpoint.read(tmp_path / name / "weights.safetensors").tensors for name in ("whole", "begun")
    )
    assert whole.keys() == resumed.keys()
    assert all(whole[name].equal(resumed[name]) for name in whole)
