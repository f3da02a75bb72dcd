"""Stem separation as a pedalboard effect, a live processor and an offline renderer.

The public names are loaded on first use, so that `import plugin_bridge` and `plugin-bridge --help`
load neither torch nor pedalboard.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

_PUBLIC = {
    "Board": "plugin_bridge.board.board:Board",
    "Isolate": "plugin_bridge.board.nodes:Isolate",
    "Preset": "plugin_bridge.board.preset:Preset",
    "Remove": "plugin_bridge.board.nodes:Remove",
    "StemBoard": "plugin_bridge.board.stemboard:StemBoard",
    "StemMix": "plugin_bridge.board.nodes:StemMix",
    "Strip": "plugin_bridge.board.strip:Strip",
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
