"""What must hold before a run begins: songs, parts and weights that fit its network."""

from __future__ import annotations

import json
from pathlib import Path

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import checkpoint
from plugin_bridge.separation.networks.network import CausalNetwork, Network
from plugin_bridge.training.remix import Batches


def check_fit(network: Network, batches: Batches) -> None:
    """Raise `ModelError` for songs that are not what the network separates."""
    ours = (network.sources, network.channels, network.sample_rate)
    theirs = (batches.sources, batches.channels, batches.sample_rate)
    if ours != theirs:
        raise ModelError(
            f"songs must have the network's sources, channels and rate {ours}, got {theirs}; "
            "mend the recipe's config"
        )


def begin_with(network: Network, contents: checkpoint.Contents, path: Path) -> None:
    """Give a network the weights of a file, be they its own or of an architecture that it extends.

    Raises `ModelError` for weights that do not fit, and for those of something else, where the file says what
    they are of.
    """
    own = contents.texts.get("architecture", network.architecture)
    _check_beginning(network, own, contents, path)
    added = set() if own == network.architecture else set(network.added)
    made = {name: value for name, value in network.state_dict().items() if added & set(name.split("."))}
    checkpoint.fill(network, {**made, **contents.tensors}, path)


def _check_beginning(network: Network, own: str, contents: checkpoint.Contents, path: Path) -> None:
    if own not in (network.architecture, *network.extends):
        fitting = " or ".join((network.architecture, *network.extends))
        raise ModelError(f"{path} must have the weights of {fitting}, got those of {own}")
    config = json.loads(contents.texts.get("config", "{}"))
    for key in ("sources", "sample_rate", "channels"):
        wanted = getattr(network.config, key)
        wanted = list(wanted) if isinstance(wanted, tuple) else wanted
        if config.get(key, wanted) != wanted:
            raise ModelError(f"{path} must have weights for the {key} {wanted}, got {config[key]}")


def check_parts(network: Network, consecutive: int, frames: int) -> None:
    """Raise `ModelError` where the parts of a causal network's streams would end within a step."""
    if consecutive > 1 and isinstance(network, CausalNetwork) and frames % network.hop:
        seconds = max(1, round(frames / network.hop)) * network.hop / network.sample_rate
        raise ModelError(
            f"consecutive examples of {network.architecture} must be of whole steps of {network.hop} frames, "
            f"got {frames} frames; set seconds = {seconds} in the recipe's examples"
        )
