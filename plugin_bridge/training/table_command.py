"""Write docs/results.md: our results beside the papers' published figures."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `table`."""
    parser.add_argument(
        "results",
        nargs="?",
        metavar="RESULTS_DIR",
        default="docs/results",
        help="where `study` or `evaluate` wrote its JSON (default: docs/results)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", default="docs/results.md", help="the page to write")
    parser.add_argument("--list", action="store_true", help="print the ids of all rows for `evaluate --row`")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, or print the ids."""
    from plugin_bridge.errors import ModelError
    from plugin_bridge.training.report import load_all
    from plugin_bridge.training.report_published import published, row_ids
    from plugin_bridge.training.report_table import page

    found = published()
    if arguments.list:
        print(*row_ids(found), sep="\n")
        return 0
    results = load_all(Path(arguments.results))
    known = set(row_ids(found))
    for result in results:
        if unknown := sorted(set(result.rows) - known):
            raise ModelError(f"a result's row must be one of `table --list`, got '{unknown[0]}'")
    output = Path(arguments.output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page(found, results), "utf-8")
    except OSError as error:
        raise ModelError(f"the page must be writable at {output}, got: {error.strerror}") from error
    print(f"{output}: {len(results)} results")
    return 0
