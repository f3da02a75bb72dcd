"""The rows of the papers' tables as trials: what to train or take, on which songs, and how to score it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.folders import data_folders
from plugin_bridge.training.evaluation import PROTOCOLS, Protocol
from plugin_bridge.training.recipe import Recipe, load_recipe
from plugin_bridge.training.report_published import Published

Changes = dict[str, dict[str, Any]]
"""Values to lay over the tables of a recipe."""


class Scoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One evaluation of a trial, and the rows of the tables that it fills."""

    rows: list[str] = []
    shifts: Annotated[int, msgspec.Meta(ge=1)] = 1
    renamed: dict[str, str] = {}


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network to train from its recipe, or a `model` that needs no training; see study.toml."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+$")]
    data: str
    scores: list[Scoring]
    protocol: str = "musdb"
    architecture: str | None = None
    model: str | None = None
    preset: str | None = None
    changes: Changes = {}
    on_processor: Changes = {}

    @property
    def scored_by(self) -> Protocol:
        """The protocol, as `evaluate` knows it."""
        return cast(Protocol, self.protocol)


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All trials; `on_processor` is laid over the recipes where there is no accelerator."""

    trials: list[Trial]
    on_processor: Changes = {}


def load_study(path: str | os.PathLike[str] | None = None) -> Study:
    """The study of a file, by default that of the papers' tables.

    Raises `ModelError` for a file that is not of this form.
    """
    path = Path(path) if path else Path(__file__).with_name("study.toml")
    try:
        study = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Study)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ModelError(f"a study must have the known form, got {path}: {error}; mend the file") from error
    seen = set()
    for trial in study.trials:
        if trial.id in seen:
            raise ModelError(f"trials must have an id each, got '{trial.id}' twice in {path}")
        if (trial.architecture is None) == (trial.model is None):
            raise ModelError(
                f"trial '{trial.id}' must name an architecture to train or a model, and not both"
            )
        if trial.protocol not in PROTOCOLS:
            raise ModelError(
                f"trial '{trial.id}' must have a protocol of {', '.join(PROTOCOLS)}, got '{trial.protocol}'"
            )
        seen.add(trial.id)
    return study


def chosen(study: Study, words: Sequence[str], found: Published) -> list[Trial]:
    """The trials that fill what the words name (a paper, a table, a row) or are, without words all.

    Of a trial only those scorings stay that were asked for. Raises `ValueError` for a word without any.
    """
    if not words:
        return study.trials
    rows_of = {table.id: {row.id for row in table.rows} for table in found.tables}
    used: set[str] = set()

    def asked(trial: Trial, scoring: Scoring) -> bool:
        naming = [
            word
            for word in words
            if word == trial.id
            or any(row == word or row.startswith(f"{word}/") for row in scoring.rows)
            or rows_of.get(word, set()) & set(scoring.rows)
        ]
        used.update(naming)
        return bool(naming)

    kept = [
        msgspec.structs.replace(trial, scores=scores)
        for trial in study.trials
        if (scores := [scoring for scoring in trial.scores if asked(trial, scoring)])
    ]
    for word in words:
        if word not in used:
            raise ValueError(
                f"a table must be one of {', '.join(rows_of)}, or a paper, a row or a trial, got '{word}'"
            )
    return kept


def recipe_of(trial: Trial, minutes: float, on_processor: Changes | None = None) -> Recipe:
    """What a trial trains: its architecture's recipe with its changes, and without accelerator those of both.

    Raises `ModelError` where there is no such recipe, or a change does not fit it.
    """
    paths = [folder / str(trial.architecture) / "recipe.toml" for folder in data_folders("models")]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise ModelError(f"trial '{trial.id}' must be of a recipe's architecture, got '{trial.architecture}'")
    values = msgspec.to_builtins(load_recipe(found))
    values["smoke"] = {}
    if trial.preset:
        values["config"] = {"preset": trial.preset}
    slow = {} if on_processor is None else trial.on_processor
    for changes in (on_processor or {}, trial.changes, slow):
        for table, keys in changes.items():
            values[table] = {**values.get(table, {}), **keys}
    values["budget"] = {"minutes": minutes}
    try:
        return msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise ModelError(f"trial '{trial.id}' must fit its recipe, got: {error}; mend the study") from error
