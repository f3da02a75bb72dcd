"""The page of results: ours beside the papers', the training's budget and data beside both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plugin_bridge.training.evaluation import Evaluation, FormResult
from plugin_bridge.training.evaluation_forms import RAW
from plugin_bridge.training.report import NAMES, decibels, training_words
from plugin_bridge.training.report_orders import order_sentences
from plugin_bridge.training.report_published import Published, Row, Table, leading_number, results_of
from plugin_bridge.training.scores_summary import ALL

_EPOCH, _PACE = "minutes per epoch", "ours seconds per step"

_INTRODUCTION = """\
# Results

Written by `python -m plugin_bridge.training table`; edit nothing here by hand.

Every table of the papers whose systems are built here, with the paper's figures and ours. The papers trained
for hours to days, where they say so, on more music; ours were trained within the budget that stands beside
each row, so it is the order of the rows that can be compared. "not run" means just that.

- **ours**: mix-consistent stems, as the program gives them. **raw**: the network's own output.
- Models run at their own sample rate and are scored at that of the songs.
- **mix/N**: what an equal share of the mix scores; a row in which ours is below it is marked **below mix/N**.
- `musdb`: BSSEval 4, median over frames of 1 s, then over songs; over stems the mean. The filters of SIR, SAR
  and ISR are applied to whole songs and frames are cut afterwards: museval cuts first, which gives senseless
  values on music with empty bands. `mir1k`: BSSEval 3. `paper001`: that paper's eqs. 1 to 3.
"""


def page(found: Published, results: Sequence[Evaluation]) -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    for paper in found.papers:
        lines += [f"## {paper.id}: {paper.title}", ""]
        for table in (table for table in found.tables if table.paper == paper.id):
            lines += [*section(table, results), ""]
        for missing in (missing for missing in found.out_of_reach if missing.paper == paper.id):
            lines += [f"### {missing.what}", "", missing.why, ""]
    lines += ["## Everything that was scored", "", *everything(results), ""]
    machines = sorted({result.machine for result in results})
    lines += [f"Scored on: {'; '.join(machines)}." if machines else "Nothing was scored yet."]
    return "\n".join(lines) + "\n"


def section(table: Table, results: Sequence[Evaluation]) -> list[str]:
    """One paper's table, our results in it, and what is to be said of it."""
    columns = _titles(table)
    header = ["", *(f"paper {name}" for name in columns), *(f"ours {name}" for name in _ours(table, columns))]
    header += [f"raw {table.order}", f"mix/N {table.order}"]
    header += [_PACE] if _has_pace(table) else []
    header += ["training", "scored on", ""]
    body = [_line(cells) for row in table.rows for cells in _cells(row, table, results)]
    which = "mean of all stems" if table.stem == ALL else table.stem
    return [
        f"### {table.title}",
        "",
        f"Protocol {table.protocol}, {which}, {table.statistic} over songs.",
        "",
        _line(header),
        "|---" * len(header) + "|",
        *body,
        "",
        *(f"- {note}" for note in table.notes),
        *(f"- {sentence}" for sentence in order_sentences(table, results)),
    ]


def everything(results: Sequence[Evaluation]) -> list[str]:
    """Each form of each result in a line, the mean of its stems."""
    if not results:
        return ["Nothing."]
    names = ("sdr", "sir", "sar", "isr", "nsdr", "global_sdr", "si_sdr")
    header = [
        "model",
        "protocol",
        "form",
        *(NAMES[name] for name in names),
        "training",
        "scored on",
        "weights",
    ]
    lines = [_line(header), "|---" * len(header) + "|"]
    shown = set()
    for result in sorted(results, key=lambda result: (result.protocol, result.model.name, result.rows)):
        label = f"{result.model.name} ({', '.join(result.rows)})" if result.rows else result.model.name
        for form in result.forms:
            scores = form.summary[ALL]
            cells = [decibels(scores[name].median) if name in scores else "" for name in names]
            # The mix has no weights and was not trained; it scores the same beside every model.
            known = form is not result.baseline
            what = (result.protocol, result.data, tuple(sorted(result.sources)))
            if not known and what in shown:
                continue
            shown.add(what)
            lines.append(
                _line(
                    [
                        label if known else "the mix",
                        result.protocol,
                        form.what,
                        *cells,
                        training_words(result) if known else "",
                        result.data,
                        (result.model.sha256 or "")[:12] if known else "",
                    ]
                )
            )
    return [
        *lines,
        "",
        "Medians over songs, means over stems, dB. Weights: the first digits of their sha256.",
    ]


