"""The board that a render runs through, from the names of a model and a preset."""

import hashlib
from dataclasses import dataclass

import msgspec

from plugin_bridge.board.automation import Automation
from plugin_bridge.board.preset import Preset
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.render.automated import AutomatedBoard
from plugin_bridge.render.blocks import Board
from plugin_bridge.render.plan import Voicing
from plugin_bridge.separation import catalogue


@dataclass(frozen=True)
class Recipe:
    """What to build a board from: a model or a preset's own, a preset or none, a compute device, shifts.

    An automation brings the board it was made on, for whatever is not given.
    """

    model: str | None = None
    preset: str | Preset | None = None
    device: str = "auto"
    shifts: int | None = None
    automation: Automation | None = None
    automation_start: float = 0.0


def build(recipe: Recipe) -> tuple[Board, Voicing]:
    """The board, and what reports state of it.

    Raises `ModelError`, `PresetError` or `DeviceError` for what is unknown or does not fit together, and
    `ValueError` for a device of no known name, or shifts that the model does not take.
    """
    board, voicing = still_board(recipe)
    if recipe.automation is None:
        return board, voicing
    return AutomatedBoard(board, recipe.automation, recipe.automation_start), voicing


def still_board(recipe: Recipe) -> tuple[StemBoard, Voicing]:
    """The board as it is before anything moves. Raises as `build`."""
    recorded = recipe.automation.preset if recipe.automation else None
    preset = recorded if recipe.preset is None else _preset(recipe.preset)
    own = (preset and preset.model) or (recorded and recorded.model)
    model = recipe.model if recipe.model is not None else own or catalogue.DEFAULT_MODEL
    # A board that is given a name tells it in its errors, and loads with device "auto".
    usual = recipe.device == "auto" and recipe.shifts is None
    separator = model if usual else catalogue.load(model, recipe.device, shifts=recipe.shifts)
    sha256 = catalogue.model_hash(model)
    if preset is None:
        return StemBoard(separator), Voicing(model, sha256)
    content = hashlib.sha256(msgspec.json.encode(preset, order="sorted")).hexdigest()
    return StemBoard.from_preset(preset, separator), Voicing(model, sha256, preset.name, content)


def _preset(named: str | Preset | None) -> Preset | None:
    return named if named is None or isinstance(named, Preset) else Preset.load(named)
