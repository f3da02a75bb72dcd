"""Weights in files: what was saved comes back, and every wrong file is one clear sentence."""

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.networks.network import Network


def tiny(seed: int = 3) -> Network:
    torch.manual_seed(seed)
    return networks.build("unet", {"preset": "tiny"})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    checkpoint.save(tiny(), tmp_path / "weights.safetensors", {"steps": 7})
    return tmp_path / "weights.safetensors"


def refusal(path: Path, **wanted: object) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(path, **wanted)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_saved_comes_back(saved: Path) -> None:
    network, before = checkpoint.load(saved), tiny()
    assert network.config == before.config
    for name, tensor in before.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert checkpoint.training_notes(checkpoint.read(saved)) == {"steps": 7}


def test_the_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "weights.safetensors"
    sha256 = checkpoint.save(tiny(), path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == checkpoint.read(path, sha256).sha256
    assert os.listdir(path.parent) == ["weights.safetensors"]


def test_no_length_of_the_header_makes_weights_look_like_a_pickle(tmp_path: Path) -> None:
    begun = set()
    for length in range(0, 257, 8):
        path = tmp_path / f"{length}.safetensors"
        checkpoint.write(path, {"a": torch.zeros(2)}, {"note": "x" * length})
        assert checkpoint.read(path).texts["note"] == "x" * length
        begun.add(path.read_bytes()[0])
    assert 0x80 in begun


def test_loading_leaves_the_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(5)
    alone = torch.rand(3)
    torch.manual_seed(5)
    checkpoint.load(saved)
    assert torch.equal(torch.rand(3), alone)


def test_weights_without_metadata_need_a_named_architecture(tmp_path: Path) -> None:
    path = tmp_path / "published.safetensors"
    save_file(tiny().state_dict(), path)
    assert "must say its architecture" in refusal(path)
    assert checkpoint.load(path, architecture="unet", config={"preset": "tiny"}).architecture == "unet"


def test_tensors_that_share_memory_can_be_saved(tmp_path: Path) -> None:
    tensor = torch.arange(6.0)
    checkpoint.write(tmp_path / "x", {"all": tensor, "part": tensor[::2]}, {})
    assert checkpoint.read(tmp_path / "x").tensors["part"].tolist() == [0, 2, 4]


def test_a_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"weights must be writable .* No space left"):
        checkpoint.save(tiny(4), saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_checkpoint_of_another_architecture_is_refused(saved: Path) -> None:
    content = checkpoint.read(saved)
    checkpoint.write(saved, content.tensors, {**content.texts, "architecture": "umx9000"})
    assert "must hold weights of unet, got a checkpoint of umx9000" in refusal(saved, architecture="unet")
    assert "architecture must be one of" in refusal(saved)


def test_another_config_is_refused(saved: Path) -> None:
    wider = {"preset": "tiny", "widths": [8, 16, 25]}
    assert "got shape" in refusal(saved, architecture="unet", config=wider)
    deeper = {"preset": "tiny", "widths": [8, 16, 24, 32]}
    assert "got none for 'maskers.0.decoder" in refusal(saved, architecture="unet", config=deeper)
    assert "more" in refusal(saved, architecture="unet", config=deeper)
    content = checkpoint.read(saved)
    checkpoint.write(saved, {**content.tensors, "head.bias": torch.zeros(1)}, content.texts)
    assert "got unknown ones for 'head.bias'" in refusal(saved, architecture="unet")
    assert "must use known keys, got 'width'" in refusal(saved, architecture="unet", config={"width": 3})


@pytest.mark.parametrize("kept", [0, 4, 9, 100, 3000, -1])
def test_a_truncated_file_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    message = refusal(saved)
    assert "must be a" in message
    assert "safetensors file, got" in message
    assert kept < 100 or "truncated" in message or kept == 100


def test_another_sha256_is_refused(saved: Path) -> None:
    assert "must have the sha256 0123 of its card, got" in refusal(saved, sha256="0123")


def test_a_text_pointer_in_place_of_weights_is_refused(saved: Path) -> None:
    saved.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 132\n")
    assert "got a text pointer of git LFS; run `git lfs pull`" in refusal(saved)


class Foreign:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("how", ["bare", "torch", "old torch"])
def test_a_pickle_is_refused_unopened(tmp_path: Path, how: str) -> None:
    path, mark = tmp_path / "weights.safetensors", tmp_path / "mark"
    if how == "bare":
        path.write_bytes(pickle.dumps(Foreign(mark)))
    else:
        torch.save({"model": Foreign(mark)}, path, _use_new_zipfile_serialization=how == "torch")
    assert "got a pickle, which could run any program when opened" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [b"<html>not found</html>" * 10, b"\0" * 200, (10).to_bytes(8, "little") + b'{"a": [1]}']
)
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert "safetensors file" in refusal(tmp_path / "x")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "weights must be a readable file" in refusal(tmp_path / "none")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = tiny()
    next(network.parameters()).data.fill_(float("nan"))
    checkpoint.save(network, tmp_path / "x")
    assert "must have finite weights, got NaN or infinity in 'maskers.0" in refusal(tmp_path / "x")


@pytest.mark.parametrize("config", ["{", "[1]", json.dumps({"widths": "wide"})])
def test_a_broken_config_in_a_file_is_refused(saved: Path, config: str) -> None:
    content = checkpoint.read(saved)
    checkpoint.write(saved, content.tensors, {**content.texts, "config": config})
    assert "config" in refusal(saved)
