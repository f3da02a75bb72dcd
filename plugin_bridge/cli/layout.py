"""Write a control surface's layout or a host's pattern file, for a preset or a model.

touchosc: a .tosc for the TouchOSC app; open-stage-control: a session for Open Stage Control;
reaper: a .ReaperOSC that ties REAPER's first tracks to the stems.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.control.layouts.sheet import Sheet

SUFFIXES = {"touchosc": ".tosc", "open-stage-control": ".json", "reaper": ".ReaperOSC"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `layout`."""
    parser.add_argument("kind", choices=list(SUFFIXES), help="for which program")
    parser.add_argument("--preset", metavar="NAME", help="the preset whose stems it moves")
    parser.add_argument(
        "--model", metavar="NAME", help="the model whose stems it moves (default: the preset's)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="default: plugin-bridge with the kind's ending"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say so."""
    path = Path(arguments.output or f"plugin-bridge{SUFFIXES[arguments.kind]}")
    _check(path, arguments.kind, arguments.force)
    sheet = _sheet(arguments.preset, arguments.model)
    _write(path, _drawers()[arguments.kind](sheet))
    stems = ", ".join(strip.name for strip in sheet.strips)
    print(f"{path}: {stems}")
    return 0


def _check(path: Path, kind: str, force: bool) -> None:
    if path.suffix.lower() != SUFFIXES[kind].lower():
        raise ValueError(f"a {kind} file must end in {SUFFIXES[kind]}, got {path}")
    if path.is_dir():
        raise ValueError(f"the output must be a file, got the folder {path}")
    if path.exists() and not force:
        raise ValueError(f"the output must not exist, got {path}; write over it with --force")


def _drawers() -> dict[str, Callable[[Sheet], bytes]]:
    from plugin_bridge.control.layouts.open_stage_control import open_stage_control
    from plugin_bridge.control.layouts.reaper import reaper
    from plugin_bridge.control.layouts.touchosc import touchosc

    return {"touchosc": touchosc, "open-stage-control": open_stage_control, "reaper": reaper}


def _sheet(preset: str | None, model: str | None) -> Sheet:
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.preset import Preset
    from plugin_bridge.board.stemboard import StemBoard
    from plugin_bridge.control.address_space import table
    from plugin_bridge.control.layouts.sheet import Sheet
    from plugin_bridge.separation import catalogue

    name = model or catalogue.DEFAULT_MODEL
    board = StemBoard.from_preset(Preset.load(preset), model) if preset else StemBoard(name)
    leaves = table(board.sources, board_parameters(board.strips, board.master))
    return Sheet.of(leaves.values(), board.sources, Preset.names())


def _write(path: Path, content: bytes) -> None:
    """Written aside and renamed, so that a file is whole or not there."""
    import os
    from uuid import uuid4

    aside = path.with_name(f".layout-{uuid4().hex}.tmp")
    try:
        try:
            aside.write_bytes(content)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"the output must be in a writable folder, got {path}: {error.strerror}; choose another"
        ) from error
