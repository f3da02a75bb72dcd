"""Score a model on songs with stems, with shares of the mix beside; results as JSON and Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PROTOCOL_NAMES = ("musdb", "mir1k", "paper001")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `evaluate`."""
    add = parser.add_argument
    add(
        "subject",
        nargs="?",
        metavar="MODEL|WEIGHTS|FOLDER",
        help="a model of the catalogue, a .safetensors file, a folder of a run or a model, or an ideal mask: "
        "oracle-wiener, oracle-binary, oracle-ratio, and transfer-... for masks of another song",
    )
    add("--model", metavar="NAME", help="the same as an option: what to score must be named once")
    add("--data", required=True, metavar="DIR", help="songs with stems")
    add("--protocol", choices=PROTOCOL_NAMES, default="musdb", help="how to score (default: musdb)")
    add("-o", "--output", metavar="DIR", help="where results go (default: the run's folder, else results)")
    add("--raw", action="store_true", help="score only the network's raw output, not its stems")
    add("--as", dest="renamed", action="append", default=[], metavar="SOURCE=STEM",
        help="score a source of the model as this stem of the songs; may be repeated")  # fmt: skip
    add("--songs", type=int, metavar="N", help="only the first N songs by name")
    add("--shifts", type=int, default=1, metavar="N", help="average over N random offsets (default: 1)")
    add("--masks-from", metavar="DIR", help="songs whose masks transfer-... takes (default: the next song)")
    add("--device", default="auto", metavar="auto|cpu|cuda|mps", help="where to run a network")
    add("--row", dest="rows", action="append", default=[], metavar="ID",
        help="the row of a paper's table that this is, see `table --list`; may be repeated")  # fmt: skip
    add("--budget", metavar="TEXT", help="the training's budget and device, for the tables")
    add("--trained-on", metavar="TEXT", help="the training's data, for the tables")


def run(arguments: argparse.Namespace) -> int:
    """Score, and say where the results are."""
    # Everything below imports torch, which takes seconds that `--help` does not have.
    from plugin_bridge.training.evaluation import Request, evaluate
    from plugin_bridge.training.evaluation_models import subject
    from plugin_bridge.training.report import form_table, save

    name = _named(arguments)
    if arguments.songs is not None and arguments.songs < 1:
        raise ValueError(f"songs must be at least 1, got {arguments.songs}; leave it out for all")
    request = Request(
        data=Path(arguments.data),
        protocol=arguments.protocol,
        raw=arguments.raw,
        renamed=dict(_renaming(text) for text in arguments.renamed),
        limit=arguments.songs,
        masks_from=Path(arguments.masks_from) if arguments.masks_from else None,
        rows=arguments.rows,
        budget=arguments.budget,
        trained_on=arguments.trained_on,
    )
    scored = subject(name, device=arguments.device, shifts=arguments.shifts)
    evaluation = evaluate(scored, request, note=lambda line: print(line, file=sys.stderr, flush=True))
    paths = save(evaluation, _output(name, arguments.output))
    for form in evaluation.forms:
        print(f"\n{form.what}", *form_table(form, evaluation.protocol), sep="\n")
    print(f"\nresults: {paths[0]}, {paths[1]}")
    return 0


def _named(arguments: argparse.Namespace) -> str:
    """What to score. Raises `ValueError` where it is not named exactly once."""
    names: list[str] = [name for name in (arguments.subject, arguments.model) if name is not None]
    if len(names) != 1:
        got = "neither MODEL nor --model" if not names else f"'{names[0]}' and --model {names[1]}"
        raise ValueError(f"what to score must be named once, got {got}; write --model NAME or NAME alone")
    return names[0]


def _output(name: str, output: str | None) -> Path:
    if output:
        return Path(output)
    named = Path(name)
    return named if (named / "weights.safetensors").is_file() else Path("results")


def _renaming(text: str) -> tuple[str, str]:
    source, _, stem = text.partition("=")
    if not source or not stem:
        raise ValueError(f"--as must be SOURCE=STEM such as percussive=vocals, got '{text}'")
    return source, stem
