"""Separate sound files into one file per stem."""

import argparse
import sys
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.board.automation import Automation
    from plugin_bridge.render.observer import Observer
    from plugin_bridge.render.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plugin-bridge render`."""
    _add_sources(parser.add_argument)
    _add_outputs(parser.add_argument)
    _add_work(parser.add_argument)


def _add_sources(add: Callable[..., object]) -> None:
    """What is rendered, and by which board."""
    add("inputs", nargs="+", metavar="INPUT", help="sound files and folders of them")
    add(
        "-o",
        "--output",
        default="stems",
        metavar="DIR",
        help="where stems go (default: stems)",
    )
    add("--model", metavar="NAME", help="see plugin-bridge models list")
    add(
        "--preset",
        metavar="NAME",
        help="a preset's name or file; every stem is written as it is after its strip; "
        "see plugin-bridge presets list",
    )
    add(
        "--automation",
        metavar="FILE",
        help="make the moves of a recorded session (serve --record), on its model and with its settings "
        "unless --model or --preset are given; or those of a MIDI file (.mid)",
    )
    add(
        "--automation-start",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="where in a song the automation starts, below 0 before the song (default: 0)",
    )
    add("--midi-map", metavar="NAME", help="how a MIDI file moves the board (default: default)")


def _add_outputs(add: Callable[..., object]) -> None:
    """What is written, and in which form."""
    add("--stems", type=_names, metavar="A,B", help="write only these stems")
    add(
        "--mix",
        action="store_true",
        help="write the sum through the master, beside the stems as they are after their strips",
    )
    add("--format", default="wav", metavar="wav|flac", help="file format (default: wav)")
    add("--subtype", metavar="float32|pcm24|pcm16", help="default: float32 in WAV, pcm24 in FLAC")
    add(
        "--sample-rate",
        type=_rate,
        default="source",
        metavar="source|HZ",
        help="rate of the stems, 1000 to 768000 Hz",
    )
    add(
        "--channels",
        type=_numbers,
        default=(),
        metavar="N[,M]",
        help="read only these channels, counted from 1: one gives mono stems, two give stereo, left first",
    )
    add(
        "--name",
        default="{song}/{stem}.{ext}",
        metavar="TEMPLATE",
        help="names below DIR, from {song} {stem} {ext} {folder} {model} {preset} {rate} {bits} "
        "(default: {song}/{stem}.{ext})",
    )


def _add_work(add: Callable[..., object]) -> None:
    """How the work is done."""
    add("--resume", action="store_true", help="keep what is done and right, redo the rest")
    add(
        "--force",
        action="store_true",
        help="replace what is there, even files that are not stems of an earlier render",
    )
    add("--jobs", type=_count, default=1, metavar="N", help="songs at a time (default: 1)")
    add("--device", default="auto", metavar="auto|cpu|cuda|mps", help="what computes (default: auto)")
    add(
        "--shifts",
        type=_count,
        metavar="N",
        help="average an offline network over N delays of the song (default: as its card says)",
    )
    add("--json", action="store_true", help="print the reports as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Render everything; 1 if a song failed. An interrupt still gets the reports of what was done."""
    from plugin_bridge.cli.progress import Ledger, watch

    with watch(sys.stderr) as observer:
        ledger = Ledger(observer)
        try:
            reports = _render(arguments, ledger)
        except KeyboardInterrupt:
            _print(arguments, ledger.reports)
            raise
    _print(arguments, reports)
    return 1 if any(report.status == "failed" for report in reports) else 0


def _render(arguments: argparse.Namespace, observer: "Observer") -> "list[Report]":
    from plugin_bridge.render.job import render

    return render(
        arguments.inputs,
        arguments.output,
        model=arguments.model,
        preset=arguments.preset,
        automation=_automation(arguments),
        automation_start=arguments.automation_start,
        stems=arguments.stems,
        mix=arguments.mix,
        format=arguments.format,
        subtype=arguments.subtype,
        sample_rate=arguments.sample_rate,
        name=arguments.name,
        channels=arguments.channels,
        resume=arguments.resume,
        force=arguments.force,
        jobs=arguments.jobs,
        device=arguments.device,
        shifts=arguments.shifts,
        observer=observer,
    )


def _automation(arguments: argparse.Namespace) -> "Automation | None":
    path = arguments.automation
    is_midi = path is not None and path.lower().endswith((".mid", ".midi"))
    if arguments.midi_map is not None and not is_midi:
        raise ValueError(
            f"--midi-map must go with an --automation that ends in .mid, got {path}; leave it out"
        )
    if path is None:
        return None
    if is_midi:
        return _midi_automation(arguments)
    from plugin_bridge.board.automation import Automation

    automation = Automation.load(path)
    if automation.warning:
        _tell(automation.warning)
    return automation


def _midi_automation(arguments: argparse.Namespace) -> "Automation":
    from plugin_bridge.board.automation import Automation
    from plugin_bridge.board.parameter_tree import board_parameters, board_values
    from plugin_bridge.control.midi_automation import smf_moves
    from plugin_bridge.control.midi_map import load_map
    from plugin_bridge.render.desk import Recipe, still_board

    its_map = load_map(arguments.midi_map or "default")
    board, _ = still_board(Recipe(arguments.model, arguments.preset, arguments.device))
    parameters = board_parameters(board.strips, board.master)
    moves = smf_moves(arguments.automation, its_map, board.sources, parameters, board_values(board), _tell)
    return Automation.of_moves(moves, arguments.automation)


def _tell(sentence: str) -> None:
    from plugin_bridge.cli.text import on_one_line

    print(on_one_line(f"plugin-bridge: {sentence}"), file=sys.stderr, flush=True)


def _print(arguments: argparse.Namespace, reports: "list[Report]") -> None:
    from plugin_bridge.render.report import to_json

    if arguments.json:
        sys.stdout.buffer.write(to_json(reports))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"must name stems such as vocals,drums, got '{text}'")
    return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, got '{text}'")
    return seconds


def _rate(text: str) -> int | str:
    if text != "source" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be 'source' or a number of Hz, got '{text}'")
    return text if text == "source" else int(text)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"must be one or two numbers such as 1,2, got '{text}'")
    return tuple(int(part) for part in parts)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1, got '{text}'")
    return int(text)
