"""Box plots of scores: a panel for each stem, a box for each model over its songs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from plugin_bridge.errors import ModelError
from plugin_bridge.training.evaluation import Evaluation, FormResult
from plugin_bridge.training.report import NAMES


def box_plots(results: Sequence[Evaluation], score: str, folder: Path) -> list[Path]:
    """One picture for each set of stems and songs that models were scored on, mix/N beside; the files' names.

    Raises `ValueError` for results in which no song has the score, `ModelError` for a folder that cannot be
    written.
    """
    made = []
    groups = sorted({(result.protocol, result.data, tuple(result.sources)) for result in results})
    for place, (protocol, data, sources) in enumerate(groups):
        here = [result for result in results if (result.protocol, result.data) == (protocol, data)]
        here = [result for result in here if tuple(result.sources) == sources]
        boxes: dict[str, FormResult] = {here[0].baseline.what: here[0].baseline}
        boxes |= {(result.rows or [result.model.name])[0]: result.main for result in here}
        if not any(song.scores[sources[0]].get(score) is not None for song in here[0].baseline.songs):
            continue
        title = f"{NAMES.get(score, score)}, {data}, {protocol}"
        made.append(save(_panels(boxes, sources, score, title), folder, f"{score}-by-stem-{place + 1}"))
    if not made:
        raise ValueError(f"box plots must have results with the score '{score}', got none")
    return made


def _panels(boxes: dict[str, FormResult], sources: Sequence[str], score: str, title: str) -> Figure:
    figure = Figure(figsize=(1.5 + 3 * len(sources), 2.5 + 0.28 * len(boxes)), layout="constrained")
    panels = figure.subplots(1, len(sources), sharey=True, squeeze=False)[0]
    for panel, source in zip(panels, sources, strict=True):
        values = [values_of(form, source, score) for form in boxes.values()]
        panel.boxplot(values, orientation="horizontal", showmeans=True)
        panel.set_title(source)
        panel.set_xlabel(f"{NAMES.get(score, score)} in dB")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(1, len(boxes) + 1), list(boxes))
    figure.suptitle(title)
    return figure


def values_of(form: FormResult, source: str, score: str) -> list[float]:
    """The scores of the songs that have one."""
    found = [song.scores[source].get(score) for song in form.songs]
    return [value for value in found if value is not None]


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write a picture and tell its name. Raises `ModelError` where it cannot be written."""
    path = folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise ModelError(f"pictures must be writable in {folder}, got: {error.strerror}") from error
    return path
