"""What a benchmark returns, and the two places it is written to."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

BLOCK = "<!-- table: {name} -->\n{body}\n<!-- /table -->"


@dataclass(frozen=True)
class Table:
    """One measured table. Every row has a cell for each column; the note says how it was measured."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"each row must have {len(self.columns)} cells, got {len(row)}: {row}")

    def markdown(self) -> str:
        """The table as GitHub shows it: title, cells, note.

        >>> print(Table("Speed", ("method", "x"), (("a", "1"),), "one core").markdown())
        **Speed**
        <BLANKLINE>
        | method | x |
        |---|---|
        | a | 1 |
        <BLANKLINE>
        one core
        """
        head, *rows = (f"| {' | '.join(line)} |" for line in (self.columns, *self.rows))
        rule = "|---" * len(self.columns) + "|"
        return "\n".join([f"**{self.title}**", "", head, rule, *rows, "", self.note])


def processor() -> str:
    """The processor's model name, as far as the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def machine(*libraries: str) -> str:
    """One sentence on where a table was measured: processor, cores, threads, Python and these libraries."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{library} {metadata.version(library)}" for library in libraries]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    cores = f"{os.cpu_count()} cores, OMP_NUM_THREADS {threads}"
    return f"{processor()}, {cores}, {platform.system()}; {', '.join(versions)}."


def with_table(text: str, name: str, body: str) -> str:
    """The text with the block of that name replaced.

    Raises ValueError if the text does not have exactly one such block.

    >>> with_table("<!-- table: a -->\\nold\\n<!-- /table -->", "a", "new")
    '<!-- table: a -->\\nnew\\n<!-- /table -->'
    """
    block = re.compile(rf"<!-- table: {re.escape(name)} -->\n.*?<!-- /table -->", re.DOTALL)
    result, count = block.subn(lambda _: BLOCK.format(name=name, body=body), text)
    if count != 1:
        raise ValueError(f"the text must have one block '<!-- table: {name} -->', got {count}; add one")
    return result


def publish(name: str, table: Table, root: Path) -> None:
    """Write a table to `benchmarks/results/<name>.md` and into the README's block of that name."""
    results = root / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / f"{name}.md").write_text(table.markdown() + "\n", "utf-8")
    readme = root / "README.md"
    readme.write_text(with_table(readme.read_text("utf-8"), name, table.markdown()), "utf-8")
