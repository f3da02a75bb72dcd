"""Train and score the rows of the papers' tables, each within one budget; what is done is left as it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.training.study import Study
    from plugin_bridge.training.study_trials import Trial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `study`."""
    add = parser.add_argument
    add("tables", nargs="*", metavar="TABLE", help="000, 000/table-4.1, a row or a trial (default: all)")
    add("--data", action="append", default=[], metavar="NAME=DIR",
        help="songs by the study's name for them, musdb or mir1k: DIR/train is learned from, DIR/dev or "
        "DIR/test scored; may be repeated")  # fmt: skip
    add("--minutes", type=float, default=10.0, metavar="N", help="training of each trial (default: 10)")
    add("-o", "--output", default="docs/results", metavar="RESULTS", help="results (default: docs/results)")
    add("--runs", default="runs/study", metavar="DIR", help="runs and weights (default: runs/study)")
    add("--device", default="auto", metavar="auto|cpu|cuda|mps", help="where to train and score")
    add("--threads", type=int, default=0, metavar="N", help="threads of the processor (default: all cores)")
    add("--cache", metavar="DIR", help="where decoded songs are kept (default: the user's cache folder)")
    add("--study", metavar="FILE.toml", help="other trials than those of the papers' tables")
    add("--list", action="store_true", help="print the trials, what is done, and how long the rest will take")


def run(arguments: argparse.Namespace) -> int:
    """Do all trials, or list them; 1 when some failed."""
    # Everything below imports torch, which takes seconds that `--help` does not have.
    import torch

    from plugin_bridge.training.report_published import published
    from plugin_bridge.training.study import Place, Study
    from plugin_bridge.training.study_trials import chosen, load_study

    if arguments.minutes <= 0 or arguments.threads < 0:
        raise ValueError(
            f"minutes must be above 0 and threads at least 1, got {arguments.minutes:g}, {arguments.threads}"
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    listed = load_study(arguments.study)
    place = Place(
        data=_data(arguments.data, sorted({trial.data for trial in listed.trials})),
        runs=Path(arguments.runs),
        results=Path(arguments.output),
        minutes=arguments.minutes,
        device=arguments.device,
        cache=Path(arguments.cache) if arguments.cache else None,
        note=lambda line: print(line, flush=True),
    )
    study = Study(chosen(listed, arguments.tables, published()), place, listed.on_processor)
    if arguments.list:
        print(*_lines(study), sep="\n")
        return 0
    failed = study.run()
    done = len(study.trials) - len(failed)
    print(
        f"{done} of {len(study.trials)} trials are done"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _data(texts: list[str], names: list[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, _, folder = text.partition("=")
        if name not in names or not folder:
            raise ValueError(f"data must be NAME=DIR with a name of {', '.join(names)}, got '{text}'")
        if not Path(folder).is_dir():
            raise ValueError(f"data '{name}' must lie in a folder, got '{folder}'; check the path")
        found[name] = Path(folder)
    return found


def _lines(study: Study) -> Iterator[str]:
    """A line for each trial, and how much training is left."""
    left, trained = 0.0, 0
    for trial in study.trials:
        due, missing = study.due(trial), 0.0
        if trial.architecture and due:
            missing = max(0.0, study.place.minutes - study.minutes_trained(trial))
        trained += trial.architecture is not None
        left += missing
        rows = ", ".join(row for scoring in trial.scores for row in scoring.rows) or "no row"
        yield f"{trial.id:28} {_state(study, trial, len(due), missing):32} {rows}"
    yield (
        f"{len(study.trials)} trials, {trained} of them with training: "
        f"{trained * study.place.minutes / 60:.1f} hours at {study.place.minutes:g} minutes each, "
        f"of which {left / 60:.1f} are left; scoring comes on top"
    )


def _state(study: Study, trial: Trial, due: int, missing: float) -> str:
    if not due:
        return "done"
    if trial.architecture is None:
        return "to score"
    if missing == 0:
        return f"trained, {due} to score"
    if missing < study.place.minutes:
        return f"interrupted, {missing:.1f} minutes left"
    others = [study.result(trial, scoring) for scoring in trial.scores]
    other = next((result.budget for result in others if result and result.budget), None)
    return f"to train (has {other})" if other else "to train"
