"""Measure composed songs against real ones and write a page of tables."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `compose-report`."""
    add = parser.add_argument
    add("composed", metavar="DIR", type=Path, help="the folder that `compose` wrote")
    add("--reference", metavar="DIR", type=Path, required=True, help="real songs with the same four stems")
    add("--name", metavar="WORDS", help="what the page calls the real songs (default: their folder's name)")
    add("-o", "--output", metavar="FILE", type=Path, default=Path("docs/composer.md"), help="the page")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the page."""
    from plugin_bridge.training.composer_report import report

    command = "python -m plugin_bridge.training compose-report COMPOSED --reference REAL"
    page = report(
        arguments.composed, arguments.reference, arguments.name or arguments.reference.name, command
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(page, "utf-8")
    print(f"written: {arguments.output}")
    return 0
