"""The benchmarks' framework: tables that land in the README, and every benchmark with a place there."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import discovered
from benchmarks.tables import Table, machine, publish, with_table
from plugin_bridge.separation import catalogue

README = Path(__file__).resolve().parent.parent / "README.md"
TABLE = Table("Speed", ("method", "times real time"), (("a", "3.1"),), "On one core.")


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have 2 cells, got 1: \('a',\)"):
        Table("Speed", ("method", "x"), (("a",),), "")


def test_publishing_replaces_the_block_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    other = "<!-- table: other -->\nkept\n<!-- /table -->\n"
    before = f"above\n<!-- table: speed -->\nold\n<!-- /table -->\nbetween\n{other}below\n"
    (tmp_path / "README.md").write_text(before, "utf-8")
    publish("speed", TABLE, tmp_path)
    after = (tmp_path / "README.md").read_text("utf-8")
    assert after == before.replace("old", TABLE.markdown())
    assert (tmp_path / "benchmarks" / "results" / "speed.md").read_text("utf-8") == TABLE.markdown() + "\n"
    publish("speed", TABLE, tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == after


@pytest.mark.parametrize("count", [0, 2])
def test_a_text_without_one_such_block_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"one block '<!-- table: speed -->', got {count}"):
        with_table("<!-- table: speed -->\n<!-- /table -->\n" * count, "speed", "body")


def test_every_benchmark_has_its_place_in_the_readme() -> None:
    blocks = re.findall(r"^<!-- table: (\w+) -->$", README.read_text("utf-8"), re.MULTILINE)
    assert len(blocks) == len(set(blocks))
    assert set(discovered()) <= set(blocks)


def test_a_published_result_is_the_one_in_the_readme() -> None:
    readme = README.read_text("utf-8")
    for result in sorted((README.parent / "benchmarks" / "results").glob("*.md")):
        assert with_table(readme, result.stem, result.read_text("utf-8").rstrip("\n")) == readme


def test_cards_state_the_speed_that_the_table_states() -> None:
    table = (README.parent / "benchmarks" / "results" / "separators.md").read_text("utf-8")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    measured = {row[0].strip("|` "): float(row[3]) for row in rows}
    assert measured == {name: catalogue.card(name).real_time_factor for name in measured}


def test_the_machine_is_described_without_naming_it() -> None:
    described = machine("numpy")
    assert "cores" in described
    assert "numpy" in described
    assert platform.node() not in described
