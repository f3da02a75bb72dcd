"""`python -m plugin_bridge.training COMMAND`: train, score and export networks, write tables, compose."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from plugin_bridge.errors import PluginBridgeError

COMMANDS = {
    "train": "train_command",
    "evaluate": "evaluate_command",
    "study": "study_command",
    "table": "table_command",
    "figures": "figures_command",
    "models": "models_table",
    "export": "export_command",
    "compose": "composer_command",
    "compose-report": "composer_report_command",
}
"""The module of each command, which has `add_arguments(parser)` and `run(arguments)`."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all went well, 1 when it could not be done, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m plugin_bridge.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = _module(name)
        command = commands.add_parser(name, help=module.__doc__, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(words)
    try:
        code: int = arguments.run(arguments)
        return code
    except ModuleNotFoundError as error:
        print(
            f"{parser.prog}: the libraries for training must be there, got no {error.name}; "
            "install plugin-bridge[train]",
            file=sys.stderr,
        )
        return 1
    except (PluginBridgeError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130


def _module(name: str) -> ModuleType:
    return import_module(f"plugin_bridge.training.{COMMANDS[name]}")


if __name__ == "__main__":
    sys.exit(main())
