"""How runs learned: loss by step and by learning rate, and the SDR that each learning rate came to."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from plugin_bridge.errors import ModelError
from plugin_bridge.training.figures_scores import save
from plugin_bridge.training.report import load_all
from plugin_bridge.training.scores_summary import ALL


@dataclass(frozen=True)
class RunLog:
    """What a run's folder tells: the lines of its log, and the SDR of results that lie in it, if any."""

    name: str
    steps: list[int]
    learning_rates: list[float]
    losses: list[float]
    sdr_db: float | None

    @property
    def learning_rate(self) -> float:
        """The largest, which is what a recipe states."""
        return max(self.learning_rates)


def read_run(folder: Path) -> RunLog:
    """A run's log. Raises `ModelError` for a folder without one, or one that is damaged or empty."""
    try:
        with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        steps = [int(line["step"]) for line in lines]
        rates = [float(line["learning_rate"]) for line in lines]
        losses = [float(line["loss"]) for line in lines]
    except OSError as error:
        raise ModelError(f"a run must have a log.csv, got {folder}: {error.strerror}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / 'log.csv'} must be a run's log, got: {error}") from error
    if not steps:
        raise ModelError(f"{folder / 'log.csv'} must hold steps, got none; train longer")
    results = load_all(folder)
    sdr = results[0].main.summary[ALL]["sdr"].median if results else None
    return RunLog(folder.resolve().name, steps, rates, losses, sdr)


def of_runs(folders: Sequence[Path], folder: Path) -> list[Path]:
    """The pictures of some runs; the files' names. Raises as `read_run`."""
    runs = [read_run(run) for run in folders]
    made = [save(losses(runs), folder, "loss-by-learning-rate")]
    if any(run.sdr_db is not None for run in runs):
        made.append(save(sdr_by_learning_rate(runs), folder, "sdr-by-learning-rate"))
    return made


def losses(runs: Sequence[RunLog]) -> Figure:
    """Loss by step on the left; on the right by the learning rate of the moment (Zhang 2024, fig. 4.1 b)."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    by_step, by_rate = figure.subplots(1, 2, sharey=True)
    for run in runs:
        by_step.plot(run.steps, run.losses, label=f"{run.name} ({run.learning_rate:.1e})", linewidth=0.9)
        by_rate.plot(run.learning_rates, run.losses, ".", markersize=3)
    by_step.set(xlabel="step", ylabel="loss")
    by_rate.set(xlabel="learning rate", xscale="log")
    by_step.legend(fontsize=7)
    return figure


def sdr_by_learning_rate(runs: Sequence[RunLog]) -> Figure:
    """The SDR of every run that was scored, by its learning rate."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    panel = figure.subplots()
    scored = sorted((run.learning_rate, run.sdr_db) for run in runs if run.sdr_db is not None)
    panel.plot([rate for rate, _ in scored], [sdr for _, sdr in scored], "o-")
    panel.set(xlabel="learning rate", ylabel="SDR in dB, median over songs, mean over stems", xscale="log")
    panel.grid(alpha=0.3)
    return figure
