"""The six U-Nets: the sizes that their paper states, any size in and out, and that each learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.layers.unet_layouts import LayoutUNet, UNetSizes
from plugin_bridge.separation.networks import six_unets
from plugin_bridge.separation.networks.network import Network
from tests.network_trials import overfitted, parameters, two_stems

torch.set_num_threads(1)
TINY = [name for name in six_unets.PRESETS if name.startswith("tiny")]


def tiny(preset: str = "tiny", **changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build("six_unets", {"preset": preset, **changes})


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(
    ("layout", "stated"), [("spleeter", (6, 5, 2)), ("wave_unet", (12, 5, 2)), ("demucs", (4, 8, 4))]
)
def test_levels_kernel_and_stride_are_the_papers(
    layout: str, stated: tuple[int, int, int], dimensions: int
) -> None:
    config = six_unets.PRESETS[f"{layout}_{dimensions}d"]
    assert (config.layout, config.dimensions) == (layout, dimensions)
    assert (config.depth, config.kernel, config.stride) == stated


def test_spleeter_has_its_published_size() -> None:
    assert parameters("six_unets", "spleeter_2d") == pytest.approx(39.3e6, rel=0.01)


def test_the_small_forms_cover_all_six_and_are_small() -> None:
    covered = {(six_unets.PRESETS[name].layout, six_unets.PRESETS[name].dimensions) for name in TINY}
    assert len(covered) == 6
    assert all(parameters("six_unets", name) < 100_000 for name in TINY)


@pytest.mark.parametrize("preset", TINY)
def test_any_number_of_frames_comes_back(preset: str) -> None:
    network = tiny(preset).eval()
    for frames in (1, 2, 65, 128, 1001):
        estimates = network(torch.randn(2, 2, frames))
        assert estimates.shape == (2, 4, 2, frames)
        assert torch.isfinite(estimates).all()


@pytest.mark.parametrize("layout", ["spleeter", "wave_unet", "demucs"])
def test_any_number_of_bins_and_steps_comes_back(layout: str) -> None:
    sizes = UNetSizes(layout=layout, depth=3, width=4, kernel=5, stride=2)  # type: ignore[arg-type]
    unet = LayoutUNet(2, 3, sizes).eval()
    for bins, steps in ((1, 1), (7, 16), (16, 7), (33, 2)):
        assert unet(torch.randn(1, 2, bins, steps)).shape == (1, 3, bins, steps)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_what_shrinks_and_grows_stays_where_it_was(dimensions: int) -> None:
    """With every kernel turned round, the mirrored input gives the mirrored output; a shift would not."""
    sizes = UNetSizes(depth=2, width=4, dimensions=dimensions)  # type: ignore[arg-type]
    torch.manual_seed(0)
    unet = LayoutUNet(1, 1, sizes).double()
    places = (64,) if dimensions == 1 else (32, 64)
    mix = torch.randn(1, 1, *places, dtype=torch.float64)
    once = unet(mix)
    with torch.no_grad():
        for layer in unet.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                layer.weight.copy_(layer.weight.flip(-1))
    assert once.std() > 0
    assert torch.allclose(unet(mix.flip(-1)).flip(-1), once, atol=1e-12)


def test_waveforms_of_any_level_are_separated_alike() -> None:
    network, mix = tiny("tiny_demucs_1d").eval(), torch.randn(1, 2, 900)
    assert torch.allclose(network(0.01 * mix), 0.01 * network(mix), atol=1e-4)
    assert network(torch.zeros(1, 2, 900)).abs().max() < 1e-4


def test_bins_above_those_seen_are_left_to_nobody() -> None:
    network = tiny(bins=64).eval()
    mix = torch.sin(2 * torch.pi * 3000 / 8000 * torch.arange(4000.0)).expand(1, 2, -1)
    masked = Stft(256, 128).analyse(network(mix))
    assert masked[..., 70:, 2:-2].abs().max() < 1e-3
    with_all = tiny(bins=128).eval()(mix)
    assert with_all.abs().max() > 0.1


def test_masks_are_those_of_the_mix() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 2000)
    stft = Stft(256, 128)
    ratio = stft.analyse(network(mix)).abs().square().sum() / stft.analyse(mix).abs().square().sum()
    assert 0.5 < ratio / (4 * 0.25) < 1.5  # four stems, each at about half of the amplitude before training


@pytest.mark.parametrize("preset", TINY)
def test_each_overfits_one_example(preset: str) -> None:
    network = tiny(preset, sources=["vocals", "bass"], channels=1)
    assert overfitted(network, two_stems(), 120, 5e-3 if "1d" in preset else 1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("preset", TINY)
def test_each_scripts(preset: str) -> None:
    network = tiny(preset).eval()
    scripted = torch.jit.script(network)
    for frames in (77, 2000):
        mix = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-5)
