"""The U-Net of Jansson et al.: its size, any length, and that it learns."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.stft import Stft
from plugin_bridge.separation.networks.network import Network
from tests.network_trials import four_stems, overfitted, parameters

torch.set_num_threads(1)


def tiny(**changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build("unet", {"preset": "tiny", **changes})


def test_the_size_follows_from_the_papers_layers() -> None:
    # Six 5x5 convolutions of 1 to 512 channels, six back that see twice as many, biases, two for each norm.
    widths = [1, 16, 32, 64, 128, 256, 512]
    down = sum(25 * a * b + 3 * b for a, b in pairwise(widths))
    up = sum(25 * 2 * b * a + 3 * a for a, b in pairwise(widths[1:])) - 25 * 512 * 256
    last = 25 * 2 * 16 * 1 + 1
    assert parameters("unet", "paper") == 2 * (down + up + last)
    assert parameters("unet", "tiny") < 100_000


@pytest.mark.parametrize("frames", [1, 2, 127, 128, 3001])
def test_any_number_of_frames_comes_back(frames: int) -> None:
    estimates = tiny(channels=2).eval()(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 2, 2, frames)
    assert torch.isfinite(estimates).all()


def test_masks_of_one_give_the_mix_but_for_the_highest_bin() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 4000)
    for layer in network.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d) and layer.out_channels == 1:
            layer.bias.data.fill_(100.0)  # masks of one
    stft = Stft(256, 128)
    spectra = stft.analyse(mix)
    spectra[:, :, -1] = 0  # the bin that no mask covers
    assert torch.allclose(network(mix)[:, 0], stft.synthesise(spectra, 4000), atol=1e-5)


def test_it_learns_one_example() -> None:
    stems = four_stems(channels=1)
    stems = torch.stack((stems[:, 0], stems[:, 2]), dim=1)
    assert overfitted(tiny(), stems, learning_rate=1e-2) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")
def test_it_scripts() -> None:
    network, mix = tiny().eval(), torch.randn(1, 1, 3000)
    assert torch.equal(torch.jit.script(network)(mix), network(mix))


@pytest.mark.parametrize(("window", "hop"), [(256, 128), (256, 192), (64, 16), (100, 33)])
@pytest.mark.parametrize("frames", [1, 63, 64, 999])
def test_the_transform_is_undone(window: int, hop: int, frames: int) -> None:
    stft, audio = Stft(window, hop), torch.randn(2, 3, frames)
    assert torch.allclose(stft.synthesise(stft.analyse(audio), frames), audio, atol=1e-5)


@pytest.mark.parametrize(("window", "hop"), [(256, 0), (256, 193)])
def test_a_transform_that_cannot_be_undone_is_refused(window: int, hop: int) -> None:
    with pytest.raises(ValueError, match=f"at most 3/4 of the window of 256, got {hop}"):
        Stft(window, hop)
