"""Recipes: how a network is trained, as a TOML file beside its card."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.training.augmentation import Augmentation
from plugin_bridge.training.augmentation_variants import Variant, parsed_variants
from plugin_bridge.training.remix import Sampling

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table of a recipe: unknown keys are errors."""


class Examples(Part, frozen=True, kw_only=True):
    """How examples are cut from songs: `seconds` each, `batch` at once, `consecutive` from one stream."""

    seconds: Positive = 6.0
    batch: Count = 8
    consecutive: Count = 1
    remix: Share = 0.8
    silent: Share = 0.1
    gain_db: tuple[float, float] = (-9.0, 3.0)
    swap: Share = 0.5
    polarity: Share = 0.5
    shift_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.5
    effects: Share = 0.0
    variants: list[list[float]] = []
    """Pairs of semitones and tempo, beside the original."""

    def sampling(self, sample_rate: int) -> Sampling:
        """How batches are drawn at a rate, in Hz. Raises `ValueError` for values that contradict."""
        changes = ("gain_db", "swap", "polarity", "shift_seconds", "effects")
        return Sampling(
            frames=max(1, round(self.seconds * sample_rate)),
            batch=self.batch,
            consecutive=self.consecutive,
            remix=self.remix,
            silent=self.silent,
            augmentation=Augmentation(**{name: getattr(self, name) for name in changes}),
        )

    def song_variants(self) -> list[Variant]:
        """The original and the pitch and tempo variants of every song. Raises `ValueError` out of range."""
        return parsed_variants(self.variants)


class Objective(Part, frozen=True, kw_only=True):
    """What is made small: a distance of estimates and stems, in one or both domains, by weight."""

    distance: Literal["l1", "l2", "smooth_l1", "log_l2"] = "l1"
    waveform: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    spectrum: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    spectrum_windows: tuple[Count, ...] = (2048,)
    multi_resolution: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Optimiser(Part, frozen=True, kw_only=True):
    """Adam with weight decay, a linear warm-up, then a cosine to `final_share` of the learning rate."""

    learning_rate: Positive = 3e-4
    final_share: Share = 0.01
    warm_up_steps: Annotated[int, msgspec.Meta(ge=0)] = 100
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: Positive = 5.0
    accumulate: Count = 1
    average: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.999
    """How slowly the exponential average of the weights, which is what is kept, follows them."""


class Budget(Part, frozen=True, kw_only=True):
    """When training ends: after so many minutes, or exactly so many steps."""

    minutes: Positive | None = 60.0
    steps: Count | None = None
    checkpoint_minutes: Positive = 3.0


class Recipe(Part, frozen=True, kw_only=True):
    """Everything that decides what is trained, but for the folders of songs and the device."""

    architecture: str
    config: dict[str, Any] = {}
    seed: int = 0
    mixed_precision: bool = True
    compiled: bool = False
    """Whether steps are compiled for the machine, which gives other last bits: see `acceleration`."""
    examples: Examples = Examples()
    objective: Objective = Objective()
    optimiser: Optimiser = Optimiser()
    budget: Budget = Budget()
    smoke: dict[str, Any] = {}
    """Tables laid over the others for a run of seconds that shows that everything works."""

    @property
    def digest(self) -> str:
        """The sha256 of what must not change between a checkpoint and the run that goes on from it."""
        fixed = {name: value for name, value in msgspec.to_builtins(self).items() if name != "budget"}
        if not self.compiled:  # runs that are older than the key go on
            del fixed["compiled"]
        return hashlib.sha256(msgspec.json.encode(fixed, order="sorted")).hexdigest()


def load_recipe(path: str | os.PathLike[str], *, smoke: bool = False) -> Recipe:
    """The recipe of a file, with its `smoke` tables laid over the rest on request.

    Raises `ModelError` for a file that cannot be read, is not TOML, or has an unknown key or a wrong value.
    """
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ModelError(
            f"a recipe must be a readable file, got {path}: {error.strerror}; choose another"
        ) from error
    except ValueError as error:
        raise ModelError(f"a recipe must be TOML, got {path}: {error}; mend the file") from error
    if smoke:
        for table, changes in values.get("smoke", {}).items():
            values[table] = {**values.get(table, {}), **changes} if isinstance(changes, dict) else changes
    try:
        return msgspec.convert(values, Recipe)
    except msgspec.ValidationError as error:
        raise ModelError(f"a recipe must have the known form, got {path}: {error}; mend the file") from error
