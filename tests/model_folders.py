"""Model folders of networks with random weights, as a person would put them there."""

from __future__ import annotations

from pathlib import Path

import tomlkit

from plugin_bridge.separation import catalogue, checkpoint
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.networks.network import Network


def write_model(folder: Path, network: Network, **changes: object) -> Path:
    """A folder with the weights and card of a network of preset `tiny`; a change of None leaves a key out."""
    sha256 = checkpoint.save(network, folder / "weights.safetensors")
    values: dict[str, object] = {
        "architecture": network.architecture,
        "summary": "A small network",
        "licence": "GPL-3.0-or-later",
        "source": "made for a test",
        "strengths": "small",
        "limits": "untrained",
        "weights": "weights.safetensors",
        "sha256": sha256,
        **catalogue.stated(NetworkSeparator(network)),
        "config": {"preset": "tiny"},
        **changes,
    }
    card = {key: value for key, value in values.items() if value is not None}
    (folder / "card.toml").write_text("# made by hand\n" + tomlkit.dumps(card))
    return folder
