"""Which of a paper's orders our results show too, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plugin_bridge.training.evaluation import Evaluation
from plugin_bridge.training.report import decibels, training_words
from plugin_bridge.training.report_published import Row, Table, results_of


def order_sentences(table: Table, results: Sequence[Evaluation]) -> list[str]:
    """A sentence for each order of the paper that ours is not, and one that counts those that are.

    An order is a pair of rows with different values in the paper, or one that its text claims. Compared are
    results on the same data, and of networks with the same training.
    """
    checked, sentences, unlike = 0, [], False
    for better, worse in _pairs(table):
        pairs = [
            (above, below)
            for above in results_of(better, table, results)
            for below in results_of(worse, table, results)
        ]
        fair = [pair for pair in pairs if comparable(*pair)]
        unlike = unlike or (bool(pairs) and not fair)
        for above, below in fair:
            ours = _score(above, table), _score(below, table)
            if ours[0] is None or ours[1] is None:
                continue
            checked += 1
            if ours[0] <= ours[1]:
                sentences.append(_sentence(table, better, worse, ours[0], ours[1]))
    if checked:
        sentences.append(
            f"Of {checked} orders of the paper that could be checked, {checked - len(sentences)} reproduce."
        )
    if unlike:
        sentences.append("Some rows differ in training or data and were not compared with each other.")
    return sentences


def comparable(one: Evaluation, other: Evaluation) -> bool:
    """Whether two results are of the same stems, and if both are of networks, with the same training."""
    if one.data != other.data or sorted(one.sources) != sorted(other.sources):
        return False
    trained = one.model.sha256 is not None and other.model.sha256 is not None
    return not trained or _training(one) == _training(other)


def _training(result: Evaluation) -> tuple[str | None, str | None]:
    # Without a stated budget, what the weights say: never quite the same minutes, so to the nearest half.
    minutes = result.model.training.get("minutes")
    own = (
        f"{round(2 * minutes) / 2:g} minutes" if isinstance(minutes, int | float) else training_words(result)
    )
    return result.budget or own, result.trained_on


def _pairs(table: Table) -> Iterator[tuple[Row, Row]]:
    rows = {row.id: row for row in table.rows}
    at = list(table.columns).index(table.order)
    claimed = [tuple(claim) for claim in table.claims]
    for better, worse in table.claims:
        yield rows[better], rows[worse]
    for better_row in table.rows:
        for worse_row in table.rows:
            high, low = better_row.value(at), worse_row.value(at)
            known = high is not None and low is not None and high > low
            if known and (better_row.id, worse_row.id) not in claimed:
                yield better_row, worse_row


def _score(result: Evaluation, table: Table) -> float | None:
    scores = result.main.summary.get(table.stem, {}).get(table.columns[table.order])
    value: float | None = getattr(scores, table.statistic) if scores else None
    return value


def _sentence(table: Table, better: Row, worse: Row, ours_better: float, ours_worse: float) -> str:
    at = list(table.columns).index(table.order)
    high, low = better.value(at), worse.value(at)
    stated = f" ({high:g} and {low:g} dB {table.order})" if high is not None and low is not None else ""
    return (
        f"**Does not reproduce:** the paper has {better.label} above {worse.label}{stated}; here it is not "
        f"({decibels(ours_better)} and {decibels(ours_worse)} dB)."
    )
