"""A separator made of a causal network's graph, without torch: live and offline step through one engine."""

from typing import Any

import numpy as np

from plugin_bridge.separation.engine import Files, Graph, GraphSteps
from plugin_bridge.separation.gate import GatedStream, check_mix
from plugin_bridge.separation.separator import Audio, Stems, Stream
from plugin_bridge.separation.steps import Steps, completed
from plugin_bridge.separation.stream import run_through


class GraphSeparator:
    """A graph in ONNX Runtime as a separator; `weights` is the sha256 of the network's weights.

    Copies share its session, in which no stream leaves anything. Raises as `engine.Graph`.
    """

    def __init__(self, files: Files) -> None:
        self.files, self.graph = files, Graph(files)
        self.facts, self.weights = self.graph.facts, files.weights_sha256
        self.sources, self.channels = self.facts.sources, self.facts.channels
        self.sample_rate = self.facts.sample_rate

    def stream(self) -> Stream:
        """A fresh, independent stream."""
        return GatedStream(Steps(GraphSteps(self.graph)))

    def separate(self, mix: Audio) -> Stems:
        """Separate a whole signal. Shape: `(channels, frames)` to `(sources, channels, frames)`."""
        return run_through(self.stream(), mix, self.channels, len(self.sources))

    def raw_estimates(self, mix: Audio) -> Stems:
        """What the network gives before the stems are made to sum to the mix, for those who score it.

        A source that the network leaves out is what the others leave. Shape: `(channels, frames)` to
        `(sources, channels, frames)`.
        """
        check_mix(mix, self.channels)
        steps, frames = GraphSteps(self.graph), mix.shape[1]
        room = -(-(frames + steps.latency) // steps.hop) * steps.hop
        padded = np.pad(mix, ((0, 0), (0, room - frames))).astype(np.float32, copy=False)
        parts = [steps.step(padded[:, at : at + steps.hop]).copy() for at in range(0, room, steps.hop)]
        estimates: Stems = np.concatenate(parts, axis=-1)[..., steps.latency : steps.latency + frames]
        return completed(estimates, mix, len(self.sources))

    def _key(self) -> tuple[object, ...]:
        return (self.facts.architecture, self.files.graph_sha256, self.weights)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphSeparator) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphSeparator, (self.files,)

    def __deepcopy__(self, memo: dict[int, Any]) -> "GraphSeparator":
        return self
