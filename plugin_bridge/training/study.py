"""A study: trial after trial is trained within one budget and scored; what is done is left as it is."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import torch

from plugin_bridge.errors import AudioFileError, ModelError, PluginBridgeError
from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.device import compute_device
from plugin_bridge.training.datasets import find_songs
from plugin_bridge.training.evaluation import Evaluation, Request, data_words, evaluate, processor
from plugin_bridge.training.evaluation_models import subject
from plugin_bridge.training.loop import Run
from plugin_bridge.training.recipe import Recipe
from plugin_bridge.training.report import load, save_json
from plugin_bridge.training.songs import batches_of
from plugin_bridge.training.study_trials import Changes, Scoring, Trial, recipe_of

LEARNED, SCORED = ("train",), ("dev", "test")
"""What the folders of a data set may be called from which is learned, and on which is scored."""

_FAILURES = (PluginBridgeError, ValueError, TypeError, ModuleNotFoundError, RuntimeError, MemoryError)
"""What may end a trial but not the study; torch tells that memory is out by a `RuntimeError`."""


@dataclass(frozen=True)
class Place:
    """Where a study works: data sets by name, a folder for runs and one for results, device and minutes."""

    data: Mapping[str, Path]
    runs: Path
    results: Path
    minutes: float = 10.0
    device: str = "auto"
    cache: Path | None = None
    note: Callable[[str], None] = print

    @property
    def budget(self) -> str:
        """The budget in words: minutes, device, and on a processor how many threads."""
        device = compute_device(self.device)
        if device.type == "cuda":
            where = torch.cuda.get_device_name(device)
        else:
            where = f"{device.type}: " * (device.type != "cpu") + processor()
            where += f", {torch.get_num_threads()} threads"
        return f"{self.minutes:g} minutes on {where}"

    def folder(self, trial: Trial, names: Sequence[str]) -> Path:
        """The part of a trial's data set that has one of the names.

        Raises `ValueError` for a data set that was not named, `AudioFileError` for one without that part.
        """
        if trial.data not in self.data:
            raise ValueError(
                f"trial '{trial.id}' must have songs, got no data '{trial.data}'; add --data {trial.data}=DIR"
            )
        home = self.data[trial.data]
        found = next((home / name for name in names if (home / name).is_dir()), None)
        if found is None:
            raise AudioFileError(
                f"data '{trial.data}' must have a folder {' or '.join(names)}, got none in {home}"
            )
        return found


class Claim(msgspec.Struct, frozen=True):
    """What a run's folder is of: only with all of it alike does a study go on there."""

    recipe: str
    songs: str
    budget: str


