"""Results of evaluations as files: JSON to read again, Markdown to look at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.training.evaluation import Evaluation, FormResult
from plugin_bridge.training.scores_summary import ALL, Statistics

NAMES = {
    "sdr": "SDR",
    "isr": "ISR",
    "sir": "SIR",
    "sar": "SAR",
    "nsdr": "NSDR",
    "global_sdr": "global SDR",
    "si_sdr": "SI-SDR",
}

_EXPLAINED = {
    "musdb": (
        "SDR, ISR, SIR, SAR: BSSEval 4, median over frames of 1 s, then median over songs (mean in "
        "brackets). Frames in which a stem is silent that sounds elsewhere are left out. Global SDR and "
        "SI-SDR: over the whole song."
    ),
    "mir1k": (
        "BSSEval 3 (bss_eval_sources) on clips in mono. SDR, SIR, SAR: plain means over clips. GNSDR, GSIR, "
        "GSAR: means weighted by the clips' lengths; NSDR is SDR less that of the mix itself."
    ),
    "paper001": (
        "The ratios of Polimeno et al. (eqs. 1 to 3): mean and standard deviation over songs, in the last "
        "row over songs and stems."
    ),
}


def save(evaluation: Evaluation, folder: Path) -> tuple[Path, Path]:
    """Write `NAME.json` and `NAME.md`, the name made of model and protocol (or row), and tell where.

    Raises `ModelError` where they cannot be written.
    """
    row = evaluation.rows[0] if evaluation.rows else ""
    name = (row or f"{evaluation.model.name}-{evaluation.protocol}").replace("/", "-")
    paths = folder / f"{name}.json", folder / f"{name}.md"
    save_json(evaluation, paths[0])
    try:
        paths[1].write_text(page(evaluation), "utf-8")
    except OSError as error:
        raise ModelError(f"results must be writable in {folder}, got: {error.strerror}") from error
    return paths


def save_json(evaluation: Evaluation, path: Path) -> None:
    """Write results to read again, all or nothing: a line for each song, so that files stay small.

    Raises `ModelError` where they cannot be written.
    """
    # No string within holds a quotation mark next to a bracket but as JSON's own: names of songs are escaped.
    text = (
        msgspec.json.encode(evaluation)
        .replace(b'{"name":', b'\n {"name":')
        .replace(b'{"what":', b'\n{"what":')
    )
    aside = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(text + b"\n")
        aside.replace(path)
    except OSError as error:
        raise ModelError(f"results must be writable in {path.parent}, got: {error.strerror}") from error


def load(path: Path) -> Evaluation:
    """The results in a JSON file. Raises `ModelError` for a file that is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except OSError as error:
        raise ModelError(f"results must be a readable file, got {path}: {error.strerror}") from error
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} must be results that `evaluate` wrote, got: {error}; evaluate again"
        ) from error


def load_all(folder: Path) -> list[Evaluation]:
    """All results in a folder and below, by path; other JSON files are passed over.

    Raises `ModelError` for a folder that is not there, and for results that are damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"results must lie in a folder, got '{folder}'; check the path")
    return [load(path) for path in sorted(folder.rglob("*.json")) if _is_results(path)]


def _is_results(path: Path) -> bool:
    """Whether a file claims to be ours; its other faults are `load`'s to tell."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ModelError(f"results must be a readable file, got {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return isinstance(found, dict) and {"protocol", "forms"} <= found.keys()


def page(evaluation: Evaluation) -> str:
    """Everything about one evaluation as Markdown."""
    model = evaluation.model
    lines = [
        f"# {model.name}",
        "",
        f"- architecture: {model.architecture}"
        + (f", {model.parameters:,} parameters" if model.parameters else ""),
        f"- config: {_config(model.config)}",
        f"- weights: {'sha256 ' + model.sha256 if model.sha256 else 'none'}",
    ]
    trained = training_words(evaluation)
    lines += [f"- training: {trained}"] if trained else []
    lines += [
        f"- protocol: {evaluation.protocol}. {_EXPLAINED[evaluation.protocol]}",
        f"- data: {evaluation.data}, {', '.join(str(rate) for rate in evaluation.sample_rates)} Hz, "
        f"{evaluation.channels} channels, mix = sum of the stems",
        f"- machine: {evaluation.machine}",
        "",
    ]
    for form in evaluation.forms:
        lines += [f"## {form.what}", "", *form_table(form, evaluation.protocol), *_left_out(form), ""]
    lines += _below(evaluation)
    return "\n".join(lines).rstrip() + "\n"


