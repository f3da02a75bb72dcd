"""The catalogue: every card tells the truth, and a broken one is a clear sentence."""

import shutil
from pathlib import Path

import pytest

from plugin_bridge.errors import DeviceError, ModelError
from plugin_bridge.folders import data_folders, user_folder
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.classical.bands import Bands


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def own(own_models: Path, **changes: object) -> None:
    """A copy of the `bands` model as the user's own, some lines changed."""
    text = (catalogue.model_folder("bands") / "card.toml").read_text()
    for key, value in changes.items():
        lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
        text = "\n".join([f"{key} = {value}", *lines])
    folder = own_models / "mine"
    folder.mkdir(exist_ok=True)
    (folder / "card.toml").write_text(text)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_card_states_what_its_separator_does(name: str) -> None:
    card, separator = catalogue.card(name), catalogue.load(name)
    assert card.sources == list(separator.sources)
    for text in (card.summary, card.licence, card.source, card.strengths, card.limits):
        assert len(text) > 10


@pytest.mark.parametrize("name", catalogue.names())
def test_a_separator_can_be_described_and_built_again(name: str) -> None:
    separator = catalogue.load(name)
    assert catalogue.build(**catalogue.describe(separator)) == separator


def test_a_description_keeps_what_differs_from_the_default() -> None:
    bands = Bands((100.0, 1000.0, 5000.0), hop=128)
    description = catalogue.describe(bands)
    assert description == {
        "architecture": "bands",
        "config": {"crossovers_hz": (100.0, 1000.0, 5000.0), "hop": 128},
    }
    assert catalogue.build(**description) == bands


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bnds", "got 'bnds'; did you mean 'bands'"),
        ("xyzzy-9", "known models: .*bands"),
        ("../bands", "got '../bands'"),
        ("", "known models"),
    ],
)
def test_an_unknown_model_is_refused_with_candidates(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        catalogue.load(name)


def test_the_users_models_come_before_ours(own_models: Path) -> None:
    assert data_folders("models")[0] == own_models == user_folder("models")
    own(own_models)
    assert "mine" in catalogue.names()
    assert catalogue.load("mine") == Bands()
    shutil.copytree(own_models / "mine", own_models / "bands")
    assert catalogue.model_folder("bands") == own_models / "bands"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latency": 511}, "must state its separator's latency, got 511 for 512"),
        ({"sources": '["a", "b", "c"]'}, "must state its separator's sources"),
        ({"streaming": "false"}, "must state its separator's streaming"),
        ({"sample_rate": 48000}, "must state its separator's sample_rate"),
        ({"architecture": '"wavelet"'}, "architecture must be one of"),
        ({"colour": '"red"'}, "unknown field `colour`"),
        ({"hop": '"x"'}, "Expected `int"),
        ({"summary": ""}, "must be valid"),
        ({"config": "{tapes = 3}"}, "must use known keys, got 'tapes'"),
        ({"config": "{taps = 4}"}, "taps must be odd"),
    ],
)
def test_a_broken_card_is_one_clear_sentence(
    own_models: Path, changes: dict[str, object], message: str
) -> None:
    own(own_models, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        catalogue.load("mine")
    assert "\n\n" not in str(caught.value)


def test_the_hash_follows_what_a_model_sounds_like(own_models: Path) -> None:
    own(own_models, summary='"another text"')
    assert catalogue.model_hash("mine") == catalogue.model_hash("bands")
    own(own_models, config="{hop = 128}", hop=128)
    assert catalogue.model_hash("mine") != catalogue.model_hash("bands")
    before = catalogue.model_hash("mine")
    (own_models / "mine" / "weights.safetensors").write_bytes(b"weights")
    assert catalogue.model_hash("mine") != before


def test_a_device_must_be_known_and_present() -> None:
    import torch

    with pytest.raises(ValueError, match="device must be one of auto, cpu, cuda, mps, got 'tpu'"):
        catalogue.load("bands", "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="device cuda must be present"):
            catalogue.load("bands", "cuda")
    assert catalogue.load("bands", "cpu") == Bands()


def test_describing_a_foreign_separator_is_refused() -> None:
    class Foreign(Bands):
        pass

    with pytest.raises(TypeError, match="got Foreign"):
        catalogue.describe(Foreign())
