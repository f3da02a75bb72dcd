"""Train a network from a recipe and folders of songs with stems."""

import argparse

from plugin_bridge.errors import ModelError
from plugin_bridge.training import train_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`."""
    train_command.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where the weights are."""
    try:
        return train_command.run(arguments)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"train needs the libraries for training, got no {error.name}; install plugin-bridge[train]"
        ) from error
