"""The board that a render runs through, from the names of a model and a preset."""

from dataclasses import dataclass

from plugin_bridge.render.blocks import Board
from plugin_bridge.render.plan import Voicing
from plugin_bridge.separation import catalogue


@dataclass(frozen=True)
class Recipe:
    """What to build a board from: a model or a preset's own, a preset or none, a compute device."""

    model: str | None = None
    preset: str | None = None
    device: str = "auto"


def build(recipe: Recipe) -> tuple[Board, Voicing]:
    """The board, and what reports state of it.

    Raises `ModelError`, `PresetError` or `DeviceError` for what is unknown or does not fit together.
    """
    from plugin_bridge.board.stemboard import StemBoard

    name = recipe.model or catalogue.DEFAULT_MODEL
    return StemBoard(name), Voicing(name, catalogue.model_hash(name))
