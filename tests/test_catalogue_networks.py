"""Networks in the catalogue: listed once they have weights, checked before they run."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import plugin_bridge
from plugin_bridge.errors import ModelError
from plugin_bridge.separation import catalogue, networks
from plugin_bridge.separation.network_separator import NetworkSeparator
from tests.model_folders import write_model


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def install(models: Path, name: str = "mine", seed: int = 1, **changes: object) -> Path:
    """A model folder of a small U-Net with random weights; a change of None leaves a key out."""
    torch.manual_seed(seed)
    return write_model(models / name, networks.build("unet", {"preset": "tiny"}), **changes)


OUR_UNTRAINED = [
    card.parent
    for card in sorted((Path(__file__).resolve().parent.parent / "models").glob("*/card.toml"))
    if catalogue.card_in(card.parent).architecture in networks.architectures()
    and catalogue.card_in(card.parent).weights is None
]


@pytest.mark.parametrize("folder", OUR_UNTRAINED, ids=lambda folder: folder.name)
def test_the_card_of_an_untrained_network_says_what_it_will_do(folder: Path) -> None:
    card = catalogue.card_in(folder)
    truth = catalogue.stated(NetworkSeparator(networks.build(card.architecture, card.config)))
    assert {key: getattr(card, key) for key in truth} == truth
    assert (folder / "recipe.toml").is_file()
    assert folder.name not in catalogue.names()
    for text in (card.summary, card.licence, card.source, card.strengths, card.limits):
        assert len(text) > 10


def mix(separator: object) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 5000)).astype(np.float32) * 0.1


def test_a_model_with_weights_is_listed_and_separates(own_models: Path) -> None:
    install(own_models)
    assert "mine" in catalogue.names()
    separator = catalogue.load("mine", "cpu")
    torch.manual_seed(1)
    same = NetworkSeparator(networks.build("unet", {"preset": "tiny"}))
    assert np.array_equal(separator.separate(mix(separator)), same.separate(mix(separator)))


def test_a_model_can_be_described_and_built_again(own_models: Path) -> None:
    install(own_models, config={"preset": "tiny", "shifts": 3, "seed": 5})
    separator = catalogue.load("mine", "cpu")
    again = catalogue.build(**catalogue.describe(separator), device="cpu")
    assert again == separator
    assert (again.shifts, again.seed) == (3, 5)  # type: ignore[attr-defined]
    assert np.array_equal(again.separate(mix(again)), separator.separate(mix(separator)))


def test_shifts_are_those_of_the_card_unless_others_are_asked_for(own_models: Path) -> None:
    install(own_models, config={"preset": "tiny", "shifts": 3, "seed": 5})
    stereo = {"preset": "tiny", "channels": 1, "stereo": "left_right"}
    write_model(
        own_models / "wide",
        networks.build("unet", {"preset": "tiny", "channels": 1}),
        config=stereo,
        channels=2,
    )
    for asked, found in ((None, 3), (1, 1), (4, 4)):
        separator = catalogue.load("mine", "cpu", shifts=asked)
        assert (separator.shifts, separator.seed) == (found, 5)  # type: ignore[attr-defined]
    assert catalogue.load("wide", "cpu", shifts=4).separator.shifts == 4  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="shifts must be 1 or more"):
        catalogue.load("mine", "cpu", shifts=0)


def test_a_song_is_rendered_with_the_shifts_asked_for(own_models: Path, tmp_path: Path) -> None:
    folder, song = install(own_models), tmp_path / "song.wav"
    separator = catalogue.load("mine", "cpu", shifts=2)
    audio = mix(separator)
    soundfile.write(song, audio.T, separator.sample_rate, "FLOAT")
    render = {"model": folder.name, "device": "cpu"}
    (report,) = plugin_bridge.render(song, tmp_path / "out", **render, shifts=2)
    written, _ = soundfile.read(tmp_path / "out" / "song" / "vocals.wav", dtype="float32")
    np.testing.assert_allclose(written, separator.separate(audio)[0, 0], atol=1e-6)
    (again,) = plugin_bridge.render(song, tmp_path / "out", **render, shifts=2, resume=True)
    (other,) = plugin_bridge.render(song, tmp_path / "out", **render, resume=True)
    assert [report.status, again.status, other.status] == ["rendered", "skipped", "rendered"]


def test_weights_are_found_past_a_broken_card(own_models: Path) -> None:
    install(own_models)
    (own_models / "a_broken").mkdir()
    (own_models / "a_broken" / "card.toml").write_text("architecture = ")
    separator = catalogue.load("mine", "cpu")
    assert catalogue.build(**catalogue.describe(separator), device="cpu") == separator


def test_weights_that_no_model_has_are_refused() -> None:
    with pytest.raises(ModelError, match="weights of unet must be of a model in the catalogue, got 12ab"):
        catalogue.build("unet", {"preset": "tiny", "weights": "12ab"})
    with pytest.raises(ModelError, match="got None"):
        catalogue.build("unet", {"preset": "tiny"})


def test_a_network_in_no_file_cannot_be_described() -> None:
    with pytest.raises(TypeError, match="must be trained to be described"):
        catalogue.describe(NetworkSeparator(networks.build("unet", {"preset": "tiny"})))


@pytest.mark.parametrize("missing", ["file", "key", "card"])
def test_an_untrained_model_is_not_listed(own_models: Path, missing: str) -> None:
    folder = install(own_models, weights=None if missing == "key" else "weights.safetensors")
    (folder / "recipe.toml").write_text("")
    if missing != "key":
        (folder / {"file": "weights.safetensors", "card": "card.toml"}[missing]).unlink()
    assert "mine" not in catalogue.names()
    with pytest.raises(ModelError, match="known models" if missing == "card" else "train it by its recipe"):
        catalogue.load("mine")


def test_an_untrained_folder_of_the_user_does_not_hide_a_model(own_models: Path) -> None:
    install(own_models, "bands", weights=None)
    assert catalogue.card("bands").architecture == "bands"


def test_the_hash_follows_the_weights(own_models: Path) -> None:
    install(own_models)
    before = catalogue.model_hash("mine")
    install(own_models, seed=2)
    assert catalogue.model_hash("mine") != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "must have the sha256 0000"),
        ({"sha256": None}, "must name a file beside it as weights, and its sha256"),
        ({"config": {"preset": "small"}}, "preset of unet must be one of paper, tiny, got 'small'"),
        ({"config": {"preset": "tiny", "depth": 3}}, "must use known keys, got 'depth'"),
        ({"config": {"preset": "tiny", "shifts": 0}}, "shifts must be 1 or more"),
        ({"config": {"preset": "tiny", "widths": [8, 16]}}, "must have the weights of unet in this config"),
        ({"hop": 7}, "must state its separator's hop, got 7 for"),
    ],
)
def test_a_broken_model_is_one_clear_sentence(
    own_models: Path, changes: dict[str, object], message: str
) -> None:
    install(own_models, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        catalogue.load("mine", "cpu")
    assert "\n" not in str(caught.value)


def test_weights_outside_of_the_folder_are_refused(own_models: Path) -> None:
    install(own_models, "other")
    install(own_models, weights="../other/weights.safetensors")
    with pytest.raises(ModelError, match="must name a file beside it as weights"):
        catalogue.load("mine", "cpu")
