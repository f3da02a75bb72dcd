"""Write a causal network's graph for ONNX Runtime beside its weights, and name it in the model's card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_bridge.errors import ModelError

if TYPE_CHECKING:
    from plugin_bridge.training.export import Exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    parser.add_argument(
        "model", metavar="MODEL_OR_FOLDER", help="a model of the catalogue, or a folder with weights"
    )
    parser.add_argument("--int8", action="store_true", help="matrices in 8 bits: smaller, faster, less exact")


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what the card says of it now, or must say where there is none yet."""
    from plugin_bridge.separation import catalogue, checkpoint
    from plugin_bridge.training.export import export, write

    given = Path(arguments.model)
    folder = given if given.is_dir() else catalogue.model_folder(arguments.model)
    card = catalogue.card_in(folder) if (folder / "card.toml").is_file() else None
    weights = folder / Path(card.weights if card and card.weights else "weights.safetensors").name
    sha256 = card.sha256 if card else None
    if not weights.is_file():
        raise ModelError(f"a network to export must have weights, got none at {weights}; train it first")
    if card is None:
        network = checkpoint.load(weights)
    else:
        config = catalogue.network_config(card.config)
        network = checkpoint.load(weights, sha256=sha256, architecture=card.architecture, config=config)
    exported = export(
        network,
        precision="int8" if arguments.int8 else "float32",
        weights=sha256 or checkpoint.read(weights).sha256,
    )
    path = folder / f"{folder.resolve().name}.onnx"
    write(exported, path)
    print(f"graph: {path} ({len(exported.content) / 1e6:.1f} MB, {exported.precision})")
    if card is None:
        print(f"a card of these weights must say:\n{_engine(exported, path.name)}")
    else:
        _name_in_card(folder / "card.toml", exported, path.name)
        print(f"named in {folder / 'card.toml'}")
    return 0


def _engine(exported: Exported, name: str) -> str:
    """The part of a card that names a graph."""
    lines = {"graph": name, "sha256": exported.sha256, "precision": exported.precision}
    return "\n".join(["[engine]", *(f'{key} = "{value}"' for key, value in lines.items())])


def _name_in_card(path: Path, exported: Exported, name: str) -> None:
    """Write what a card says of its engine anew, and leave all else as it is."""
    import tomlkit

    from plugin_bridge.separation import weights_file

    document = tomlkit.parse(path.read_text("utf-8"))
    engine = tomlkit.parse(_engine(exported, name))["engine"]
    if "engine" in document:
        document["engine"] = engine
    else:
        document.add(tomlkit.nl())
        document.add("engine", engine)
    try:
        weights_file.replace(path, tomlkit.dumps(document).encode())
    except OSError as error:
        raise ModelError(f"the card must be writable at {path}, got: {error}") from error
