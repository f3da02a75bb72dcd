"""Files in, stems out: the offline renderer.

`plugin_bridge.render` is a room and a function in one. `plugin_bridge.render("song.wav")` runs
`plugin_bridge.render.job.render`, which is loaded on the first call; `plugin_bridge.render.riff` and its
neighbours are ordinary submodules.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.render.report import Report


class _CallableRoom(ModuleType):
    """A module that can be called, because importing the room binds its name over the function's."""

    def __call__(self, *arguments: Any, **settings: Any) -> "list[Report]":
        """Separate sound files into stems on disk; see `plugin_bridge.render.job.render`."""
        from plugin_bridge.render.job import render

        return render(*arguments, **settings)


sys.modules[__name__].__class__ = _CallableRoom
