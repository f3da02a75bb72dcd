"""Presets and models as the server deals with them: as plans, as files, as lists of names."""

from __future__ import annotations

import time

import msgspec

from plugin_bridge.board.preset import Preset
from plugin_bridge.errors import ModelError, PresetError
from plugin_bridge.live.protocol import BoardPlan, Described
from plugin_bridge.separation import catalogue

_FRESH_SECONDS = 1.0


def plan_of(preset: Preset | None, model: str | None) -> BoardPlan:
    """The board of a preset on a model; the preset's own model, else the default one, where none is named.

    Raises `ModelError` for an unknown model.
    """
    name = model or (preset.model if preset else None) or catalogue.DEFAULT_MODEL
    catalogue.model_folder(name)
    if preset is None:
        return BoardPlan(name)
    strips = {source: msgspec.structs.asdict(settings) for source, settings in preset.strips.items()}
    return BoardPlan(name, strips, msgspec.structs.asdict(preset.master))


def preset_of(name: str, model: str, described: Described) -> Preset:
    """The preset of a board that a worker has described. Raises `PresetError` where there is none."""
    values = {"name": name, "model": model, "strips": described.strips, "master": described.master}
    try:
        return msgspec.convert(values, Preset)
    except msgspec.ValidationError as error:
        raise PresetError(f"a preset must have the known form to be saved, got: {error}") from error


class Names:
    """Names of models and presets, looked up on the disk at most once a second."""

    def __init__(self) -> None:
        self._presets: list[str] = []
        self._models: list[str] = []
        self._seen_at = {"presets": -_FRESH_SECONDS, "models": -_FRESH_SECONDS}

    def forget(self) -> None:
        """Look again at the next call."""
        self._seen_at = dict.fromkeys(self._seen_at, -_FRESH_SECONDS)

    def _stale(self, kind: str) -> bool:
        now = time.monotonic()
        if now < self._seen_at[kind] + _FRESH_SECONDS:
            return False
        self._seen_at[kind] = now
        return True

    def presets(self) -> list[str]:
        """All presets, sorted."""
        if self._stale("presets"):
            self._presets = Preset.names()
        return self._presets

    def models(self) -> list[str]:
        """Models that can stream, sorted; one with a broken card is none."""
        if self._stale("models"):
            self._models = [name for name in catalogue.names() if _streams(name)]
        return self._models


def _streams(name: str) -> bool:
    try:
        return catalogue.card(name).streaming
    except ModelError:
        return False
