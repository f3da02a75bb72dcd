"""ONNX Runtime as an engine: the same as PyTorch to the last digits, and steady whatever comes in."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from plugin_bridge.separation import catalogue
from plugin_bridge.separation.graph_separator import GraphSeparator
from plugin_bridge.separation.layers.short_synthesis import ShortSynthesis
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.separator import Stream
from plugin_bridge.separation.short_transform import ShortTransform
from tests.graph_models import drawn, in_onnx_runtime, install

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent
HOPS = 10_000


@pytest.fixture(scope="module")
def tiny() -> GraphSeparator:
    return in_onnx_runtime(drawn())


def noise(hops: int, separator: GraphSeparator | NetworkSeparator, level: float = 0.1) -> np.ndarray:
    frames = hops * separator.stream().hop
    drawn_noise = np.random.default_rng(0).standard_normal((separator.channels, frames))
    return (level * drawn_noise).astype(np.float32)


def streamed(stream: Stream, mix: np.ndarray) -> np.ndarray:
    blocks = np.split(mix, mix.shape[1] // stream.hop, axis=1)
    return np.concatenate([stream.process(np.ascontiguousarray(block)) for block in blocks], axis=-1)


@pytest.mark.parametrize("preset", ["tiny", "live", "low_latency"])
def test_it_gives_what_pytorch_gives(preset: str) -> None:
    network = drawn(preset)
    graph, eager = in_onnx_runtime(network), NetworkSeparator(network)
    mix = noise(40, eager)
    loudest = np.abs(eager.separate(mix)).max()
    assert loudest > 0.05
    assert np.abs(graph.separate(mix) - eager.separate(mix)).max() < 1e-5 * loudest
    assert np.abs(graph.raw_estimates(mix) - eager.raw_estimates(mix)).max() < 1e-5 * loudest
    there, here = streamed(eager.stream(), mix), streamed(graph.stream(), mix)
    assert np.abs(there - here).max() < 1e-5 * loudest


@pytest.mark.parametrize(
    "changes",
    [
        {"magnitudes": True},
        {"mixing": "mlp"},
        {"mixing": "gru"},
        {"filter_ranges": 0},
        {"filter_frames": 0},
        {"filter_frames": 3, "filter_reach": 0, "layers": 2},
        {"channels": 1, "hop": 16, "sources": ["a", "b"]},
    ],
    ids=str,
)
def test_it_gives_what_pytorch_gives_in_other_forms(changes: dict[str, object]) -> None:
    network = drawn(**changes)
    graph, eager = in_onnx_runtime(network), NetworkSeparator(network)
    mix = noise(40, eager)
    assert np.abs(graph.separate(mix) - eager.separate(mix)).max() < 1e-5 * np.abs(eager.separate(mix)).max()


def test_in_8_bits_it_is_near(tiny: GraphSeparator) -> None:
    small, mix = in_onnx_runtime(drawn(), "int8"), noise(100, tiny)
    difference = small.separate(mix) - tiny.separate(mix)
    assert 0 < np.square(difference).mean() < 1e-2 * np.square(tiny.separate(mix)).mean()


def test_live_is_offline_to_the_last_bit(tiny: GraphSeparator) -> None:
    mix, stream = noise(60, tiny), tiny.stream()
    live = streamed(stream, mix)[..., stream.latency :]
    assert np.array_equal(live, tiny.separate(mix)[..., : live.shape[-1]])


def test_streams_of_one_session_know_nothing_of_each_other(tiny: GraphSeparator) -> None:
    mix, other = noise(30, tiny), noise(30, tiny, 0.9)[:, ::-1]
    alone, one, two = streamed(tiny.stream(), mix), tiny.stream(), tiny.stream()
    hop = one.hop
    for at in range(0, mix.shape[1], hop):
        two.process(np.ascontiguousarray(other[:, at : at + hop]))
        assert np.array_equal(one.process(mix[:, at : at + hop]), alone[..., at : at + hop])
    two.reset()
    assert np.array_equal(streamed(two, mix), alone)


def test_copies_and_pickles_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    install(tmp_path / "models", "mine")
    separator = catalogue.load("mine")
    mix = noise(5, separator)  # type: ignore[arg-type]
    for again in (deepcopy(separator), pickle.loads(pickle.dumps(separator))):
        assert again == separator
        assert hash(again) == hash(separator)
        assert np.array_equal(again.separate(mix), separator.separate(mix))


@pytest.mark.parametrize(("window", "synthesis", "hop"), [(256, 64, 32), (2048, 1024, 512), (64, 64, 16)])
def test_its_transform_is_that_of_the_layer(window: int, synthesis: int, hop: int) -> None:
    layer = ShortSynthesis(window, synthesis, hop)
    audio = np.random.default_rng(1).standard_normal((2, layer.past + 9 * hop)).astype(np.float32)
    wanted = layer.analyse(torch.from_numpy(audio))  # (channels, steps, bins)
    sound, _ = layer.synthesise(wanted, torch.zeros(2, layer.latency))
    transform = ShortTransform(window, synthesis, hop, channels=2, estimated=1, bins=layer.bins)
    transform._heard[:, hop:] = audio[:, : layer.past]
    spectra = np.zeros((layer.bins, 2, 2), np.float32)
    for step in range(9):
        transform.analyse(audio[:, layer.past + step * hop :][:, :hop], spectra)
        made = spectra.view(np.complex64)[..., 0].T
        assert np.abs(made - wanted[:, step].numpy()).max() < 1e-6
        out = transform.synthesise(spectra[None])[0]
        assert np.abs(out - sound[:, step * hop : (step + 1) * hop].numpy()).max() < 1e-5


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bad_blocks(kind: str, channels: int, hop: int) -> np.ndarray:
    """Shape: `(different ones, channels, hop)`."""
    draw = np.random.default_rng(3).standard_normal((64, channels, hop)).astype(np.float32)
    if kind == "full scale":
        return np.sign(draw)
    if kind == "denormals":
        return draw * np.float32(1e-40)
    if kind == "faint":
        return draw * np.float32(1e-25)
    if kind == "no numbers":
        draw[::2, :, ::3] = np.nan
        draw[1::2, :, 1::5] = np.inf
        return draw
    return np.zeros_like(draw)


@pytest.mark.parametrize("kind", ["silence", "full scale", "denormals", "faint", "no numbers"])
def test_ten_thousand_hops_of_anything_stay_finite_and_take_no_memory(
    tiny: GraphSeparator, kind: str
) -> None:
    stream = tiny.stream()
    given = bad_blocks(kind, tiny.channels, stream.hop)
    for block in noise(20, tiny).reshape(tiny.channels, 20, -1).swapaxes(0, 1):
        stream.process(np.ascontiguousarray(block))
    peak, before = 0.0, 0
    for number in range(HOPS):
        if number == HOPS // 10 and sys.platform == "linux":
            before = resident_bytes()
        peak = max(peak, float(np.abs(stream.process(given[number % len(given)])).max()))
    assert np.isfinite(peak)
    assert peak < 100
    if kind in ("silence", "denormals"):
        assert not stream.process(np.zeros_like(given[0])).any()
    if sys.platform == "linux":
        assert resident_bytes() - before < 16e6


def test_a_state_without_numbers_is_given_up(tiny: GraphSeparator) -> None:
    stream, mix = tiny.stream(), noise(60, tiny)
    streamed(stream, mix)
    for state in stream._inner._engine._states:  # type: ignore[attr-defined]
        state["hidden"][:] = np.nan
    assert np.isfinite(streamed(stream, mix)).all()
    tail = streamed(stream, mix)[..., -tiny.stream().hop :]
    assert np.abs(tail).max() > 1e-3


WITHOUT = """
import sys
sys.modules["onnxruntime"] = None
from plugin_bridge.separation import catalogue
for _ in range(3):
    print(type(catalogue.load("mine")).__name__)
"""
WITH = """
import sys
import numpy as np
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.separation import catalogue
board = StemBoard("mine")
session = board.live_session(44100)
session.advance(np.full((2, session.hop), 0.1, np.float32))
catalogue.build(**catalogue.describe(board.separator))
print(type(board.separator).__name__, "torch" in sys.modules)
"""


def test_onnx_runtime_keeps_and_reports_nothing(tmp_path: Path) -> None:
    """Left to itself, it reports to its maker, and keeps an identifier for that in the home folder."""
    install(tmp_path / "models", "mine")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "ORT_", "XDG_"))}
    own = {"PLUGIN_BRIDGE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITH], env={**kept, **own}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "said", "complaints"),
    [(WITHOUT, "NetworkSeparator\n" * 3, 1), (WITH, "GraphSeparator False\n", 0)],
    ids=["without ONNX Runtime", "with it"],
)
def test_pytorch_takes_over_only_where_it_must(
    tmp_path: Path, program: str, said: str, complaints: int
) -> None:
    install(tmp_path / "models", "mine")
    environment = {**os.environ, "PLUGIN_BRIDGE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == said, done.stderr
    assert done.stderr.count("ONNX Runtime must be installed") == complaints
    assert len(done.stderr.splitlines()) == complaints
