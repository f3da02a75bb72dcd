"""The graph as part of a model: exported by one command, loaded by name, checked, and refused when broken."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import tomlkit

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import catalogue, checkpoint, networks
from plugin_bridge.separation.graph_separator import GraphSeparator
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.stereo import InStereo
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.evaluation_models import subject
from plugin_bridge.training.export import export
from tests.graph_models import drawn, install
from tests.model_folders import write_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "models"


def change_card(folder: Path, **values: object) -> None:
    path = folder / "card.toml"
    document = tomlkit.parse(path.read_text())
    engine = document["engine"]
    for key, value in values.items():
        if value is None:
            del document[key]
        elif key in ("graph", "precision", "graph_sha256"):
            engine[key.removeprefix("graph_")] = value  # type: ignore[index]
        else:
            document[key] = value
    path.write_text(tomlkit.dumps(document))


def song(frames: int = 3000) -> np.ndarray:
    return (0.1 * np.random.default_rng(4).standard_normal((2, frames))).astype(np.float32)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "plugin_bridge", *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, timeout=300)


def refusal(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        catalogue.load(name, "cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_exported_model_runs_in_onnx_runtime_and_sounds_the_same(models: Path) -> None:
    install(models, "mine")
    separator = catalogue.load("mine")
    assert isinstance(separator, GraphSeparator)
    eager = NetworkSeparator(drawn())
    assert np.abs(separator.separate(song()) - eager.separate(song())).max() < 1e-5
    assert catalogue.build(**catalogue.describe(separator)) == separator


def test_a_model_without_a_graph_runs_in_pytorch(models: Path) -> None:
    install(models, "mine", exported=False)
    assert isinstance(catalogue.load("mine", "cpu"), NetworkSeparator)


def test_the_card_is_kept_and_names_the_graph(models: Path) -> None:
    folder = install(models, "mine")
    text = (folder / "card.toml").read_text()
    assert text.startswith("# made by hand\n")
    before = catalogue.model_hash("mine")
    assert sorted(os.listdir(folder)) == ["card.toml", "mine.onnx", "weights.safetensors"]
    assert main(["export", "mine"]) == 0
    assert (folder / "card.toml").read_text() == text
    assert main(["export", "mine", "--int8"]) == 0
    assert (folder / "card.toml").read_text().count("[engine]") == 1
    engine = catalogue.card("mine").engine
    assert engine is not None
    assert engine.precision == "int8"
    assert catalogue.model_hash("mine") != before
    assert isinstance(catalogue.load("mine"), GraphSeparator)


def test_a_graph_of_float32_has_no_weights_and_stays_valid_for_others(models: Path) -> None:
    folder = install(models, "mine")
    assert export(drawn(seed=2)).content == (folder / "mine.onnx").read_bytes()
    other = drawn(seed=2)
    sha256 = checkpoint.save(other, folder / "weights.safetensors")
    change_card(folder, sha256=sha256)
    wanted = NetworkSeparator(other).separate(song())
    assert np.abs(catalogue.load("mine").separate(song()) - wanted).max() < 1e-5


def test_a_separator_described_in_pytorch_is_built_again_from_its_graph(models: Path) -> None:
    card = catalogue.card_in(install(models, "mine"))
    in_torch = NetworkSeparator(drawn(), weights=card.sha256)
    assert isinstance(catalogue.build(**catalogue.describe(in_torch)), GraphSeparator)


def test_a_mono_model_on_stereo_is_exported_and_runs_from_its_graph(models: Path) -> None:
    network = drawn(channels=1)
    config = {"preset": "tiny", "channels": 1, "stereo": "mid_side"}
    folder = write_model(models / "mine", network, config=config, channels=2)
    assert main(["export", str(folder)]) == 0
    found = catalogue.load("mine")
    assert isinstance(found, InStereo) and isinstance(found.separator, GraphSeparator)
    wanted = InStereo(NetworkSeparator(network), "mid_side").separate(song())
    assert np.abs(found.separate(song()) - wanted).max() < 1e-5
    sha256 = catalogue.card("mine").sha256
    for scored in (subject("mine", device="cpu"), subject(str(folder), device="cpu")):
        assert isinstance(scored.separator, InStereo)
        assert (scored.facts.config["stereo"], scored.facts.sha256) == ("mid_side", sha256)


def test_weights_of_int8_leave_room_for_pairs_of_products_in_16_bits(models: Path) -> None:
    graph = onnx.load(install(models, "mine", int8=True) / "mine.onnx").graph
    whole = [
        onnx.numpy_helper.to_array(it) for it in graph.initializer if it.data_type == onnx.TensorProto.INT8
    ]
    matrices = [values.astype(int) for values in whole if values.ndim > 1]
    assert len(matrices) > 5
    for values in matrices:
        assert 2 * 255 * np.abs(values).max() < 2**15
        assert np.abs(values).max() > 50  # of 64


def test_a_graph_of_int8_is_for_its_own_weights_only(models: Path) -> None:
    folder = install(models, "mine", int8=True)
    sha256 = checkpoint.save(drawn(seed=2), folder / "weights.safetensors")
    change_card(folder, sha256=sha256)
    assert "must be a graph in int8 for weights.safetensors, got one of others; export it again" in refusal(
        "mine"
    )


def test_a_folder_without_a_card_is_told_what_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(drawn(), tmp_path / "run" / "weights.safetensors")
    assert main(["export", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    graph = (tmp_path / "run" / "run.onnx").read_bytes()
    assert f'[engine]\ngraph = "run.onnx"\nsha256 = "{export(drawn()).sha256}"' in said
    assert graph == export(drawn()).content


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("missing", "the model's graph must be a readable file, got: .*; export it again"),
        ("truncated", "must have the sha256 .* of its card, got .*; export it again"),
        ("pointer", "must hold a graph, got a text pointer of git LFS; run `git lfs pull`"),
        ("garbage", "must be a graph in float32 for weights.safetensors, got: .*; export it again"),
        ("of another shape", "must be a graph in float32 for weights.safetensors, got: .*; export it again"),
        ("of another config", "must be a graph in float32 for weights.safetensors, got one of another heads"),
        ("another precision", "must be a graph in int8 for weights.safetensors, got: .*; export it again"),
        ("unknown precision", "card of model 'mine' must be valid, got: Invalid enum value 'int4'"),
        ("elsewhere", "must name a file beside it as its engine's graph, got '../mine.onnx'"),
        ("of another card", "must be of what its card describes, got one not of heads 3"),
        ("not a graph of ours", "must say what it is a graph of, got"),
        ("weights", "must have the sha256 .* of its card, got .*; fetch the weights again"),
    ],
)
def test_a_broken_model_is_refused_in_one_sentence(models: Path, harm: str, message: str) -> None:
    folder = install(models, "mine")
    break_it(folder, harm)
    assert re.search(message, refusal("mine"))
    done = command("models", "list")
    assert done.returncode == 0, done.stderr
    soundfile.write(models / "song.wav", song().T, 8000)
    done = command("render", models / "song.wav", "--model", "mine", "-o", models / "out")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1, done.stderr


def break_it(folder: Path, harm: str) -> None:
    graph = folder / "mine.onnx"
    if harm == "missing":
        graph.unlink()
    elif harm == "truncated":
        graph.write_bytes(graph.read_bytes()[:-1])
    elif harm == "pointer":
        graph.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif harm == "garbage":
        replace_graph(folder, b"\x08" * 500)
    elif harm == "of another shape":
        replace_graph(folder, export(drawn(width=12)).content)
    elif harm == "of another config":
        replace_graph(folder, export(drawn(heads=4)).content)
    elif harm == "another precision":
        change_card(folder, precision="int8")
    elif harm == "unknown precision":
        change_card(folder, precision="int4")
    elif harm == "elsewhere":
        graph.rename(folder.parent / "mine.onnx")
        change_card(folder, graph="../mine.onnx")
    elif harm == "of another card":
        change_card(folder, config={"preset": "tiny", "heads": 3})
    elif harm == "not a graph of ours":
        model = onnx.load_model(str(graph), load_external_data=False)
        del model.metadata_props[:]
        replace_graph(folder, model.SerializeToString())
    else:
        content = (folder / "weights.safetensors").read_bytes()
        (folder / "weights.safetensors").write_bytes(content[:-1] + b"?")


def replace_graph(folder: Path, content: bytes) -> None:
    (folder / "mine.onnx").write_bytes(content)
    change_card(folder, graph_sha256=hashlib.sha256(content).hexdigest())


def test_networks_without_a_middle_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    checkpoint.save(networks.build("unet", {"preset": "tiny"}), tmp_path / "weights.safetensors")
    assert main(["export", str(tmp_path)]) == 1
    assert "must be causal and name its middle, got unet" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nothing")]) == 1
    assert main(["export", "bands"]) == 1
    assert "must have weights" in capsys.readouterr().err


def test_the_command_line_lists_shows_and_renders_it_as_its_stream(models: Path, tmp_path: Path) -> None:
    install(models, "mine")
    assert "mine" in command("models", "list").stdout
    shown = command("models", "show", "mine").stdout
    assert "engine: graph = mine.onnx, sha256 = " in shown
    mix = song(8000)
    soundfile.write(tmp_path / "song.wav", mix.T, 8000, subtype="FLOAT")
    done = command("render", tmp_path / "song.wav", "--model", "mine", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    separator = catalogue.load("mine")
    stream = separator.stream()  # type: ignore[attr-defined]
    room = -(-(mix.shape[1] + stream.latency) // stream.hop) * stream.hop
    padded = np.pad(mix, ((0, 0), (0, room - mix.shape[1])))
    parts = [stream.process(padded[:, at : at + stream.hop]) for at in range(0, room, stream.hop)]
    live = np.concatenate(parts, axis=-1)[..., stream.latency :][..., : mix.shape[1]]
    for source, stem in zip(separator.sources, live, strict=True):
        rendered, rate = soundfile.read(tmp_path / "out" / "song" / f"{source}.wav", dtype="float32")
        assert rate == 8000
        assert np.abs(rendered.T - stem).max() < 1e-6


def test_an_evaluation_scores_it_by_name(models: Path) -> None:
    install(models, "mine", int8=True)
    scored = subject("mine", device="cpu")
    assert isinstance(scored.separator, GraphSeparator)
    assert scored.facts.parameters == sum(parameter.numel() for parameter in drawn().parameters())
    assert scored.facts.config["precision"] == "int8"
    with pytest.raises(ValueError, match="shifts must be 1 for a causal network"):
        subject("mine", device="cpu", shifts=2)
