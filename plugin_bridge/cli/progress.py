"""How a render is watched: a bar with the time left on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from plugin_bridge.cli.text import on_one_line
from plugin_bridge.render.naming import display
from plugin_bridge.render.observer import Observer
from plugin_bridge.render.report import Report


@contextmanager
def watch(stream: TextIO) -> Iterator[Observer]:
    """An observer that prints to `stream` for as long as the block lasts."""
    if not stream.isatty():
        yield Lines(stream)
        return
    console = Console(file=stream)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield Bars(progress)


class Ledger:
    """Passes everything on to another observer, and keeps the reports in the order the songs ended."""

    def __init__(self, observer: Observer) -> None:
        self.begin, self.advance, self._end = observer.begin, observer.advance, observer.end
        self.reports: list[Report] = []

    def end(self, path: Path, report: Report) -> None:
        """Keep the report."""
        self.reports.append(report)
        self._end(path, report)


class Lines:
    """One line for each song that ended."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """Say nothing: a log wants results."""

    def advance(self, path: Path, frames: int) -> None:
        """Say nothing."""

    def end(self, path: Path, report: Report) -> None:
        """Print how the song ended."""
        for line in sentences(report):
            print(line, file=self._stream, flush=True)


class Bars:
    """One bar for each song at work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """Show a bar as long as the song."""
        self._tasks[path] = self._progress.add_task(escape(on_one_line(display(path.name))), total=frames)

    def advance(self, path: Path, frames: int) -> None:
        """Move the song's bar."""
        self._progress.advance(self._tasks[path], frames)

    def end(self, path: Path, report: Report) -> None:
        """Replace the song's bar by how it ended."""
        if path in self._tasks:
            self._progress.remove_task(self._tasks.pop(path))
        for line in sentences(report):
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def sentences(report: Report) -> list[str]:
    """What a person wants to know of a song: one line, and more where more happened."""
    lines = [on_one_line(line) for line in _lines(report)]
    return [*lines, report.details] if report.details else lines


def _lines(report: Report) -> list[str]:
    if report.status == "failed":
        return [f"failed: {report.error}"]
    if report.status == "skipped":
        return [f"kept: {report.source} -> {report.folder} (done already)"]
    lines = [f"done: {report.source} -> {report.folder} ({_figures(report)})"]
    if report.common_gain_db:
        lines.append(f"  all stems have {report.common_gain_db:+.2f} dB, so that none clips")
    if report.silenced_samples:
        lines.append(f"  {report.silenced_samples} samples were no numbers and are silence now")
    if report.not_carried:
        lines.append(f"  not carried over: {', '.join(report.not_carried)}")
    if report.earlier_kept:
        lines.append(f"  still there from an earlier render: {', '.join(report.earlier_kept)}")
    return lines


def _figures(report: Report) -> str:
    figures = ["1 file" if len(report.stems) == 1 else f"{len(report.stems)} files"]
    if report.null_residual_dbfs is not None:
        figures.append(f"null {report.null_residual_dbfs:.0f} dBFS")
    elif report.null_reason:
        figures.append(f"no null: {report.null_reason}")
    if report.real_time_factor:
        figures.append(f"{1 / report.real_time_factor:.1f} x real time")
    return ", ".join(figures)
