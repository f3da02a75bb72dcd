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
from typing import NoReturn, TextIO

from plugin_bridge import __version__
from plugin_bridge.cli import (
    devices,
    doctor,
    evaluate,
    layout,
    midi,
    models,
    osc,
    presets,
    render,
    serve,
    train,
)
from plugin_bridge.cli.text import on_one_line
from plugin_bridge.errors import DeviceError, ModelError, PluginBridgeError, PresetError

DONE, SOME_FAILED, USAGE = 0, 1, 2
INTERRUPTED, READER_GONE = 130, 141


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

    0: all well; 1: some files failed, or the output could not be written; 2: wrong usage; 130 after Ctrl-C,
    143 after SIGTERM, 129 after SIGHUP.
    """
    _heed_signals()
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no song's name is worth a trace
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    except BrokenPipeError:
        _silence(sys.stdout)  # whoever read our output has closed it (head, less)
        return READER_GONE
    except OSError as error:
        _silence(sys.stdout)
        if isinstance(error.__context__, KeyboardInterrupt):
            return _interrupted(error.__context__)  # the terminal that hung up takes no output either
        complain(f"{error.filename or 'the output'} must be usable, got: {error.strerror or error}")
        return SOME_FAILED


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    complain("interrupted")
    return interrupt.code if isinstance(interrupt, _Terminated) else INTERRUPTED


def _fill_closed_streams() -> None:
    """Give closed standard streams their numbers back, lest a stem gets one and is printed into.

    Reading and complaining into nothing is fine; a result that nobody gets is an error, as on a full disk.
    """
    usual = (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    for number, (name, mode, access) in enumerate(usual):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, access)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _silence(stream: TextIO) -> None:
    """What is still unwritten goes nowhere; Python would complain once more on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(words: list[str]) -> int:
    parser, commands = _parser()
    parsed, unknown = parser.parse_known_args(words)
    command = commands.get(parsed.command, parser)
    if unknown:
        command.error(_unknown(unknown[0], command.options()))
    try:
        code: int = parsed.run(parsed)
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
    for module in (render, serve, devices, doctor, models, presets, layout, midi, osc, train, evaluate):
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
    """One line on stderr, if anyone can read it."""
    try:
        print(on_one_line(f"plugin-bridge: {sentence}"), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: everything cleans up as after Ctrl-C; `code` is the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def _heed_signals() -> None:
    signal.signal(signal.SIGTERM, _terminate)
    # nohup has it ignored, and means it.
    if os.name != "nt" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated(number)
