"""`plugin-bridge`: the parser, and the way to each command.

A command is a module with `add_arguments(parser)` and `run(arguments)`; it imports what is heavy only when
it runs, so that `--help` answers at once.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import FrameType
from typing import NoReturn

from plugin_bridge import __version__
from plugin_bridge.cli import devices, doctor, models, presets, render, serve
from plugin_bridge.errors import DeviceError, ModelError, PluginBridgeError, PresetError

DONE, SOME_FAILED, USAGE = 0, 1, 2
INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence with candidates, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Say it in one line and leave with exit code 2."""
        complain(f"{message}; see {self.prog} --help")
        raise SystemExit(USAGE)

    def options(self) -> list[str]:
        """All option strings that this parser knows."""
        return sorted(self._option_string_actions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    0: all well; 1: some files failed; 2: wrong usage; 130 after Ctrl-C, 143 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no song's name is worth a trace
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt as interrupt:
        complain("interrupted")
        return TERMINATED if isinstance(interrupt, _Terminated) else INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has closed it (head, less). Python would complain once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _run(words: list[str]) -> int:
    parser, commands = _parser()
    parsed, unknown = parser.parse_known_args(words)
    command = commands.get(parsed.command, parser)
    if unknown:
        command.error(_unknown(unknown[0], command.options()))
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except (ModelError, PresetError, DeviceError, ValueError) as error:
        complain(str(error))
        return USAGE
    except PluginBridgeError as error:
        complain(str(error))
        return SOME_FAILED


def _parser() -> tuple[OneLineParser, dict[str, OneLineParser]]:
    parser = OneLineParser(
        prog="plugin-bridge", description="Stem separation for audio engineers.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"plugin-bridge {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands = {}
    for module in (render, serve, devices, doctor, models, presets):
        name = module.__name__.rpartition(".")[2]
        summary = (module.__doc__ or "").partition("\n")[0]
        command = subparsers.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
        commands[name] = command
    return parser, commands


def _unknown(word: str, known: list[str]) -> str:
    near = get_close_matches(word.partition("=")[0], known, n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"known options: {', '.join(known)}"
    return f"option must be a known one, got '{word}'; {remedy}"


def complain(sentence: str) -> None:
    """One line on stderr."""
    print(" ".join(f"plugin-bridge: {sentence}".split()), file=sys.stderr)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: everything cleans up as after Ctrl-C."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated
