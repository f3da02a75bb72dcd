"""What a step of a live network takes in each engine that can run it: PyTorch in three forms, ONNX Runtime.

A step has its Fourier transforms in it, by PyTorch or, beside ONNX Runtime, by numpy. A stream is what the
product runs: a step, the gate, and stems that sum to the mix. Weights are random where no model of the
catalogue is named: they cost what trained ones cost. Needs onnx, and a C++ compiler for torch.compile.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.tables import Table, machine, publish
from plugin_bridge.separation import catalogue, checkpoint, networks
from plugin_bridge.separation.engine import Files, GraphSteps, Precision
from plugin_bridge.separation.graph_separator import GraphSeparator
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.networks.band_split_rnn import BandSplitRnn
from plugin_bridge.training.export import export, write

name = "live_step"

PRESETS = ("live", "small", "low_latency")
HOPS, WARM_UP = 600, 60
TURN = 20
"""Hops that an engine runs before the next has its turn."""

Middle = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""From spectra and state to the estimates' spectra and state, as `BandMasker`."""

Hop = Callable[[np.ndarray], np.ndarray]
"""From `(channels, hop)` to `(estimated or sources, channels, hop)`."""

EAGER = "PyTorch, eager"
LEVELS = {"at full scale": 1e3, "at -400 dBFS": 1e-20, "of denormals": 1e-40, "of silence": 0.0}
"""What a stream must not take longer for; one network shows it."""


