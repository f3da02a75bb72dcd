"""A stem board's stream is its whole call: any blocks, any rate, effects that lag, whole signals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pedalboard import (
    Compressor,
    Delay,
    Gain,
    GSMFullRateCompressor,
    HighpassFilter,
    Reverb,
)
from pedalboard_native._internal import AddLatency

from plugin_bridge import Board, StemBoard, Strip
from plugin_bridge.separation.classical.bands import Bands
from tests.board_instruments import HARD_EFFECTS, RATE, Half, cut, hard_board, noise, streamed

SOURCES = ("low", "mid", "high")


# Null ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 88200, 96000, 192000, 44100.5])
def test_neutral_board_gives_the_input(rate, channels):
    board, audio = StemBoard("bands"), noise(int(0.3 * rate), channels)
    assert board.is_neutral
    np.testing.assert_allclose(board(audio, rate), audio, atol=1e-6)
    np.testing.assert_allclose(streamed(board, cut(audio, [1, 1000]), rate), audio, atol=1e-6)


@pytest.mark.parametrize("frames", [0, 1, 2, 255, 256, 257, 511, 512, 513, 1023])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_neutral_board_gives_short_input(frames, rate):
    board, audio = StemBoard("bands"), noise(frames)
    board(noise(8), rate)  # so that a few frames are not taken for channels
    np.testing.assert_allclose(board(audio, rate), audio, atol=1e-6)
    np.testing.assert_allclose(streamed(board, [audio], rate), audio, atol=1e-6)


@pytest.mark.parametrize("hop", [16, 37, 64, 100, 256, 521, 1024, 4096])
def test_neutral_board_gives_the_input_at_any_hop(hop):
    board, audio = StemBoard(Bands(hop=hop), {"mid": [Gain(0)]}), noise(9000)
    np.testing.assert_allclose(board(audio, RATE), audio, atol=1e-6)
    np.testing.assert_allclose(streamed(board, cut(audio, [7, 1000])), audio, atol=1e-6)


def test_mono_separator_takes_mono_only():
    board, audio = StemBoard(Bands(channels=1)), noise(3000, 1)
    np.testing.assert_allclose(board(audio[0], RATE), audio[0], atol=1e-6)
    with pytest.raises(ValueError, match="audio must be 1-channel, got 2 channels"):
        board(noise(3000), RATE)


# Streams -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hard_whole():
    audio = noise(RATE)
    return audio, hard_board()(audio, RATE)


PARTITIONS = {
    "hops": [256],
    "smaller than a hop": [101],
    "primes": [2, 3, 5, 7, 11, 13, 127, 251, 257, 509, 521, 1021, 4099, 8191],
    "growing": [2**power for power in range(14)],
    "shrinking": [2**power for power in range(13, 5, -1)],
    "ones, then large": [1] * 600 + [8191],
    "larger than the signal": [65536],
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_stream_of_any_blocks_is_the_whole_call(hard_whole, name):
    audio, whole = hard_whole
    np.testing.assert_array_equal(streamed(hard_board(), cut(audio, PARTITIONS[name])), whole)


@pytest.mark.parametrize("effect", HARD_EFFECTS)
@pytest.mark.parametrize("place", ["strip", "master"])
def test_stream_with_an_effect_is_the_whole_call(effect, place):
    make = HARD_EFFECTS[effect]
    board = StemBoard(
        "bands", {"mid": [make()]} if place == "strip" else {}, [make()] if place == "master" else []
    )
    audio = noise(RATE // 2)
    whole = board(audio, RATE)
    assert np.abs(whole - audio).max() > 1e-3
    for sizes in ([1000, 1, 3000], [1, 2, 3, 500]):
        np.testing.assert_array_equal(streamed(board, cut(audio, sizes)), whole)


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    hop=st.sampled_from([16, 100, 256, 521, 1024]),
    rate=st.sampled_from([44100, 48000, 22050]),
    channels=st.sampled_from([1, 2]),
)
def test_any_partition_is_the_whole_call(sizes, hop, rate, channels):
    board = StemBoard(
        Bands(hop=hop),
        {"low": [Reverb()], "mid": [Compressor(-30, 4)], "high": [GSMFullRateCompressor()]},
        [HighpassFilter(100)],
    )
    audio = noise(6000, channels)
    blocks = cut(audio, [size for size in sizes if size] + [1500])
    np.testing.assert_array_equal(streamed(board, blocks, rate), board(audio, rate))


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("master", [[], [GSMFullRateCompressor()]])
def test_stems_stream_as_the_whole_call_gives_them(rate, master):
    strips = {"low": [Reverb()], "mid": [AddLatency(1000)], "high": Strip(gain_db=3, pan=-1)}
    board, audio = StemBoard("bands", strips, master), noise(9000)
    whole = board.stems(audio, rate)
    parts = [board.stems(block, rate, reset=False) for block in cut(audio, [1, 100, 3000])] + [
        board.flush_stems()
    ]
    for source in SOURCES:
        np.testing.assert_array_equal(np.concatenate([part[source] for part in parts], axis=1), whole[source])


def test_second_stream_after_flush_is_the_first():
    board, audio = hard_board(), noise(6000)
    first = streamed(board, cut(audio, [500]))
    out = [board(block, RATE, reset=False) for block in cut(audio, [700])]
    np.testing.assert_array_equal(np.concatenate([*out, board.flush()], axis=1), first)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("delay", [0, 1, 1000])
def test_impulse_arrives_at_the_reported_latency(rate, delay):
    board = StemBoard(
        "bands", {"mid": [AddLatency(delay)] if delay else []}, [AddLatency(delay)] if delay else []
    )
    audio = np.zeros((2, 12000), np.float32)
    audio[:, 4000] = 0.5
    np.testing.assert_allclose(board(audio, rate), audio, atol=1e-6)
    # What a live host hears: a block in, a block out, silence for as long as nothing is ready.
    latency = board.reported_latency_samples
    out = np.concatenate([board(block, rate, reset=False) for block in cut(audio, [128])], axis=1)
    live = np.pad(out, ((0, 0), (audio.shape[1] - out.shape[1], 0)))
    assert int(np.argmax(live[0])) == 4000 + latency


def test_reported_latency_is_stream_effects_and_the_wait_for_a_hop():
    bands = Bands()
    plain = bands.stream().latency + bands.hop - 1
    assert StemBoard(bands).reported_latency_samples == plain
    board = StemBoard(bands, {"low": [AddLatency(1000)], "mid": [AddLatency(300)]}, [AddLatency(50)])
    assert board.reported_latency_samples == plain + 1050
    board["low"].effects.clear()
    assert board.reported_latency_samples == plain + 350
    board(noise(100), 48000, reset=False)
    assert board.reported_latency_samples == board.session(48000, 2).latency != plain + 350


def test_strips_are_aligned_to_the_latest():
    audio = noise(5000)
    strips = {"low": [AddLatency(1234)], "high": [AddLatency(77)]}
    np.testing.assert_allclose(StemBoard("bands", strips)(audio, RATE), audio, atol=1e-6)
    plain = StemBoard("bands").stems(audio, RATE)
    for source, stem in StemBoard("bands", strips, [AddLatency(500)]).stems(audio, RATE).items():
        np.testing.assert_allclose(stem, plain[source], atol=1e-7)


# Whole-signal separators ---------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [Half(), "repet"], ids=["half", "repet"])
@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_signal_separator_works_on_whole_signals(separator, rate, channels):
    audio = noise(rate, channels)
    board = StemBoard(separator)
    np.testing.assert_allclose(board(audio, rate), audio, atol=1e-6)
    np.testing.assert_allclose(sum(board.stems(audio, rate).values()), audio, atol=1e-6)
    in_board = Board([Gain(6), StemBoard(separator), Gain(-6)])
    np.testing.assert_allclose(in_board(audio, rate), audio, atol=1e-6)


def test_whole_signal_separator_does_not_stream():
    board, audio = StemBoard("repet"), noise(1000)
    message = r"^streaming must use a streaming separator, got 'repet', .*reset=True, or .*: .*bands[^\n]*$"
    for call in (
        lambda: board(audio, RATE, reset=False),
        lambda: board.stems(audio, RATE, reset=False),
        lambda: Board([board])(audio, RATE, reset=False),
        lambda: board.reported_latency_samples,
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert board.flush().size == 0
    with pytest.raises(ValueError, match="got Half, which needs the whole signal"):
        StemBoard(Half())(audio, RATE, reset=False)


def test_effects_after_a_whole_signal_separator_are_those_of_a_stream():
    audio = noise(RATE)

    def board():
        strips = {"one": [Delay(0.01, 0.3, 0.5)], "other": Strip([Reverb(), AddLatency(700)], gain_db=-3)}
        return StemBoard(Half(), strips, [Compressor(-30, 4)])

    session = board().session(RATE, 2)
    out = [session.push(block).mix for block in cut(audio, [1, 5000])]
    streamed_mix = np.concatenate([*out, session.flush().mix], axis=1)
    np.testing.assert_allclose(streamed_mix, board()(audio, RATE), atol=1e-5)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_session_of_a_whole_signal_separator_runs_in_windows(rate, channels):
    audio = noise(int(11 * rate), channels)
    session = StemBoard(Half()).session(rate, channels)
    taken = given = 0
    out = []
    for block in cut(audio, [1, 50000, 65536]):
        out.append(session.push(block))
        taken += block.shape[1]
        given += out[-1].mix.shape[1]
        assert given == max(0, taken - session.latency)
    out.append(session.flush())
    np.testing.assert_allclose(np.concatenate([each.mix for each in out], axis=1), audio, atol=1e-5)
    if rate == RATE:  # at another rate, what lies above the separator's own band goes to the last stem
        stems = np.concatenate([each.stems for each in out], axis=2)
        np.testing.assert_allclose(stems[0], audio / 2, atol=1e-5)
