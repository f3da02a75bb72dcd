"""Files in, stems out: the offline renderer.

`plugin_bridge.render` is a room and a function in one. `plugin_bridge.render("song.wav")` runs
`plugin_bridge.render.job.render`, which is loaded on the first call; `plugin_bridge.render.riff` and its
neighbours are ordinary submodules.
"""

import sys
from collections.abc import Iterable
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.render.report import Report

__all__ = ["render"]


def render(inputs: str | PathLike[str] | Iterable[str | PathLike[str]], **settings: Any) -> "list[Report]":
    """Separate sound files into stems on disk; see `plugin_bridge.render.job.render` for every setting."""
    from plugin_bridge.render.job import render as run

    return run(inputs, **settings)


class _CallableRoom(ModuleType):
    """A module that can be called, because importing the room binds its name over the function's."""

    def __call__(
        self, inputs: str | PathLike[str] | Iterable[str | PathLike[str]], **settings: Any
    ) -> "list[Report]":
        return render(inputs, **settings)


sys.modules[__name__].__class__ = _CallableRoom
