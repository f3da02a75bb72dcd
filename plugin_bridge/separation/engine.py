"""ONNX Runtime as the engine of causal networks: one graph in one session, and many running states beside it.

A graph is what `training.export` writes of a `SpectralNetwork`: its middle, without Fourier transforms. One
of float32 names its weights as the safetensors file does, and has none itself; one of int8 has its own. On
one thread it answers in about half of the time that PyTorch takes. Nothing here imports torch.
"""

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as arrays_from

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import weights_file
from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.separation.short_transform import ShortTransform

FACTS_KEY = "plugin_bridge"
"""Under what a graph's metadata have its `Facts`, as JSON."""

SPECTRA, ESTIMATES = "spectra_of_mix", "spectra_of_estimates"
AFTER = "_after"
"""How the names of inputs that are remembered end as outputs."""

Precision = Literal["float32", "int8"]

_AGAIN = "export it again with `python -m plugin_bridge.training export`, or take [engine] out of the card"

_log = logging.getLogger("plugin_bridge.separation")


class Facts(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a graph says of itself; `hop`, `window`, `synthesis` and `tail` in frames.

    `weights` is the sha256 of the file whose weights it has in it, None where it has none. `config` has all
    values of the network's config.
    """

    architecture: str
    config: dict[str, Any]
    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    hop: int
    window: int
    synthesis: int
    tail: int
    precision: Precision
    weights: str | None = None


@dataclass(frozen=True)
class Files:
    """A graph of a precision and its weights as files, and the sha256 that each must have."""

    graph: Path
    graph_sha256: str
    weights: Path
    weights_sha256: str
    precision: Precision


@cache
def available() -> bool:
    """Whether ONNX Runtime can run here; if not, it is said once in the log."""
    try:
        return callable(runtime().InferenceSession)
    except (ImportError, OSError, AttributeError) as error:  # OSError: a library that it needs is not there
        _log.warning(
            "plugin-bridge: ONNX Runtime must be installed for models to run at their speed, got: %s; "
            "PyTorch runs them meanwhile",
            str(error).partition("\n")[0],
        )
        return False


def runtime() -> Any:
    """ONNX Runtime, which reports nothing to its maker. Raises `ImportError` or `OSError` where it is not."""
    # Its official builds send reports and keep an identifier in the user's home, from threads of their own,
    # unless this is there before the first import (from 1.29 on). Who wants to be heard of sets it to 0.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


class Graph:
    """A graph in a session, which all its streams share: what one of them remembers is outside of it.

    Raises `ModelError` for files that are missing, broken, or not of each other.
    """

    def __init__(self, files: Files) -> None:
        content = _checked(files.graph, files.graph_sha256)
        weights = weights_file.read(files.weights, files.weights_sha256)
        self.session, self._held = _session(files, content, weights)
        self.facts = _facts(files, self.session, weights)

    def given(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what a step is given, by name."""
        return {given.name: tuple(given.shape) for given in self.session.get_inputs()}

    def made(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what a step makes, by name."""
        return {made.name: tuple(made.shape) for made in self.session.get_outputs()}


class GraphSteps:
    """One running state of a graph, in arrays that are made once."""

    def __init__(self, graph: Graph) -> None:
        facts, given, made = graph.facts, graph.given(), graph.made()
        self.sources, self.channels = facts.sources, facts.channels
        self.hop, self.latency, self.tail = facts.hop, facts.synthesis - facts.hop, facts.tail
        self._session = graph.session
        self._spectra = np.zeros(given.pop(SPECTRA), np.float32)
        self._estimates = np.zeros(made[ESTIMATES], np.float32)
        # The state goes from one set of arrays to the other, and back.
        self._states = [{name: np.zeros(shape, np.float32) for name, shape in given.items()} for _ in "ab"]
        self._bindings = [
            _binding(graph.session, self._spectra, before, self._estimates, after)
            for before, after in (self._states, self._states[::-1])
        ]
        self._turn = 0
        self._transform = ShortTransform(
            facts.window,
            facts.synthesis,
            facts.hop,
            channels=facts.channels,
            estimated=made[ESTIMATES][2],
            bins=made[ESTIMATES][3],
        )

    def step(self, block: Audio) -> Stems:
        """Shape: `(channels, hop)` to `(estimated, channels, hop)`; the next step overwrites it."""
        self._transform.analyse(block, self._spectra[0, 0])
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        return self._transform.synthesise(self._estimates[0, 0])

    def reset(self) -> None:
        """Forget everything."""
        self._transform.reset()
        for array in self._states[self._turn].values():
            array[:] = 0


def _binding(
    session: Any,
    spectra: NDArray[np.float32],
    before: dict[str, NDArray[np.float32]],
    estimates: NDArray[np.float32],
    after: dict[str, NDArray[np.float32]],
) -> Any:
    """What a session reads and writes in place; the arrays must live as long as it is used."""
    value_of = runtime().OrtValue.ortvalue_from_numpy
    binding = session.io_binding()
    for name, array in {SPECTRA: spectra, **before}.items():
        binding.bind_ortvalue_input(name, value_of(array))
    for name, array in {ESTIMATES: estimates, **{name + AFTER: it for name, it in after.items()}}.items():
        binding.bind_ortvalue_output(name, value_of(array))
    return binding


def _checked(path: Path, sha256: str) -> bytes:
    """The content of a graph's file. Raises `ModelError` for one that is not the card's."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"the model's graph must be a readable file, got: {error}; {_AGAIN}") from error
    if content.startswith(weights_file.POINTER):
        raise ModelError(f"{path} must hold a graph, got a text pointer of git LFS; run `git lfs pull`")
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(f"{path} must have the sha256 {sha256} of its card, got {digest}; {_AGAIN}")
    return content


def _session(files: Files, content: bytes, weights: weights_file.WeightsFile) -> tuple[Any, list[Any]]:
    """A session on one thread that does not spin, and what must live as long as it does."""
    onnxruntime = runtime()
    options: Any = onnxruntime.SessionOptions()
    held: list[Any] = []
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what matters is raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        if files.precision == "float32":
            arrays = arrays_from(weights.content)
            held = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
            options.add_external_initializers(list(arrays), held)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ModelError(f"{_what(files)}, got: {why}; {_AGAIN}") from error
    return session, held


def _facts(files: Files, session: Any, weights: weights_file.WeightsFile) -> Facts:
    """What a graph says of itself. Raises `ModelError` where that is not true of its card or its weights."""
    try:
        text = session.get_modelmeta().custom_metadata_map[FACTS_KEY]
        facts = msgspec.json.decode(text, type=Facts)
    except (KeyError, msgspec.DecodeError) as error:
        raise ModelError(f"{files.graph} must say what it is a graph of, got: {error}; {_AGAIN}") from error
    stated = json.loads(weights.texts.get("config", "{}"))
    own = stated if isinstance(stated, dict) else {}
    other = sorted(key for key, value in own.items() if facts.config.get(key, value) != value)
    if other or facts.precision != files.precision or facts.weights not in (None, weights.sha256):
        what = f"of another {other[0]}" if other else "of others"
        raise ModelError(f"{_what(files)}, got one {what}; {_AGAIN}")
    return facts


def _what(files: Files) -> str:
    return f"{files.graph} must be a graph in {files.precision} for {files.weights.name}"
