"""The board that a render runs through, from the names of a model and a preset."""

import hashlib
from dataclasses import dataclass

import msgspec

from plugin_bridge.board.preset import Preset
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.errors import DeviceError
from plugin_bridge.render.plan import Voicing
from plugin_bridge.separation import catalogue


@dataclass(frozen=True)
class Recipe:
    """What to build a board from: a model or a preset's own, a preset or none, a compute device."""

    model: str | None = None
    preset: str | None = None
    device: str = "auto"


def build(recipe: Recipe) -> tuple[StemBoard, Voicing]:
    """The board, and what reports state of it.

    Raises `ModelError`, `PresetError` or `DeviceError` for what is unknown or does not fit together.
    """
    preset = Preset.load(recipe.preset) if recipe.preset else None
    model = recipe.model or (preset and preset.model) or catalogue.DEFAULT_MODEL
    if recipe.device not in ("auto", "cpu"):
        raise DeviceError(
            f"device must be one that '{model}' runs on, got '{recipe.device}'; use cpu or auto"
        )
    sha256 = catalogue.model_hash(model)
    if preset is None:
        return StemBoard(model), Voicing(model, sha256)
    content = hashlib.sha256(msgspec.json.encode(preset, order="sorted")).hexdigest()
    return StemBoard.from_preset(preset, separator=model), Voicing(model, sha256, preset.name, content)