class Steps:
    """A network's steps whose middle runs in some form of PyTorch."""

    def __init__(self, network: BandSplitRnn, middle: Middle) -> None:
        self._network, self._middle, self._state = network, middle, network.state(1)

    @torch.inference_mode()
    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Shape: `(channels, hop)` to `(estimated, channels, hop)`."""
        state, network = self._state, self._network
        heard = torch.cat((state["heard"], torch.from_numpy(block)[None]), dim=-1)
        spectra = network.analysed(heard).contiguous()
        estimates, hidden, before = self._middle(spectra, state["hidden"], state["spectra"])
        stems, begun = network.synthesised(estimates, state["begun"])
        kept = heard[..., network.hop :]
        self._state = {"heard": kept, "begun": begun, "hidden": hidden, "spectra": before}
        return stems[0].numpy()


def scripted(network: BandSplitRnn) -> Middle:
    """Traced and frozen."""
    state = network.state(1)
    spectra = network.analysed(torch.randn(1, network.channels, network.sizes.window))
    given = (spectra, state["hidden"], state["spectra"])
    traced: Middle = torch.jit.freeze(torch.jit.trace(network.middle, given))
    return traced


def compiled(network: BandSplitRnn) -> Middle:
    """By torch.compile with its defaults."""
    made: Middle = torch.compile(network.middle)
    return made


def graph_of(network: BandSplitRnn, precision: Precision) -> GraphSeparator:
    """The network exported, as the product runs it."""
    with tempfile.TemporaryDirectory() as folder:
        weights, graph = Path(folder) / "weights.safetensors", Path(folder) / "graph.onnx"
        sha256 = checkpoint.save(network, weights)
        exported = export(network, precision=precision, weights=sha256)
        write(exported, graph)
        return GraphSeparator(Files(graph, exported.sha256, weights, sha256, precision))


def engines_of(network: BandSplitRnn, levels: Iterable[str]) -> dict[str, Hop]:
    """Steps and streams by what runs them, one more for each of the levels."""
    whole, small = graph_of(network, "float32"), graph_of(network, "int8")
    return {
        EAGER: Steps(network, network.middle),
        "TorchScript": Steps(network, scripted(network)),
        "torch.compile": Steps(network, compiled(network)),
        "ONNX Runtime": GraphSteps(whole.graph).step,
        "ONNX Runtime, int8": GraphSteps(small.graph).step,
        "stream in PyTorch, eager": NetworkSeparator(network).stream().process,
        "stream in ONNX Runtime": whole.stream().process,
        "stream in ONNX Runtime, int8": small.stream().process,
        **{f"stream in ONNX Runtime {level}": whole.stream().process for level in levels},
    }


def blocks(network: BandSplitRnn) -> np.ndarray:
    """Noise and a tone, as hops. Shape: `(hops, channels, hop)`."""
    frames, draw = (WARM_UP + HOPS) * network.hop, np.random.default_rng(0)
    tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(frames) / network.sample_rate)
    mix = (tone + 0.1 * draw.standard_normal((network.channels, frames))).astype(np.float32)
    hops = mix.reshape(network.channels, -1, network.hop)
    return np.ascontiguousarray(hops.transpose(1, 0, 2))


def heard_by(title: str, given: np.ndarray) -> np.ndarray:
    """The hops that an engine is given: those of `LEVELS` at their level, but for the first ones."""
    level = next((level for words, level in LEVELS.items() if title.endswith(words)), 1.0)
    changed = given.copy()
    changed[20:] = np.clip(changed[20:] * np.float32(level), -1, 1)
    return changed


def off(title: str, made: dict[str, np.ndarray]) -> str:
    """How far a step's or a stream's output is from that of PyTorch, eager."""
    wanted = made["stream in PyTorch, eager" if title.startswith("stream") else EAGER]
    if made[title] is wanted or any(title.endswith(words) for words in LEVELS):
        return "–"
    return f"{float(np.abs(made[title] - wanted).max() / np.abs(wanted).max()):.0e}"


def rows_of(title: str, network: BandSplitRnn, levels: Iterable[str]) -> list[tuple[str, ...]]:
    """A row for each engine, the engines timed in turns."""
    network = network.eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters announce what will become of them
        engines = engines_of(network, levels)
    given = {engine: heard_by(engine, blocks(network)) for engine in engines}
    stems = {engine: len(step(given[engine][0])) for engine, step in engines.items()}
    made = {
        engine: np.empty((WARM_UP + HOPS, stems[engine], *given[engine].shape[1:]), np.float32)
        for engine in engines
    }
    took = {engine: np.empty(WARM_UP + HOPS) for engine in engines}
    for start in range(0, WARM_UP + HOPS, TURN):
        for engine, step in engines.items():
            for at in range(start, min(start + TURN, WARM_UP + HOPS)):
                begun = time.process_time()
                made[engine][at] = step(given[engine][at])
                took[engine][at] = time.process_time() - begun
    hop_ms, rows = 1000 * network.hop / network.sample_rate, []
    eager = float(np.median(took[EAGER][WARM_UP:]))
    for engine in engines:
        middle, late = np.percentile(took[engine][WARM_UP:], (50, 99))
        times = f"{1000 * middle:.2f} / {1000 * late:.2f}"
        share = f"{1000 * middle / hop_ms:.1%}"
        rows.append(
            (title, engine, f"{hop_ms:.1f}", times, f"{middle / eager:.2f}", share, off(engine, made))
        )
    return rows


def of_preset(preset: str) -> tuple[str, BandSplitRnn]:
    """A preset with random weights."""
    torch.manual_seed(0)
    network = networks.build("band_split_rnn", {"preset": preset})
    assert isinstance(network, BandSplitRnn)
    return f"`{preset}`, untrained", network


def of_model(model: str) -> tuple[str, BandSplitRnn]:
    """A model of the catalogue. Raises `ModelError` for an unknown one, `ValueError` for another network."""
    card, folder = catalogue.card(model), catalogue.model_folder(model)
    if card.architecture != "band_split_rnn":
        raise ValueError(f"model must be a band_split_rnn, got {model}, a {card.architecture}")
    weights = folder / str(card.weights)
    config = catalogue.network_config(card.config)
    network = checkpoint.load(weights, sha256=card.sha256, architecture=card.architecture, config=config)
    assert isinstance(network, BandSplitRnn)
    return f"`{model}`", network


def table(models: list[str]) -> Table:
    """Time all engines on one thread, for these models; without any, for the presets and what is shipped."""
    load, before = os.getloadavg()[0], torch.get_num_threads()
    torch.set_num_threads(1)
    shipped = [model for model in catalogue.names() if catalogue.card(model).engine is not None]
    found = [of_model(model) for model in models or shipped]
    found += [] if models else [of_preset(preset) for preset in PRESETS]
    try:
        rows = rows_of(*found[0], levels=LEVELS)
        rows += [row for title, network in found[1:] for row in rows_of(title, network, levels=())]
    finally:
        torch.set_num_threads(before)
    columns = ("network", "engine", "hop, ms", "p50 / p99, ms", "to eager", "share of the hop", "difference")
    return Table(
        title="A step of the live band-split network, by engine",
        columns=columns,
        rows=tuple(rows),
        note=f"One stream, one thread, float32 but for int8 matrices; {HOPS} hops of noise and a tone in "
        f"stereo, engines in turns of {TURN} hops. Processor time, Fourier transforms included. To eager: "
        "the median over that of PyTorch's step. Difference: the largest over the loudest sample, to the "
        "step or stream in PyTorch; with random weights it says little of what 8 bits would cost a trained "
        "network. Streams at a level are given noise and a tone for 20 hops first; what is digital silence "
        "to them is not computed once the tail is over. Other programs used the machine (load "
        f"{load:.1f} before), which slows all engines alike. {machine('torch', 'onnxruntime', 'numpy')}",
    )


def run() -> Table:
    """Time all engines for the presets and for what is shipped."""
    return table([])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_step", description=__doc__)
    parser.add_argument("--model", action="append", default=[], help="only this one, and publish nothing")
    models = parser.parse_args().model
    measured = table(models)
    if not models:
        publish(name, measured, Path(__file__).resolve().parent.parent)
    print(measured.markdown())


if __name__ == "__main__":
    main()
