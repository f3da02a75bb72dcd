"""Windows that overlap: exact cross-fades, honest latency, bounded memory."""

import numpy as np
import pytest

from plugin_bridge.separation.classical.bands import Bands
from plugin_bridge.separation.spectral import Stft
from plugin_bridge.separation.stream import Reblocked
from plugin_bridge.separation.windowed import Windowed, in_windows


class Halves:
    """Gives half of the mix to each of two stems, and remembers how long its windows were."""

    sources, sample_rate, channels = ("one", "other"), 44100, 2

    def __init__(self) -> None:
        self.lengths: set[int] = set()

    def separate(self, mix: np.ndarray) -> np.ndarray:
        self.lengths.add(mix.shape[1])
        return np.stack([mix * 0.5, mix * 0.5]).astype(np.float32)


@pytest.mark.parametrize(("window", "hop"), [(100, 50), (100, 99), (100, 30), (101, 7), (3, 1)])
def test_overlapping_fades_sum_to_one(window: int, hop: int) -> None:
    fade = Windowed(Halves(), window, hop).fade()
    total = np.zeros(hop)
    np.add.at(total, np.arange(window) % hop, fade)
    assert np.allclose(total, 1, atol=1e-6)
    assert np.allclose(fade, fade[::-1], atol=1e-6)
    assert (fade > 0).all()


def test_a_separator_of_samples_is_unchanged_by_windows() -> None:
    mix = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    halves = Halves()
    stems = Windowed(halves, 700, 450).separate(mix)
    assert np.abs(stems - halves.separate(mix)).max() < 1e-6
    assert halves.lengths == {700, 5000}


def test_latency_is_the_lookahead() -> None:
    stream = Windowed(Halves(), 700, 450).stream()
    assert (stream.hop, stream.latency) == (450, 250)


def test_long_signals_are_cut_into_windows_of_the_stated_length() -> None:
    windowed = in_windows(Halves())
    assert windowed.hop % 512 == 0
    assert abs(windowed.window / 44100 - 36.0) < 0.02


@pytest.mark.parametrize("hop", [0, 100, -1, 500])
def test_a_hop_that_does_not_overlap_is_refused(hop: int) -> None:
    with pytest.raises(ValueError, match="hop must be between 0 and the window of 100 frames"):
        Windowed(Halves(), 100, hop)


@pytest.mark.parametrize("frames", [1, 2, 511, 512, 2048, 5000])
@pytest.mark.parametrize("stft", [Stft(2048, 512), Stft(1024, 512), Stft(64, 16), Stft(960, 240)])
def test_stft_reconstructs_perfectly(stft: Stft, frames: int) -> None:
    audio = np.random.default_rng(1).standard_normal((2, frames))
    assert np.abs(stft.synthesise(stft.analyse(audio), frames) - audio).max() < 1e-12


@pytest.mark.parametrize(("window", "hop"), [(512, 512), (512, 0), (500, 200), (15, 5)])
def test_an_stft_that_cannot_reconstruct_is_refused(window: int, hop: int) -> None:
    with pytest.raises(ValueError, match="window must be an even multiple of hop"):
        Stft(window, hop)


def test_reblocking_delays_by_one_frame_less_than_a_hop() -> None:
    stream = Bands(taps=65).stream()
    blocks = Reblocked(stream, 2, 3)
    assert blocks.latency == stream.latency + stream.hop - 1
    impulse = np.zeros((2, 2000), np.float32)
    impulse[:, 0] = 1
    out = np.concatenate([blocks.process(impulse[:, at : at + 37]) for at in range(0, 2000, 37)], axis=2)
    assert int(np.argmax(out.sum(0)[0])) == blocks.latency
    blocks.reset()
    again = np.concatenate([blocks.process(impulse[:, at : at + 37]) for at in range(0, 2000, 37)], axis=2)
    assert np.array_equal(again, out)
