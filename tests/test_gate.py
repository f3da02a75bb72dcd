"""The gate: what enters a separator, and when silence ends its work."""

import numpy as np
import pytest

from plugin_bridge.separation.classical.bands import Bands
from plugin_bridge.separation.gate import LOUDEST, GatedStream, finite, sounding
from plugin_bridge.separation.stream import whole_hops

TINY = float(np.finfo(np.float32).tiny)


class Echo:
    """An ungated stream that counts its work and rings for ever."""

    sources, channels, hop, latency, tail = ("echo", "rest"), 1, 16, 8, 24

    def __init__(self) -> None:
        self.worked = self.resets = 0

    def process(self, block: np.ndarray) -> np.ndarray:
        self.worked += 1
        return np.ones((2, 1, self.hop), np.float32)

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e9, -3e38])
def test_what_is_no_audio_becomes_silence(bad: float) -> None:
    mended, silent = finite(np.array([[0.5, bad, -0.25]], np.float32))
    assert mended.tolist() == [[0.5, 0.0, -0.25]]
    assert not silent
    assert finite(np.full((2, 9), bad, np.float32))[1]


@pytest.mark.parametrize(("value", "silent"), [(0.0, True), (TINY / 2, True), (TINY, False), (1e-30, False)])
def test_only_zeros_and_denormals_are_silence(value: float, silent: bool) -> None:
    assert finite(np.array([[0.0, value]], np.float32))[1] is silent
    assert finite(np.array([[0.0, -value]], np.float32))[1] is silent


def test_good_audio_is_not_copied() -> None:
    audio = np.array([[0.5, -LOUDEST / 4]], np.float32)
    assert np.shares_memory(finite(audio)[0], audio)


def test_the_loudest_audio_passes_even_where_its_energy_is_beyond_float32() -> None:
    audio = np.full((2, 1000), LOUDEST, np.float32)
    assert np.array_equal(finite(audio)[0], audio)


def test_sounding_finds_the_frames_between_silence() -> None:
    audio = np.zeros((2, 10), np.float32)
    assert sounding(audio) == slice(0, 0)
    audio[0, 3], audio[1, 6] = 0.1, -0.1
    assert sounding(audio) == slice(3, 7)


def test_the_time_before_the_first_frame_is_muted() -> None:
    out = GatedStream(Echo()).process(np.ones((1, 16), np.float32))
    assert out[0, 0].tolist() == [0.0] * 8 + [1.0] * 8


def test_silence_longer_than_latency_and_tail_rests_the_stream_and_starts_it_anew() -> None:
    inner = Echo()
    gated, silence = GatedStream(inner), np.zeros((1, 16), np.float32)
    gated.process(silence)
    assert inner.worked == 0  # nothing has sounded yet
    gated.process(np.ones((1, 16), np.float32))
    rang = [bool(gated.process(silence).any()) for _ in range(5)]
    assert rang == [True, True, False, False, False]  # latency + tail are two hops
    assert (inner.worked, inner.resets) == (3, 1)
    assert gated.process(np.ones((1, 16), np.float32))[0, 0].tolist() == [0.0] * 8 + [1.0] * 8


def test_a_block_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"block must have shape \(2, 256\), got \(2, 255\); use Reblocked"):
        Bands().stream().process(np.zeros((2, 255), np.float32))


@pytest.mark.parametrize("holes", [[], [3], [0, 1, 2], [5, 6, 7, 8, 9, 10, 11], [11]])
def test_many_hops_at_once_are_the_same_bits_as_one_by_one(holes):
    bands = Bands(hop=128)
    audio = (0.1 * np.random.default_rng(0).standard_normal((2, 12 * 128))).astype(np.float32)
    for hop in holes:
        audio[:, hop * 128 : (hop + 1) * 128] = 0
    one, many = bands.stream(), bands.stream()
    apart = [one.process(audio[:, at : at + 128]) for at in range(0, audio.shape[1], 128)]
    together = [whole_hops(many, part) for part in np.split(audio, [128, 5 * 128, 7 * 128], axis=1)]
    assert np.array_equal(np.concatenate(apart, axis=2), np.concatenate(together, axis=2))
