"""Small causal networks with random weights as whole models: weights, card, and the graph by its command."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.engine import Files, Precision
from plugin_bridge.separation.graph_separator import GraphSeparator
from plugin_bridge.separation.networks.band_split_rnn import BandSplitRnn
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.export import export, write
from tests.model_folders import write_model


def drawn(preset: str = "tiny", seed: int = 1, **changes: object) -> BandSplitRnn:
    """A network whose every weight is random, those that begin as zeros or ones too."""
    torch.manual_seed(seed)
    network = networks.build("band_split_rnn", {"preset": preset, **changes})
    assert isinstance(network, BandSplitRnn)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def in_onnx_runtime(network: BandSplitRnn, precision: Precision = "float32") -> GraphSeparator:
    """The separator of a network's graph."""
    with TemporaryDirectory() as folder:
        weights, graph = Path(folder) / "weights.safetensors", Path(folder) / "graph.onnx"
        sha256 = checkpoint.save(network, weights)
        exported = export(network, precision=precision, weights=sha256)
        write(exported, graph)
        return GraphSeparator(Files(graph, exported.sha256, weights, sha256, precision))


def install(models: Path, name: str, *, exported: bool = True, seed: int = 1, int8: bool = False) -> Path:
    """A model's folder, its graph exported by the command a person would use."""
    folder = write_model(models / name, drawn(seed=seed))
    if exported:
        assert main(["export", str(folder), *(["--int8"] if int8 else [])]) == 0
    return folder
