"""What every network that we ship makes of a small song, held to the figures committed with its weights.

A golden file is rewritten, after a model's weights or the song have changed, by
`python -m pytest tests/test_golden.py --update-golden -k MODEL`, and by nothing else.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plugin_bridge.separation import catalogue, checkpoint, networks
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.separator import Audio, Stems, StreamingSeparator
from plugin_bridge.separation.stream import Reblocked
from plugin_bridge.training.scores import global_sdr
from tests.little_song import true_stems

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).resolve().parent / "golden"
SHIPPED = sorted(
    card.parent.name
    for card in (ROOT / "models").glob("*/card.toml")
    if catalogue.card_in(card.parent).architecture in networks.architectures()
    and card.parent.name in catalogue.names()
)
ENGINES = ("as shipped", "PyTorch")
ODD_BLOCKS = (331, 1, 64, 1777, 512, 7, 4099, 256)
FLOAT32_DB, INT8_DB = 0.02, 0.05
"""By how much a score may differ from the golden one; in PyTorch, from that of matrices in 8 bits."""


def golden(name: str) -> dict[str, Any]:
    """The golden figures of a model; without them, a test fails and says how they are written."""
    path = GOLDEN / f"{name}.json"
    if not path.is_file():
        pytest.fail(f"model '{name}' must have {path.relative_to(ROOT)}, got none; write it: {remedy(name)}")
    figures: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return figures


def remedy(name: str) -> str:
    return f"python -m pytest tests/test_golden.py --update-golden -k {name}"


@cache
def separator(name: str, engine: str) -> StreamingSeparator:
    """A model as everyone gets it, or its weights in PyTorch."""
    if engine == "as shipped":
        loaded = catalogue.load(name)
        assert isinstance(loaded, StreamingSeparator)
        return loaded
    card, folder = catalogue.card(name), catalogue.model_folder(name)
    weights = folder / str(card.weights)
    network = checkpoint.load(
        weights, sha256=card.sha256, architecture=card.architecture, config=dict(card.config)
    )
    return NetworkSeparator(network, weights=card.sha256)


@cache
def song(name: str) -> Stems:
    """The true stems at a model's rate and channels, which the mix is the sum of."""
    card = catalogue.card(name)
    stems = true_stems(card.sources, card.sample_rate)
    return stems if card.channels == 2 else stems.mean(axis=1, keepdims=True)


@cache
def streamed(name: str, engine: str) -> Stems:
    """The song as one stream in odd blocks, its latency taken out."""
    its, mix = separator(name, engine), mix_of(name)
    stream = Reblocked(its.stream(), its.channels, len(its.sources))
    padded = np.pad(mix, ((0, 0), (0, stream.latency)))
    parts, at = [], 0
    for block in cycle(ODD_BLOCKS):
        parts.append(stream.process(padded[:, at : at + block]))
        at += block
        if at >= padded.shape[1]:
            return np.concatenate(parts, axis=-1)[..., stream.latency :]
    raise AssertionError("a cycle has no end")


def mix_of(name: str) -> Audio:
    return np.ascontiguousarray(song(name).sum(axis=0))


def levels_dbfs(stems: Stems) -> list[float]:
    return [float(10 * np.log10(np.mean(np.square(stem, dtype=np.float64)))) for stem in stems]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rounded(names: list[str], values: list[float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def measured(name: str) -> dict[str, Any]:
    """What the golden file of a model must hold now."""
    card, folder = catalogue.card(name), catalogue.model_folder(name)
    figures: dict[str, Any] = {"weights_sha256": sha256_of(folder / str(card.weights))}
    if card.engine is not None:
        figures["graph_sha256"] = sha256_of(folder / card.engine.graph)
    scores = global_sdr(song(name), streamed(name, "as shipped")).tolist()
    return {
        **figures,
        "song_levels_dbfs": rounded(card.sources, levels_dbfs(song(name))),
        "sdr_db": rounded(card.sources, scores),
    }


@cache
def rewrite(name: str) -> None:
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{name}.json").write_text(json.dumps(measured(name), indent=1) + "\n", "utf-8")


@pytest.fixture(autouse=True)
def _rewritten(request: pytest.FixtureRequest, update_golden: bool) -> None:
    """With `--update-golden`, the file of a test's model is rewritten before it is read."""
    if update_golden:
        rewrite(request.getfixturevalue("name"))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_are_those_that_were_measured(name: str) -> None:
    card, folder, figures = catalogue.card(name), catalogue.model_folder(name), golden(name)
    assert folder == ROOT / "models" / name, "the user's folder has a model of this name, which hides ours"
    assert figures["weights_sha256"] == card.sha256 == sha256_of(folder / str(card.weights)), remedy(name)
    if card.engine is not None:
        assert figures["graph_sha256"] == card.engine.sha256 == sha256_of(folder / card.engine.graph)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_song_is_the_one_that_was_measured(name: str) -> None:
    made = rounded(catalogue.card(name).sources, levels_dbfs(song(name)))
    assert made == pytest.approx(golden(name)["song_levels_dbfs"], abs=0.01), remedy(name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SHIPPED)
def test_the_scores_are_those_of_the_golden_file(name: str, engine: str) -> None:
    card, figures = catalogue.card(name), golden(name)
    scores = rounded(card.sources, global_sdr(song(name), streamed(name, engine)).tolist())
    exact = engine == "as shipped" or card.engine is None or card.engine.precision == "float32"
    within = FLOAT32_DB if exact else INT8_DB
    assert scores == pytest.approx(figures["sdr_db"], abs=within), remedy(name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SHIPPED)
def test_the_stems_of_odd_blocks_sum_to_the_mix_and_are_those_of_the_whole(name: str, engine: str) -> None:
    stems = streamed(name, engine)
    np.testing.assert_allclose(stems.sum(axis=0), mix_of(name), atol=1e-5)
    np.testing.assert_allclose(stems, separator(name, engine).separate(mix_of(name)), atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_both_engines_give_the_same(name: str) -> None:
    card = catalogue.card(name)
    if card.engine is not None and card.engine.precision == "float32":
        ours, theirs = (streamed(name, engine) for engine in ENGINES)
        assert np.abs(ours - theirs).max() < 1e-4
