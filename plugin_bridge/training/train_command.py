"""Train a network from a recipe and folders of songs with stems."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.training.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`."""
    add = parser.add_argument
    add("recipe", metavar="RECIPE.toml", help="what to train, and how; see models/*/recipe.toml")
    add("--data", action="append", required=True, metavar="DIR[@SHARE]",
        help="songs with stems, and the share of all examples that they get; may be repeated")  # fmt: skip
    add("--partial-data", action="append", default=[], metavar="DIR[@SHARE]",
        help="songs that may lack stems, such as singing alone; may be repeated")  # fmt: skip
    add("-o", "--output", metavar="DIR", default="runs", help="the run's folder (default: runs)")
    add("--minutes", type=float, metavar="N", help="how long to train, in place of the recipe's budget")
    add("--steps", type=int, metavar="N", help="how many steps to train, in place of the recipe's budget")
    add("--device", default="auto", metavar="auto|cpu|cuda|mps", help="where to train")
    add("--from", dest="begin", metavar="WEIGHTS", help="a .safetensors file of weights to begin with")
    add("--resume", action="store_true", help="go on with the run in the folder")
    add("--smoke", action="store_true", help="the recipe's run of seconds, to see that everything works")
    add("--cache", metavar="DIR", help="where decoded songs are kept (default: the user's cache folder)")
    add("--threads", type=int, default=0, metavar="N", help="threads of the processor (default: all cores)")


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where the weights are."""
    # Everything below imports torch, which takes seconds that `--help` does not have.
    import torch

    from plugin_bridge.training.loop import Run
    from plugin_bridge.training.ranks import Ranks
    from plugin_bridge.training.recipe import load_recipe
    from plugin_bridge.training.songs import batches_of

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe, smoke=arguments.smoke)
    recipe = _with_budget(recipe, arguments.minutes, arguments.steps)
    ranks = Ranks.of_environment()
    batches = batches_of(
        recipe,
        arguments.data,
        arguments.cache,
        partial=arguments.partial_data,
        rank=ranks.rank,
        note=print,
    )
    training = Run(
        recipe,
        batches,
        Path(arguments.output),
        device=arguments.device,
        resume=arguments.resume,
        note=lambda line: print(line, flush=True),
        ranks=ranks,
        begin=Path(arguments.begin) if arguments.begin else None,
    )
    outcome = training.train()
    print(f"weights: {Path(arguments.output) / 'weights.safetensors'}")
    return 0 if outcome.finished else 130


def _with_budget(recipe: Recipe, minutes: float | None, steps: int | None) -> Recipe:
    import msgspec  # not above, as `plugin-bridge --help` reads this module

    if minutes is None and steps is None:
        return recipe
    if (minutes is not None and minutes <= 0) or (steps is not None and steps < 1):
        raise ValueError("a budget must be above 0 minutes or at least 1 step; choose a longer one")
    budget = msgspec.structs.replace(recipe.budget, minutes=minutes, steps=steps)
    return msgspec.structs.replace(recipe, budget=budget)
