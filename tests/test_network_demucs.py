"""Demucs: its published size, its alignment, and that it learns."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.waveform_unet import WaveformUNet, WaveformUNetSizes
from plugin_bridge.separation.networks import demucs
from tests.network_trials import four_stems, overfitted, parameters

torch.set_num_threads(1)
TINY = demucs.PRESETS["tiny"]


def tiny(**changes: object) -> demucs.Demucs:
    torch.manual_seed(0)
    return demucs.build(replace(TINY, **changes))


@pytest.mark.parametrize(
    ("preset", "published"),
    [("channels_16", 16.6e6), ("channels_32", 66.4e6), ("channels_64", 265.7e6), ("channels_100", 648.5e6)],
)
def test_the_sizes_are_the_published_ones(preset: str, published: float) -> None:
    assert parameters("demucs", preset) == pytest.approx(published, rel=0.005)


def test_the_tiny_one_is_tiny() -> None:
    assert parameters("demucs", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 1000, 4001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 4, 2, frames)
    assert estimates.dtype == torch.float32
    assert torch.isfinite(estimates).all()


def test_other_channels_and_sources_are_a_matter_of_config() -> None:
    assert tiny(channels=1, sources=("vocals", "rest"))(torch.randn(1, 1, 500)).shape == (1, 2, 1, 500)


def test_silence_gives_silence_and_level_comes_back() -> None:
    network, mix = tiny().eval(), torch.randn(1, 2, 900)
    assert network(torch.zeros(1, 2, 900)).abs().max() < 1e-4
    loud, quiet = network(mix), network(0.01 * mix)
    assert torch.allclose(quiet, 0.01 * loud, atol=1e-4)


def test_examples_of_a_batch_do_not_meet() -> None:
    network, mix = tiny().eval(), torch.randn(2, 2, 700)
    assert torch.allclose(network(mix)[1:], network(mix[1:]), atol=1e-6)


def test_skips_and_blocks_meet_in_the_middle() -> None:
    """With all kernels turned round, a reversed mix gives reversed estimates: nothing is shifted."""
    torch.manual_seed(0)
    unet = convolutions(depth=2, width=4).double()
    mixes = [torch.randn(1, 1, frames, dtype=torch.float64) for frames in (2, 200, 202, 216, 254)]
    estimates = [unet(mix) for mix in mixes]
    with torch.no_grad():
        for layer in unet.modules():
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                layer.weight.copy_(layer.weight.flip(-1))
    for mix, estimate in zip(mixes, estimates, strict=True):
        assert torch.allclose(unet(mix.flip(-1)).flip(-1), estimate, atol=1e-12)


def test_the_decoder_gives_enough_frames_for_every_length() -> None:
    unet = convolutions(depth=3, width=1)
    for frames in range(1, 300):
        assert unet(torch.zeros(1, 1, frames)).shape[-1] == frames


def convolutions(depth: int, width: int) -> WaveformUNet:
    """A waveform U-Net without anything in the middle."""
    return WaveformUNet(1, 1, WaveformUNetSizes(width=width, depth=depth), lambda channels: nn.Identity())


def test_it_overfits_one_example() -> None:
    assert overfitted(tiny(), four_stems()) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_it_scripts() -> None:
    network = tiny().eval()
    scripted = torch.jit.script(network)
    for frames in (77, 3000):
        mix: Tensor = torch.randn(1, 2, frames)
        assert torch.allclose(scripted(mix), network(mix), atol=1e-6)
