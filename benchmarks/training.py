"""How long the loader takes against a training step, and whole training steps with BiSRU and BiLSTM.

Songs are made up: what they hold costs the same. The networks' recurrent layers alone are in `recurrent`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import soundfile
import torch

from benchmarks.tables import Table, machine
from plugin_bridge.separation.device import compute_device
from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.loop import Run
from plugin_bridge.training.recipe import Budget, Recipe, load_recipe
from plugin_bridge.training.remix import Batch, Batches
from plugin_bridge.training.songs import batches_of
from plugin_bridge.training.study_trials import load_study, recipe_of

name = "training"

MODELS = Path(__file__).resolve().parent.parent / "models"
SONGS, SONG_SECONDS, RATE = 6, 30, 44100
LOADED = 20
"""Batches timed."""
STEPS, WARM_UP_STEPS = 8, 2
USUAL = "Unet-SE-BiSRU"
"""The recipe whose step others are held against."""


def made_songs(folder: Path) -> Path:
    """Songs of noise with a tone in each stem."""
    draw = np.random.default_rng(0)
    at = np.arange(SONG_SECONDS * RATE)[:, None] / RATE
    for song in range(SONGS):
        (folder / f"song {song}").mkdir(parents=True)
        for stem, source in enumerate(("vocals", "drums", "bass", "other")):
            tone = np.sin(2 * np.pi * 110 * (song + stem + 1) * at)
            audio = 0.05 * draw.standard_normal((len(at), 2)) + 0.1 * tone
            soundfile.write(folder / f"song {song}" / f"{source}.wav", audio, RATE)
    return folder


def recipes(device: torch.device) -> list[tuple[str, Recipe]]:
    """The smallest network, and Unet-SE-BiSRU in variants, as they are trained on a device."""
    study = load_study()
    trials = {trial.id: trial for trial in study.trials}
    changes = study.on_processor if device.type == "cpu" else None
    made = [("dual-gate TCN, live (smallest)", load_recipe(MODELS / "dual_gate_tcn_live" / "recipe.toml"))]
    for title, trial in (
        (USUAL, "unet_se_bisru-paper"),
        ("the same with BiLSTM", "unet_se_bisru-bilstm"),
        ("the same with BiGRU", "unet_se_bisru-bigru"),
        ("the same with 16 channels (cheapest in stereo)", "unet_se_bisru-channels_16"),
    ):
        made.append((title, recipe_of(trials[trial], 10, changes)))
    typical = made[1][1]
    played = msgspec.structs.replace(typical, examples=msgspec.structs.replace(typical.examples, effects=1.0))
    return [*made, ("Unet-SE-BiSRU, effects on every stem", played)]


class Timed(Batches):
    """Batches that remember when each step began: the loop takes one at the start of every step."""

    def __init__(self, batches: Batches, clock: Callable[[], float]) -> None:
        super().__init__(batches.songs, batches.sampling, seed=batches.seed)
        self._clock = clock
        self.began: list[float] = []

    def part(self, run: Stems, position: int) -> Batch:
        self.began.append(self._clock())
        return super().part(run, position)


def loader_seconds(batches: Batches) -> float:
    """The median processor time of making one step's batch."""
    times, parts = [], batches.sampling.consecutive
    for run in range(-(-LOADED // parts)):
        began = time.thread_time()
        stems = batches.run(run)
        for position in range(parts):
            batches.part(stems, position)
        times.append((time.thread_time() - began) / parts)
    return statistics.median(times)


def step_seconds(recipe: Recipe, batches: Batches, folder: Path, device: torch.device) -> float:
    """The median time of a step, on a processor that of the training's own thread."""
    timed = Timed(batches, time.thread_time if device.type == "cpu" else time.perf_counter)
    bounded = msgspec.structs.replace(recipe, budget=Budget(minutes=None, steps=STEPS))
    Run(bounded, timed, folder, device=device.type, note=lambda line: None).train()
    took = [end - begin for begin, end in pairwise(timed.began)]
    return statistics.median(took[WARM_UP_STEPS:])


def measured() -> Iterator[tuple[str, ...]]:
    """A row for each recipe."""
    device, usual = compute_device("auto"), 0.0
    with tempfile.TemporaryDirectory() as aside:
        songs = made_songs(Path(aside) / "songs")
        for number, (title, recipe) in enumerate(recipes(device)):
            batches = batches_of(recipe, [songs], Path(aside) / "cache", note=lambda line: None)
            loader = loader_seconds(batches)
            step = step_seconds(recipe, batches, Path(aside) / str(number), device)
            usual = step if title == USUAL else usual
            yield (
                title,
                f"{recipe.examples.batch} x {recipe.examples.seconds:g} s",
                f"{1000 * loader:.0f} ms",
                f"{1000 * step:.0f} ms",
                f"{100 * loader / step:.1f} %",
                f"{step / usual:.2f}" if usual else "",
            )


def run() -> Table:
    """Time loader and steps of each recipe on the fastest device, on a processor with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = tuple(measured())
    finally:
        torch.set_num_threads(before)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "one thread of the processor"
    return Table(
        title="The loader against the training step",
        columns=("recipe", "batch", "loader", "step", "loader / step", "/ BiSRU"),
        rows=rows,
        note=f"Steps on {where}: batch, forward, backward, optimiser; medians of "
        f"{STEPS - WARM_UP_STEPS} after {WARM_UP_STEPS}. The loader makes the next batches beside the step; "
        f"it is timed by itself, the median of {LOADED} batches of made-up songs from the cache. "
        f"Processor time. {machine('torch', 'numpy')}",
    )
