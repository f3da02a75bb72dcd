"""A causal network's graph for ONNX Runtime, as a file beside its weights.

What is exported is the middle of a `SpectralNetwork`, one step of one stream. In float32 the file has no
weights: it names those of the safetensors file, so that a model ships them once, and is not exported anew
after more training. In int8 it has them, matrices in 8 bits, of which seven are used; GRUs stay in float32,
as ONNX Runtime has none in 8 bits.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch
from torch import Tensor, nn

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import weights_file
from plugin_bridge.separation.engine import AFTER, ESTIMATES, FACTS_KEY, SPECTRA, Facts, Precision, runtime
from plugin_bridge.separation.networks.network import Network, SpectralNetwork

if TYPE_CHECKING:
    from onnx import ModelProto

_OPSET = 17


@dataclass(frozen=True)
class Exported:
    """A graph's content, its sha256 and its precision."""

    content: bytes
    sha256: str
    precision: Precision


def export(network: Network, *, precision: Precision = "float32", weights: str | None = None) -> Exported:
    """The graph of a network; one of int8 is tied to the file of this sha256, as it has its weights in it.

    Raises `ModelError` for a network that no graph can be made of.
    """
    if not isinstance(network, SpectralNetwork):
        raise ModelError(
            f"a network to export must be causal and name its middle, got {network.architecture}; "
            "PyTorch runs it as it is"
        )
    network = deepcopy(network).cpu().eval().requires_grad_(False)
    model = _quantised(_whole(network, fold=True)) if precision == "int8" else _without_weights(network)
    _describe(model, network, precision, weights)
    content = model.SerializeToString(deterministic=True)
    return Exported(content, hashlib.sha256(content).hexdigest(), precision)


def write(exported: Exported, path: Path) -> None:
    """Write a graph, all or nothing. Raises `ModelError` where that cannot be done."""
    try:
        weights_file.replace(path, exported.content)
    except OSError as error:
        raise ModelError(f"a graph must be writable at {path}, got: {error}") from error


class _OneStep(nn.Module):
    """The middle of one step of one stream, what it remembers without the parts that are empty."""

    def __init__(self, network: SpectralNetwork) -> None:
        super().__init__()
        self.middle = network.middle
        state = network.state(1)
        self.remembered = {name: state[name] for name in network.remembered}
        self.kept = [name for name, part in self.remembered.items() if part.numel()]

    def forward(self, spectra: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Estimates and the parts again."""
        given = self.remembered | dict(zip(self.kept, parts, strict=True))
        estimates, *after = self.middle(spectra, *given.values())
        made = dict(zip(self.remembered, after, strict=True))
        return (estimates, *(made[name] for name in self.kept))


def _whole(network: SpectralNetwork, *, fold: bool) -> ModelProto:
    """The graph with its weights in it, called as in the network's state unless they are folded."""
    step = _OneStep(network)
    spectra = torch.zeros(1, 1, network.transform.bins, network.channels, 2)
    given = (spectra, *(step.remembered[name] for name in step.kept))
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        file = Path(folder) / "whole.onnx"
        warnings.simplefilter("ignore")  # tracing warns of sizes that it takes as constant, which they are
        torch.onnx.export(
            step,
            given,
            file,
            dynamo=False,  # the other exporter has no GRU
            opset_version=_OPSET,
            do_constant_folding=fold,
            input_names=[SPECTRA, *step.kept],
            output_names=[ESTIMATES, *(name + AFTER for name in step.kept)],
        )
        model = _read(file)
    _rename(model, {f"middle.{rest}": f"{_place(network)}.{rest}" for rest in network.middle.state_dict()})
    return model


def _without_weights(network: SpectralNetwork) -> ModelProto:
    """The graph that names its weights. Raises `ModelError` where there are some that it does not use."""
    from onnx import TensorProto

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))  # the exporter joins those that are equal
    # ONNX Runtime folds when it loads; here weights must stay as they are.
    model, names = _whole(network, fold=False), set(network.state_dict())
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights.safetensors")
    unused = sorted(names - {tensor.name for tensor in model.graph.initializer})
    if unused:
        raise ModelError(
            f"a network to export must use all its weights in its middle, got '{unused[0]}' left"
        )
    return model


def _place(network: SpectralNetwork) -> str:
    """What the middle is called in the network."""
    places: list[str] = [name for name, module in network.named_modules() if module is network.middle]
    return places[0]


def _rename(model: ModelProto, weights: dict[str, str]) -> None:
    """Call weights as in the file, and all that lies between by short names."""
    graph, called = model.graph, dict(weights)
    kept = {value.name for value in (*graph.input, *graph.output)} | {it.name for it in graph.initializer}
    for node in graph.node:
        for made in node.output:
            if made not in kept:
                called.setdefault(made, f"_{len(called)}")
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = [called.get(name, name) for name in node.input]
        node.output[:] = [called.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = called.get(tensor.name, tensor.name)
    del graph.value_info[:]


def _quantised(model: ModelProto) -> ModelProto:
    """The graph with its matrices in 8 bits."""
    runtime()  # before anything of it is imported
    from onnxruntime.quantization import QuantType, quantize_dynamic

    sizes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for number, node in enumerate(model.graph.node):
        node.name = str(number)
    batched = [
        node.name for node in model.graph.node if node.op_type == "MatMul" and sizes.get(node.input[1], 2) > 2
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.onnx" for number in range(3)]
        paths[0].write_bytes(model.SerializeToString())
        logging.disable(logging.WARNING)  # it lists what it leaves in float32
        try:
            # Of eight bits seven: processors without VNNI add pairs of products in 16 bits, which saturate.
            kind = {"weight_type": QuantType.QInt8, "reduce_range": True}
            quantize_dynamic(paths[0], paths[1], nodes_to_exclude=batched, per_channel=True, **kind)
            # Only a single matrix may have a scale for each column; matrices side by side share one.
            quantize_dynamic(paths[1], paths[2], nodes_to_quantize=batched, **kind)
        finally:
            logging.disable(logging.NOTSET)
        return _read(paths[2])


def _describe(model: ModelProto, network: SpectralNetwork, precision: Precision, weights: str | None) -> None:
    """Say in a graph what it is of."""
    facts = Facts(
        architecture=network.architecture,
        config=msgspec.to_builtins(network.config),
        sources=network.sources,
        sample_rate=network.sample_rate,
        channels=network.channels,
        hop=network.hop,
        window=network.transform.size,
        synthesis=network.transform.hop + network.transform.latency,
        tail=network.tail,
        precision=precision,
        weights=weights if precision == "int8" else None,
    )
    del model.metadata_props[:]
    model.metadata_props.add(key=FACTS_KEY, value=msgspec.json.encode(facts).decode())


def _read(path: Path) -> ModelProto:
    import onnx

    model: ModelProto = onnx.load_model(str(path))
    return model
