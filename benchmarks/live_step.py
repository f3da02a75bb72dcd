"""What a step of the live network takes in each engine that can run it: PyTorch in three forms, ONNX Runtime.

Fourier transforms are PyTorch's in all of them; what lies between is what an engine runs. Weights are random:
they cost what trained ones cost. Needs onnx and onnxruntime, and a C++ compiler for torch.compile.
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.tables import Table, machine
from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.band_split_rnn import BandSplitRnn

name = "live_step"

PRESETS = ("live", "small", "low_latency")
HOPS, WARM_UP = 600, 60
TURN = 20
"""Hops that an engine runs before the next has its turn."""
GIVEN, MADE = ("spectra", "hidden", "before"), ("estimates", "hidden_after", "before_after")

Run = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""From spectra and state to the estimates' spectra and state, as `BandMasker`."""


class Steps:
    """A network's stream whose middle an engine runs."""

    def __init__(self, network: BandSplitRnn, run: Run) -> None:
        self._network, self._run, self._state = network, run, network.state(1)

    @torch.inference_mode()
    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Shape: `(channels, hop)` to `(estimated, channels, hop)`."""
        state, network = self._state, self._network
        heard = torch.cat((state["heard"], torch.from_numpy(block)[None]), dim=-1)
        spectra = network.analysed(heard).contiguous()
        estimates, hidden, before = self._run(spectra, state["hidden"], state["spectra"])
        stems, begun = network.synthesised(estimates, state["begun"])
        kept = heard[..., network.hop :]
        self._state = {"heard": kept, "begun": begun, "hidden": hidden, "spectra": before}
        return stems[0].numpy()


def examples(network: BandSplitRnn) -> tuple[Tensor, Tensor, Tensor]:
    """What the middle of a step is given."""
    state = network.state(1)
    return (
        network.analysed(torch.randn(1, network.channels, network.sizes.window)),
        state["hidden"],
        state["spectra"],
    )


def scripted(network: BandSplitRnn) -> Run:
    """Traced and frozen."""
    traced: Run = torch.jit.freeze(torch.jit.trace(network.masker, examples(network)))
    return traced


def compiled(network: BandSplitRnn) -> Run:
    """By torch.compile with its defaults."""
    made: Run = torch.compile(network.masker)
    return made


def exported(network: BandSplitRnn) -> bytes:
    """The middle of a step as an ONNX model."""
    file = io.BytesIO()
    torch.onnx.export(
        network.masker,
        examples(network),
        file,
        dynamo=False,
        opset_version=17,
        input_names=list(GIVEN),
        output_names=list(MADE),
    )
    return file.getvalue()


def in_onnx_runtime(network: BandSplitRnn) -> Run:
    """The exported model in float32."""
    return session(exported(network))


def in_onnx_runtime_int8(network: BandSplitRnn) -> Run:
    """The exported model, its matrices in 8 bits; GRUs stay in float32, as ONNX Runtime has none in 8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        whole.write_bytes(exported(network))
        logging.disable(logging.WARNING)  # it lists what it leaves in float32
        quantize_dynamic(whole, small, weight_type=QuantType.QInt8)
        logging.disable(logging.NOTSET)
        return session(small.read_bytes())


def session(model: bytes) -> Run:
    """A model in ONNX Runtime on one thread that does not spin."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    running = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    known = {given.name for given in running.get_inputs()}

    def run(*given: Tensor) -> Any:
        feed = {name: value.numpy() for name, value in zip(GIVEN, given, strict=True) if name in known}
        return tuple(torch.from_numpy(made) for made in running.run(None, feed))

    return run


ENGINES: dict[str, Callable[[BandSplitRnn], Run]] = {
    "PyTorch, eager": lambda network: network.masker,
    "TorchScript": scripted,
    "torch.compile": compiled,
    "ONNX Runtime": in_onnx_runtime,
    "ONNX Runtime, int8": in_onnx_runtime_int8,
}


def blocks(network: BandSplitRnn) -> np.ndarray:
    """Noise and a tone, as hops. Shape: `(hops, channels, hop)`."""
    frames, draw = (WARM_UP + HOPS) * network.hop, np.random.default_rng(0)
    tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(frames) / network.sample_rate)
    mix = (tone + 0.1 * draw.standard_normal((network.channels, frames))).astype(np.float32)
    hops = mix.reshape(network.channels, -1, network.hop)
    return np.ascontiguousarray(hops.transpose(1, 0, 2))


def rows_of(preset: str) -> list[tuple[str, ...]]:
    """A row for each engine, the engines timed in turns."""
    torch.manual_seed(0)
    network = networks.build("band_split_rnn", {"preset": preset}).eval().requires_grad_(False)
    assert isinstance(network, BandSplitRnn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters announce what will become of them
        engines = {title: Steps(network, make(network)) for title, make in ENGINES.items()}
    given = blocks(network)
    made = {title: np.empty((len(given), 3, *given.shape[1:]), np.float32) for title in engines}
    took = {title: np.empty(len(given)) for title in engines}
    for start in range(0, len(given), TURN):
        for title, step in engines.items():
            for at in range(start, min(start + TURN, len(given))):
                begun = time.process_time()
                made[title][at] = step(given[at])
                took[title][at] = time.process_time() - begun
    wanted, hop_ms = made["PyTorch, eager"], 1000 * network.hop / network.sample_rate
    rows = []
    for title in engines:
        middle, late = 1000 * np.percentile(took[title][WARM_UP:], (50, 99))
        off = float(np.abs(made[title] - wanted).max() / np.abs(wanted).max())
        difference = "–" if made[title] is wanted else f"{off:.0e}"
        cells = (f"{hop_ms:.1f}", f"{middle:.2f} / {late:.2f}", f"{middle / hop_ms:.1%}", difference)
        rows.append((f"`{preset}`", title, *cells))
    return rows


def run() -> Table:
    """Time all engines on one thread."""
    load, before = os.getloadavg()[0], torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        rows = [row for preset in PRESETS for row in rows_of(preset)]
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
    return Table(
        title="A step of the live band-split network, by engine",
        columns=("preset", "engine", "hop, ms", "p50 / p99, ms", "share of the hop", "difference to eager"),
        rows=tuple(rows),
        note=f"One stream, one thread, float32 but for int8 matrices; {HOPS} hops of noise and a tone in "
        f"stereo, engines in turns of {TURN} hops. Processor time, Fourier transforms included. Difference: "
        "the largest over the loudest sample of the estimates; with random weights it says little of what "
        f"8 bits would cost a trained network. Other programs used the machine (load {load:.1f} before), "
        f"which slows all engines alike. {machine('torch', 'onnxruntime')}",
    )
