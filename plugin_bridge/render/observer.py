"""Who is told while songs are rendered."""

from pathlib import Path
from typing import Protocol

from plugin_bridge.render.report import Report


class Observer(Protocol):
    """Hears of each song: its length when it begins, the frames done since, and how it ended."""

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """A song begins; `frames` at `sample_rate` Hz are to be separated."""

    def advance(self, path: Path, frames: int) -> None:
        """So many frames more are separated."""

    def end(self, path: Path, report: Report) -> None:
        """The song is rendered, skipped or failed."""


class Silent:
    """An observer that says nothing."""

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """Say nothing."""

    def advance(self, path: Path, frames: int) -> None:
        """Say nothing."""

    def end(self, path: Path, report: Report) -> None:
        """Say nothing."""
