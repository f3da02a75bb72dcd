"""Draw scores by stem, a song before and after, masks, channel weights, loss and SDR by learning rate."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `figures`."""
    add = parser.add_argument
    add("--results", metavar="DIR", help="results of `evaluate`: a box plot for each stem")
    add("--score", default="sdr", metavar="NAME", help="what the box plots show (default: sdr)")
    add("--model", metavar="MODEL|WEIGHTS|FOLDER", help="with --data: pictures of a song before and after")
    add("--data", metavar="DIR", help="songs with stems")
    add("--songs", action="append", metavar="NAME", help="which songs (default: the first two)")
    add("--runs", nargs="+", metavar="DIR", help="folders of training runs: loss and SDR by learning rate")
    add("--device", default="auto", metavar="auto|cpu|cuda|mps", help="where to run a network")
    add("-o", "--output", default="figures", metavar="DIR", help="where pictures go (default: figures)")


def run(arguments: argparse.Namespace) -> int:
    """Draw what was asked for, and name the files."""
    from plugin_bridge.training import figures_learning, figures_scores, figures_song
    from plugin_bridge.training.report import load_all

    folder = Path(arguments.output)
    made: list[Path] = []
    if arguments.results:
        made += figures_scores.box_plots(load_all(Path(arguments.results)), arguments.score, folder)
    if arguments.model or arguments.data:
        if not (arguments.model and arguments.data):
            raise ValueError(
                "pictures of a song must be given both --model and --data; name the other one too"
            )
        made += figures_song.of_model(
            arguments.model, Path(arguments.data), arguments.songs, folder, arguments.device
        )
    if arguments.runs:
        made += figures_learning.of_runs([Path(run) for run in arguments.runs], folder)
    if not made:
        raise ValueError("figures must be given --results, --model with --data, or --runs, got none of them")
    print(*made, sep="\n")
    return 0
