"""What the papers report, read from published.toml, and which of our results belongs to which row."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import networks
from plugin_bridge.training.evaluation import Evaluation
from plugin_bridge.training.evaluation_models import Facts

Value = float | str
"""A number as printed, a text such as `3.22 ± 2.91`, or `-` for what is not reported."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of a paper's table; `architecture` and `preset` say which of our models it is."""

    id: str
    label: str
    values: list[Value]
    architecture: str | None = None
    preset: str | None = None

    def value(self, column: int) -> float | None:
        """The number in a column, None where the paper has none."""
        return leading_number(self.values[column])


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table or figure of a paper, and what of ours is compared with it; see published.toml."""

    id: str
    paper: str
    title: str
    protocol: str
    stem: str
    statistic: str
    order: str
    columns: dict[str, str]
    rows: list[Row]
    notes: list[str] = []
    claims: list[tuple[str, str]] = []
    averages: bool = False
    deviation: bool = False


class OutOfReach(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a paper no computation reproduces, and why."""

    paper: str
    what: str
    why: str


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A paper's number among ours, and its title."""

    id: str
    title: str


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the papers report."""

    tables: list[Table]
    out_of_reach: list[OutOfReach]
    papers: list[Paper]


def published(path: Path | None = None) -> Published:
    """The papers' figures. Raises `ModelError` for a file that is not of this form."""
    path = path or Path(__file__).with_name("published.toml")
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Published)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ModelError(f"published figures must be readable, got {path}: {error}; mend the file") from error
    for table in found.tables:
        for row in table.rows:
            if len(row.values) != len(table.columns):
                raise ModelError(
                    f"row '{row.id}' of {table.id} must have {len(table.columns)} values, "
                    f"got {len(row.values)}"
                )
    return found


def row_ids(found: Published) -> list[str]:
    """Every row's id, once, in order."""
    return list(dict.fromkeys(row.id for table in found.tables for row in table.rows))


def results_of(row: Row, table: Table, results: Sequence[Evaluation]) -> list[Evaluation]:
    """Our results of a row: those that name it, else those of its architecture and config."""
    here = [result for result in results if result.protocol == table.protocol]
    named = [result for result in here if row.id in result.rows]
    return named or [result for result in here if not result.rows and _is_of(result.model, row)]


def _is_of(model: Facts, row: Row) -> bool:
    if row.architecture is None or model.architecture != row.architecture:
        return False
    if row.preset is None:
        return True
    if row.architecture not in networks.architectures() or row.preset not in networks.presets(
        row.architecture
    ):
        return False
    wanted = networks.values(networks.config(row.architecture, {"preset": row.preset}))
    return _plain(wanted) == _plain(model.config)


def _plain(values: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(values))


def leading_number(value: Value) -> float | None:
    """The number that a value begins with.

    >>> leading_number("3.22 ± 2.91"), leading_number("-"), leading_number(5.5)
    (3.22, None, 5.5)
    """
    if not isinstance(value, str):
        return float(value)
    found = re.match(r"-?\d+(\.\d+)?", value)
    return float(found[0]) if found else None
