"""Score a model on songs with stems, with shares of the mix beside."""

import argparse

from plugin_bridge.errors import ModelError
from plugin_bridge.training import evaluate_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `evaluate`."""
    evaluate_command.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, and say where the results are."""
    try:
        return evaluate_command.run(arguments)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"evaluate needs the libraries for training, got no {error.name}; install plugin-bridge[train]"
        ) from error
