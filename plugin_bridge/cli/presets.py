"""Tell which presets there are, show one, or check a preset file."""

import argparse

from plugin_bridge.cli.text import on_one_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `presets list`, `presets show` and `presets check`."""
    actions = parser.add_subparsers(dest="action", metavar="list|show|check", required=True)
    actions.add_parser("list", help="one line for each preset", allow_abbrev=False)
    show = actions.add_parser("show", help="everything in one preset, as TOML", allow_abbrev=False)
    show.add_argument("name", metavar="NAME", help="a preset's name or file")
    check = actions.add_parser("check", help="build the board of a preset file", allow_abbrev=False)
    check.add_argument("file", metavar="FILE", help="a .toml file")


def run(arguments: argparse.Namespace) -> int:
    """Print the list, the preset, or that it is well."""
    if arguments.action == "list":
        _list()
    elif arguments.action == "show":
        _show(arguments.name)
    else:
        _check(arguments.file)
    return 0


def _list() -> None:
    from plugin_bridge.board.preset import Preset
    from plugin_bridge.errors import PresetError

    names = Preset.names()
    width = max((len(name) for name in names), default=0)
    for name in names:
        try:
            preset = Preset.load(name)
        except PresetError as error:
            print(f"{name:<{width}}  {on_one_line(f'broken: {error}')}")
            continue
        print(f"{name:<{width}}  {preset.model or 'any model'}  {preset.description}")
    for path in Preset.misnamed():
        print(f"left out: {on_one_line(str(path))}: a preset's name must have only a-z, 0-9, '-' and '_'")


def _show(name: str) -> None:
    import msgspec
    import tomlkit

    from plugin_bridge.board.preset import Preset

    preset = Preset.load(name)
    print(tomlkit.dumps({"schema": preset.schema, **msgspec.to_builtins(preset)}), end="")


def _check(file: str) -> None:
    from pathlib import Path

    from plugin_bridge.board.preset import Preset
    from plugin_bridge.board.stemboard import StemBoard

    preset = Preset.load(Path(file))
    board = StemBoard.from_preset(preset)
    moved = ", ".join(preset.strips) or "no strip"
    print(f"{file} is well: '{preset.name}' moves {moved} of {', '.join(board.sources)}")
