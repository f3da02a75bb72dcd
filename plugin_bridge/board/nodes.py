"""Stem boards for single purposes, to be put between effects in a `Board`."""

from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.board.strip import Strip
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import Separator


class Isolate(StemBoard):
    """Keeps one stem, or several, and drops the rest.

    Raises `ValueError` for a stem that the separator does not give.
    """

    def __init__(self, *stems: str, separator: Separator | str = catalogue.DEFAULT_MODEL) -> None:
        if not stems:
            raise ValueError("Isolate must name at least one stem, got none; for example Isolate('vocals')")
        super().__init__(separator)
        kept = {id(self[stem]) for stem in stems}
        for strip in self.strips.values():
            strip.mute = id(strip) not in kept


class Remove(StemBoard):
    """Drops one stem, or several, and keeps the rest; `Remove("vocals")` makes a karaoke track.

    Raises `ValueError` for a stem that the separator does not give.
    """

    def __init__(self, *stems: str, separator: Separator | str = catalogue.DEFAULT_MODEL) -> None:
        if not stems:
            raise ValueError("Remove must name at least one stem, got none; for example Remove('vocals')")
        super().__init__(separator, {stem: Strip(mute=True) for stem in stems})


class StemMix(StemBoard):
    """Sets the level of stems in dB: `StemMix(vocals_db=-6, drums_db=2)`.

    Raises `ValueError` for a stem that the separator does not give or a gain outside its range, and
    `TypeError` for an argument without `_db`.
    """

    def __init__(self, *, separator: Separator | str = catalogue.DEFAULT_MODEL, **gains_db: float) -> None:
        for name in gains_db:
            if not name.endswith("_db"):
                raise TypeError(f"StemMix must get gains as STEM_db, got '{name}'; write {name}_db")
        super().__init__(
            separator,
            {name.removesuffix("_db"): Strip(gain_db=gain_db) for name, gain_db in gains_db.items()},
        )
