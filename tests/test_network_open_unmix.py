"""Open-Unmix: published names and shapes, its Wiener filter, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.layers.wiener_em import wiener_em
from plugin_bridge.separation.networks import open_unmix
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)


def tiny(**changes: object) -> open_unmix.OpenUnmix:
    torch.manual_seed(0)
    network = networks.build("open_unmix", {"preset": "tiny", **changes})
    assert isinstance(network, open_unmix.OpenUnmix)
    return network


def published(bins: int = 2049, seen: int = 1487, hidden: int = 512) -> dict[str, Tensor]:
    """Names and shapes of a published file of one target, with numbers of our own."""
    shapes: dict[str, tuple[int, ...]] = {
        "input_mean": (seen,),
        "input_scale": (seen,),
        "output_scale": (bins,),
        "output_mean": (bins,),
        "fc1.weight": (hidden, 2 * seen),
        "fc2.weight": (hidden, 2 * hidden),
        "fc3.weight": (2 * bins, hidden),
        "stft.window": (4096,),
        "transform.0.window": (4096,),
        "sample_rate": (),
    }
    for norm, width in (("bn1", hidden), ("bn2", hidden), ("bn3", 2 * bins)):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (width,)
        shapes[f"{norm}.num_batches_tracked"] = ()
    for layer in range(3):
        for direction in ("", "_reverse"):
            shapes[f"lstm.weight_ih_l{layer}{direction}"] = (4 * hidden // 2, hidden)
            shapes[f"lstm.weight_hh_l{layer}{direction}"] = (4 * hidden // 2, hidden // 2)
            shapes[f"lstm.bias_ih_l{layer}{direction}"] = (4 * hidden // 2,)
            shapes[f"lstm.bias_hh_l{layer}{direction}"] = (4 * hidden // 2,)
    return {name: torch.full(shape, 0.01) for name, shape in shapes.items()}


def test_it_has_the_published_size() -> None:
    assert parameters("open_unmix", "umxhq") == pytest.approx(4 * 8.9e6, rel=0.005)
    assert parameters("open_unmix", "tiny") < 100_000


def test_a_published_target_loads() -> None:
    network = open_unmix.build(open_unmix.PRESETS["umxhq"])
    weights = published()
    network.load_target("drums", weights)
    loaded = network.target_models["drums"].state_dict()
    assert set(weights) - set(loaded) == open_unmix.UNTRAINED_BUFFERS
    assert all(torch.equal(loaded[name], weights[name].to(loaded[name].dtype)) for name in loaded)
    assert not torch.equal(network.target_models["bass"].state_dict()["fc1.weight"], weights["fc1.weight"])


def test_weights_of_another_size_or_source_are_refused() -> None:
    network = tiny()
    with pytest.raises(ModelError, match="weights of 'vocals' must fit the config of open_unmix"):
        network.load_target("vocals", published())
    with pytest.raises(ModelError, match="source must be one of vocals, drums, bass, other, got 'piano'"):
        network.load_target("piano", {})
    lacking = dict(network.target_models["bass"].state_dict())
    del lacking["fc2.weight"]
    with pytest.raises(ModelError, match=r"fc2\.weight"):
        network.load_target("bass", lacking)


@pytest.mark.parametrize("frames", [1, 2, 127, 128, 1000, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny().eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 4, 2, frames)
    assert torch.isfinite(estimates).all()


def test_silence_and_equal_channels_stay_finite() -> None:
    network = tiny().eval()
    assert network(torch.zeros(1, 2, 2000)).abs().max() == 0
    alike = torch.randn(1, 1, 2000).expand(1, 2, -1)
    estimates = network(alike)
    assert torch.isfinite(estimates).all()
    assert estimates.abs().max() < 10 * alike.abs().max()


def test_without_the_filter_the_phase_is_that_of_the_mix() -> None:
    network, mix = tiny(iterations=0).eval(), torch.randn(1, 2, 2048)
    stft = Stft(256, 128)
    spectra = stft.analyse(mix)
    masks = torch.stack([target(spectra.abs()) for target in network.target_models.values()], dim=1)
    assert torch.allclose(network(mix), stft.synthesise(masks * spectra[:, None], 2048), atol=1e-6)
    assert masks.min() >= 0


def panned() -> tuple[Tensor, Tensor]:
    """Spectra of two noises at different places between two loudspeakers, and of their sum."""
    torch.manual_seed(0)
    noises = torch.randn(1, 2, 1, 8, 200, dtype=torch.complex64)
    places = torch.tensor([[1.0, 0.2], [0.3, 1.0]])[None, :, :, None, None]
    sources = noises * places
    return sources, sources.sum(dim=1)


def test_the_filter_separates_what_lies_at_different_places() -> None:
    sources, mix = panned()
    first = 0.7 * sources + 0.3 * sources.flip(1)  # with interference
    refined = wiener_em(mix, first, iterations=5, steps=200)
    before, after = ((estimate - sources).abs().square().mean() for estimate in (first, refined))
    assert after < 0.2 * before
    # Where all sources are faint the summand, not they, explains the mix: few of the places.
    assert (refined.sum(dim=1) - mix).abs().square().mean() < 1e-3 * mix.abs().square().mean()


def test_the_filter_takes_excerpts_and_examples_by_themselves() -> None:
    sources, mix = panned()
    two = wiener_em(mix, 0.7 * sources + 0.3 * sources.flip(1), iterations=2, steps=100)
    second = wiener_em(
        mix[..., 100:], (0.7 * sources + 0.3 * sources.flip(1))[..., 100:], iterations=2, steps=100
    )
    assert torch.allclose(two[..., 100:], second, atol=1e-5)
    pair = wiener_em(torch.cat((mix, 100 * mix)), torch.cat((sources, 100 * sources)), 2, 200)
    alone = wiener_em(mix, sources, 2, 200)
    assert torch.allclose(pair[:1], alone, atol=1e-5)


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(sources=["vocals", "bass"], channels=1), two_stems(), 150, 5e-3) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (300, 3000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-5)