def _titles(table: Table) -> list[str]:
    return [*table.columns, *(["average", "average without SIR"] if table.averages else [])]


def _ours(table: Table, columns: Sequence[str]) -> list[str]:
    """The columns that we have a score for."""
    return [name for name in columns if table.columns.get(name, "average")]


def _cells(row: Row, table: Table, results: Sequence[Evaluation]) -> Iterator[list[str]]:
    """One line for each of our results of a row; one that says so where there is none."""
    paper = [row.label, *_paper_cells(row, table)]
    found = results_of(row, table, results)
    wanted = len(_ours(table, _titles(table)))
    if not found:
        yield [*paper, *["not run"] * wanted, *[""] * (6 if _has_pace(table) else 5)]
    for result in found:
        ours = _scores(result.main, table)
        raw, floor = result.form(RAW), _scores(result.baseline, table)
        at = table.columns[table.order]
        yield [
            *paper,
            *_our_cells(result.main, table),
            decibels(_scores(raw, table).get(at)) if raw else "",
            decibels(floor.get(at)),
            *([_pace(result)] if _has_pace(table) else []),
            training_words(result),
            result.data,
            "**below mix/N**" if _below(ours.get(at), floor.get(at)) else "",
        ]


def _has_pace(table: Table) -> bool:
    return _EPOCH in table.columns


def _pace(result: Evaluation) -> str:
    """Seconds per step of the training, where the weights tell."""
    minutes, steps = (result.model.training.get(name) for name in ("minutes", "steps"))
    return f"{60 * minutes / steps:.3g}" if minutes and steps else ""


def _paper_cells(row: Row, table: Table) -> list[str]:
    cells = [value if isinstance(value, str) else _as_printed(value) for value in row.values]
    if table.averages:
        known = {name: leading_number(value) for name, value in zip(table.columns, row.values, strict=True)}
        cells += [f"{mean:.3f}" if mean is not None else "-" for mean in _averages(known)]
    return cells


def _as_printed(value: float) -> str:
    """Two digits, or as many as the paper has.

    >>> _as_printed(5.2), _as_printed(10.134)
    ('5.20', '10.134')
    """
    return max(f"{value:.2f}", f"{value:g}", key=lambda text: len(text.partition(".")[2]))


def _our_cells(form: FormResult, table: Table) -> list[str]:
    scores = form.summary[table.stem]
    ours = _scores(form, table)
    cells = []
    for name in (name for name in table.columns.values() if name):
        deviation = f" ± {decibels(scores[name].deviation)}" if table.deviation else ""
        cells.append(decibels(ours[name]) + (deviation if ours[name] is not None else ""))
    if table.averages:
        cells += [decibels(mean) for mean in _averages({k: ours[v] for k, v in table.columns.items()})]
    return cells


def _scores(form: FormResult, table: Table) -> dict[str, float | None]:
    """By our names, the statistic that the table is of; empty where the form has no such stem."""
    scores = form.summary.get(table.stem, {})
    return {
        name: getattr(scores[name], table.statistic) if name in scores else None
        for name in table.columns.values()
        if name
    }


def _averages(values: dict[str, float | None]) -> list[float | None]:
    """The mean of all, and of all but the SIR."""
    made: list[float | None] = []
    for names in (list(values), [name for name in values if name != "SIR"]):
        some = [values[name] for name in names]
        known = [value for value in some if value is not None]
        made.append(sum(known) / len(known) if known and len(known) == len(some) else None)
    return made


def _below(value: float | None, floor: float | None) -> bool:
    return value is not None and floor is not None and value < floor


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