def training_words(evaluation: Evaluation) -> str:
    """Budget and data of the training, as far as they were stated or lie in the weights."""
    notes = evaluation.model.training
    budget = evaluation.budget or ", ".join(f"{key} {value}" for key, value in notes.items())
    if evaluation.budget and "steps" in notes:
        budget += f", {notes['steps']} steps"
    words = [budget, evaluation.trained_on or ""]
    return "; ".join(word for word in words if word)


def form_table(form: FormResult, protocol: str) -> list[str]:
    """The lines of a table of sources by scores."""
    columns = list(_columns(form, protocol))
    lines = [_line(["stem", *(title for title, _, _ in columns)]), "|---" * (len(columns) + 1) + "|"]
    for source, scores in form.summary.items():
        cells = [_cell(scores[name], how) for _, name, how in columns]
        lines.append(_line([source if source != ALL else "mean of stems", *cells]))
    return lines


def _columns(form: FormResult, protocol: str) -> Iterable[tuple[str, str, str]]:
    names = list(form.summary.get(ALL, {}))
    if protocol == "mir1k":
        yield from (("GNSDR", "nsdr", "weighted"), ("GSIR", "sir", "weighted"), ("GSAR", "sar", "weighted"))
        names.remove("nsdr")
        yield from ((NAMES[name], name, "mean") for name in names)
    else:
        how = "deviation" if protocol == "paper001" else "median"
        yield from ((NAMES[name], name, how) for name in names)


def _cell(score: Statistics, how: str) -> str:
    if score.mean is None or score.median is None or score.weighted is None:
        return "–"
    if how == "median":
        return f"{decibels(score.median)} ({decibels(score.mean)})"
    if how == "deviation":
        return f"{decibels(score.mean)} ± {decibels(score.deviation)}"
    return decibels(score.mean if how == "mean" else score.weighted)


def decibels(value: float | None) -> str:
    """A score as tables show it.

    Beyond 100 dB, which 16-bit audio does not hold, a number would say nothing but how it was rounded.

    >>> decibels(5.678), decibels(None), decibels(-0.001), decibels(143.5)
    ('5.68', '–', '0.00', '> 100')
    """
    if value is None or math.isnan(value):
        return "–"
    if abs(value) > 100:
        return "> 100" if value > 0 else "< -100"
    return f"{round(value, 2) + 0.0:.2f}"


def _left_out(form: FormResult) -> list[str]:
    """Which stems were left out of songs because they are silent there."""
    summary = {source: scores for source, scores in form.summary.items() if source != ALL}
    sentences = []
    if any(song.frames for song in form.songs):
        whole = sum(max(1, int(song.seconds)) for song in form.songs)
        counts = {source: sum(song.frames.get(source, 0) for song in form.songs) for source in summary}
        said = ", ".join(f"{source} {count}" for source, count in counts.items())
        sentences.append(f"Frames scored, of {whole}: {said}.")
    for source, scores in summary.items():
        fewest = max((score.left_out for score in scores.values()), default=0)
        least = min((score.left_out for score in scores.values()), default=0)
        if fewest:
            sentences.append(
                f"{source} has no score in {least} songs, and in up to {fewest} where a ratio is undefined "
                "(the stem, or all of the estimate, is silent, or no frame has all stems)."
            )
    return ["", *sentences] if sentences else []


def _below(evaluation: Evaluation) -> list[str]:
    """A sentence for each form whose SDR is below that of mix/N."""
    floor = evaluation.baseline.summary[ALL]["sdr"].median
    lines = []
    for form in evaluation.forms[1:]:
        value = form.summary[ALL]["sdr"].median
        if value is not None and floor is not None and value < floor:
            lines.append(
                f"**{form.what}: below {evaluation.baseline.what}** "
                f"({decibels(value)} against {decibels(floor)} dB)."
            )
    return lines


def _config(config: dict[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in config.items()) or "defaults"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