@dataclass(frozen=True)
class Study:
    """Trials in a place. Where there is no accelerator `on_processor` is laid over all recipes."""

    trials: Sequence[Trial]
    place: Place
    on_processor: Changes

    def run(self) -> list[str]:
        """Do what is not done, and tell which trials failed; Ctrl-C saves the run it meets and ends all."""
        failed = []
        for count, trial in enumerate(self.trials, start=1):
            note = self.place.note
            try:
                due = self.due(trial)
                if not due:
                    note(f"{count} of {len(self.trials)}: {trial.id} is done")
                    continue
                note(f"{count} of {len(self.trials)}: {trial.id}")
                self._do(trial, due)
            except _FAILURES as error:
                told = (str(error) or type(error).__name__).splitlines()[0]
                note(f"{trial.id} failed: {told}")
                failed.append(trial.id)
            gc.collect()  # the next network needs the room of this one, whose optimiser is in cycles with it
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return failed

    def recipe(self, trial: Trial) -> Recipe | None:
        """What a trial trains, None without training. Raises as `recipe_of`."""
        if trial.architecture is None:
            return None
        slow = compute_device(self.place.device).type == "cpu"
        return recipe_of(trial, self.place.minutes, self.on_processor if slow else None)

    def due(self, trial: Trial) -> list[Scoring]:
        """The scorings of a trial whose results are not there, or are of another recipe, budget or data.

        Data that were not named are taken to be those of the results. Raises as `recipe_of`, and `ModelError`
        for results that are damaged.
        """
        recipe = self.recipe(trial)
        return [
            scoring
            for scoring in trial.scores
            if not self._is_of(self.result(trial, scoring), trial, scoring, recipe)
        ]

    def result(self, trial: Trial, scoring: Scoring) -> Evaluation | None:
        """The results of a scoring, None where there are none. Raises `ModelError` for a damaged file."""
        path = self._results_path(trial, scoring)
        return load(path) if path.is_file() else None

    def minutes_trained(self, trial: Trial) -> float:
        """How far the run of a trial is: not at all where its folder is of another recipe or budget."""
        path, recipe = self.place.runs / trial.id / "progress.safetensors", self.recipe(trial)
        claim = self._claimed(path.parent)
        if recipe is None or claim is None or not path.is_file():
            return 0.0
        if (claim.recipe, claim.budget) != (recipe.digest, self.place.budget):
            return 0.0
        return float(json.loads(checkpoint.read(path).texts["progress"])["seconds"]) / 60

    def _results_path(self, trial: Trial, scoring: Scoring) -> Path:
        shifts = f"-shifts_{scoring.shifts}" if scoring.shifts > 1 else ""
        return self.place.results / f"{trial.id}{shifts}.json"

    def _is_of(
        self, result: Evaluation | None, trial: Trial, scoring: Scoring, recipe: Recipe | None
    ) -> bool:
        if result is None or result.protocol != trial.protocol:
            return False
        if (result.rows, result.renamed) != (scoring.rows, scoring.renamed):
            return False
        if trial.data in self.place.data:
            folder = self.place.folder(trial, SCORED)
            if result.data != _songs_in_words(folder, tuple(result.sources)):
                return False
        if recipe is None:
            return True
        minutes = (result.budget or "").partition(" minutes")[0]
        alike = (result.recipe, minutes) == (recipe.digest, f"{self.place.minutes:g}")
        return alike and (
            trial.data not in self.place.data or result.trained_on == self._lessons(trial, recipe)
        )

    def _lessons(self, trial: Trial, recipe: Recipe) -> str:
        folder = self.place.folder(trial, LEARNED)
        sources = networks.config(recipe.architecture, recipe.config).sources
        return _songs_in_words(folder, sources)

    def _do(self, trial: Trial, due: Sequence[Scoring]) -> None:
        place, recipe = self.place, self.recipe(trial)
        name, said = str(trial.model), Request(data=place.folder(trial, SCORED), protocol=trial.scored_by)
        if recipe is not None:
            name = str(self._train(trial, recipe))
            said = msgspec.structs.replace(
                said, budget=place.budget, trained_on=self._lessons(trial, recipe), recipe=recipe.digest
            )
        for scoring in due:
            request = msgspec.structs.replace(said, rows=scoring.rows, renamed=scoring.renamed)
            scored = subject(name, device=place.device, shifts=scoring.shifts)
            result = evaluate(scored, request)
            path = self._results_path(trial, scoring)
            save_json(result, path)
            place.note(f"results: {path}")

    def _train(self, trial: Trial, recipe: Recipe) -> Path:
        """The folder of a trial's finished run. Raises `KeyboardInterrupt` where it was interrupted."""
        place, folder = self.place, self.place.runs / trial.id
        self._claim(trial, recipe, folder)
        begun = (folder / "progress.safetensors").is_file()
        if (
            begun
            and self.minutes_trained(trial) >= place.minutes
            and (folder / "weights.safetensors").is_file()
        ):
            return folder
        batches = batches_of(recipe, [place.folder(trial, LEARNED)], place.cache, note=place.note)
        run = Run(recipe, batches, folder, device=place.device, resume=begun, note=place.note)
        if not run.train().finished:
            raise KeyboardInterrupt
        return folder

    def _claim(self, trial: Trial, recipe: Recipe, folder: Path) -> None:
        """Write down what a run's folder is of. Raises `ModelError` for one that is of something else."""
        claim = Claim(recipe=recipe.digest, songs=self._lessons(trial, recipe), budget=self.place.budget)
        if self._claimed(folder) not in (None, claim):
            raise ModelError(
                f"the run in {folder} must be of the same recipe, songs, budget and device, got others; "
                "name other --runs, or delete it"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "trial.json").write_bytes(msgspec.json.encode(claim))
        except OSError as error:
            raise ModelError(f"runs must be writable in {folder}, got: {error.strerror}") from error

    def _claimed(self, folder: Path) -> Claim | None:
        path = folder / "trial.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Claim) if path.is_file() else None
        except (OSError, msgspec.DecodeError) as error:
            raise ModelError(f"{path} must say what its run is of, got: {error}; delete the run") from error


@lru_cache
def _songs_in_words(folder: Path, sources: tuple[str, ...]) -> str:
    return data_words(folder, find_songs(folder, sources))
