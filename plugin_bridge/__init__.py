"""Stem separation as a pedalboard effect, a live processor and an offline renderer.

The public names are loaded on first use, so that `import plugin_bridge` and `plugin-bridge --help`
load neither torch nor pedalboard.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.board.board import Board as Board
    from plugin_bridge.board.effects import load_plugin as load_plugin
    from plugin_bridge.board.nodes import Isolate as Isolate
    from plugin_bridge.board.nodes import Remove as Remove
    from plugin_bridge.board.nodes import StemMix as StemMix
    from plugin_bridge.board.preset import Preset as Preset
    from plugin_bridge.board.stemboard import StemBoard as StemBoard
    from plugin_bridge.board.strip import Strip as Strip
    from plugin_bridge.render.job import render as render
    from plugin_bridge.separation.catalogue import load

    load_separator = load

__version__ = "0.1.0.dev0"

_PUBLIC = {
    "Board": "plugin_bridge.board.board:Board",
    "Isolate": "plugin_bridge.board.nodes:Isolate",
    "Preset": "plugin_bridge.board.preset:Preset",
    "Remove": "plugin_bridge.board.nodes:Remove",
    "StemBoard": "plugin_bridge.board.stemboard:StemBoard",
    "StemMix": "plugin_bridge.board.nodes:StemMix",
    "Strip": "plugin_bridge.board.strip:Strip",
    "load_plugin": "plugin_bridge.board.effects:load_plugin",
    "load_separator": "plugin_bridge.separation.catalogue:load",
    # A room and a function in one: importing the room binds this name, so the room itself is callable.
    "render": "plugin_bridge.render",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
