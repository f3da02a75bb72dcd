"""Print every OSC address of a preset or a model, or the page on OSC.

list: one line for each address, with its types, range and meaning; page: docs/osc.md.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.control.address_space import Leaf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `osc list` and `osc page`."""
    actions = parser.add_subparsers(dest="action", metavar="list|page", required=True)
    listed = actions.add_parser("list", help="one line for each address", allow_abbrev=False)
    listed.add_argument("--preset", metavar="NAME", help="the preset whose stems and effects it moves")
    listed.add_argument(
        "--model", metavar="NAME", help="the model whose stems it moves (default: the preset's)"
    )
    listed.add_argument("--json", action="store_true", help="for programs")
    actions.add_parser("page", help="the page on OSC, with the whole table", allow_abbrev=False)


def run(arguments: argparse.Namespace) -> int:
    """Print the table or the page."""
    if arguments.action == "page":
        _page()
    else:
        leaves = _leaves(arguments.preset, arguments.model)
        _print_json(leaves) if arguments.json else _print(leaves)
    return 0


def _leaves(preset: str | None, model: str | None) -> list[Leaf]:
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.stemboard import StemBoard
    from plugin_bridge.control.address_space import table
    from plugin_bridge.separation import catalogue

    name = model or catalogue.DEFAULT_MODEL
    board = StemBoard.from_preset(preset, model) if preset else StemBoard(name)
    return list(table(board.sources, board_parameters(board.strips, board.master)).values())


def _print(leaves: list[Leaf]) -> None:
    from plugin_bridge.control.osc.page import access, arguments, shown, span

    rows = [
        (
            leaf.path,
            leaf.types,
            access(leaf),
            span(leaf) + ("" if leaf.default is None else f" ({shown(leaf.default)})"),
            leaf.description + (f": {arguments(leaf)}" if leaf.names else ""),
        )
        for leaf in leaves
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[4]]).rstrip())


def _print_json(leaves: list[Leaf]) -> None:
    import json

    print(json.dumps([_described(leaf) for leaf in leaves], indent=1, allow_nan=False))


def _described(leaf: Leaf) -> dict[str, Any]:
    plain = ("path", "types", "names", "unit", "lowest", "highest", "choices", "default")
    more = ("readable", "writable", "topic", "aliases", "command", "description")
    return {name: getattr(leaf, name) for name in (*plain, *more)}


def _page() -> None:
    from plugin_bridge.board.effects import effect_from_dict
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.strip import Strip
    from plugin_bridge.control.address_space import table
    from plugin_bridge.control.osc.page import osc_page

    strip = Strip([effect_from_dict({"effect": "Compressor"})])
    parameters = board_parameters({"vocals": strip}, Strip())
    print(osc_page(table(("vocals",), parameters).values(), "vocals"), end="")
