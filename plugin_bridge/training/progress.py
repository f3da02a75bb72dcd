"""All that a run must remember to go on exactly where it was: tensors in a safetensors file, no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import checkpoint
from plugin_bridge.separation.networks.network import Network
from plugin_bridge.training.loss_scale import LossScale


@dataclass
class Progress:
    """How far a run is: the next step and the seconds spent."""

    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    carried: dict[str, Tensor] = field(default_factory=dict)
    """What a causal network remembers of the streams in its batch."""
    scale: LossScale = field(default_factory=LossScale)


_TEXTS = ("step", "seconds", "loss", "scale")


def save_progress(
    path: Path,
    progress: Progress,
    recipe_digest: str,
    network: Network,
    average: Network,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write everything, all or nothing. Raises `ModelError` where the file cannot be written."""
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"carried/{name}": value for name, value in progress.carried.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    said = {name: value for name, value in asdict(progress).items() if name in _TEXTS}
    texts = {"progress": json.dumps(said), "recipe": recipe_digest, "architecture": network.architecture}
    checkpoint.write(path, tensors, texts)


def load_progress(
    path: Path, recipe_digest: str, network: Network, average: Network, optimiser: torch.optim.Optimizer
) -> Progress:
    """Bring everything back to where it was saved.

    Raises `ModelError` for a file that is damaged, of another architecture, or of another recipe.
    """
    contents = checkpoint.read(path)
    own = contents.texts.get("architecture")
    if own != network.architecture:
        raise ModelError(
            f"{path} must be of a run of {network.architecture}, got one of {own}; choose another folder"
        )
    if contents.texts.get("recipe") != recipe_digest:
        raise ModelError(
            f"{path} must be of a run of this very recipe, got one of another; resume with the recipe as it "
            "was, or begin in another folder"
        )
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in contents.tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    checkpoint.fill(network, parts.get("network", {}), path)
    checkpoint.fill(average, parts.get("average", {}), path)
    _fill_optimiser(optimiser, parts.get("optimiser", {}))
    torch.set_rng_state(parts["random"]["cpu"])
    if torch.cuda.is_available() and "cuda" in parts["random"]:
        torch.cuda.set_rng_state(parts["random"]["cuda"])
    said = json.loads(contents.texts["progress"])
    scale = LossScale(**said.pop("scale", {}))
    return Progress(**said, carried=parts.get("carried", {}), scale=scale)


def _fill_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
