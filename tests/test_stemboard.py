"""A stem board separates, treats every stem, and sums: levels, nodes, threads, input that is no music."""

from __future__ import annotations

import copy
import itertools
import threading

import numpy as np
import pytest
from pedalboard import (
    Chain,
    Chorus,
    Compressor,
    Delay,
    Gain,
    GSMFullRateCompressor,
    HighpassFilter,
    Limiter,
    Mix,
    Pedalboard,
    Reverb,
)

from plugin_bridge import Board, Isolate, Remove, StemBoard, StemMix, Strip
from plugin_bridge.errors import ModelError
from plugin_bridge.separation.classical.bands import Bands
from tests.board_instruments import RATE, Half, cut, noise, streamed

SOURCES = ("low", "mid", "high")


# Levels --------------------------------------------------------------------------------------------


def test_gain_up_and_down_is_the_input():
    audio = noise(5000)
    up = StemBoard("bands", {source: Strip(gain_db=6) for source in SOURCES})
    down = StemBoard("bands", master=Strip(gain_db=-6))
    np.testing.assert_allclose(down(up(audio, RATE), RATE), audio, atol=1e-6)
    assert np.abs(up(audio, RATE)).max() == pytest.approx(np.abs(audio).max() * 10**0.3, rel=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_stems_sum_to_the_call_when_the_master_is_neutral(channels):
    audio = noise(5000, channels)
    strips = {"low": Strip([Reverb()], gain_db=3), "mid": Strip(pan=-0.3), "high": [GSMFullRateCompressor()]}
    board = StemBoard("bands", strips)
    np.testing.assert_allclose(sum(board.stems(audio, RATE).values()), board(audio, RATE), atol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_mute_and_solo_part_the_mix(source):
    audio = noise(5000)
    stem = StemBoard("bands").stems(audio, RATE)[source]
    soloed = StemBoard("bands", {source: Strip(solo=True)})(audio, RATE)
    muted = StemBoard("bands", {source: Strip(mute=True)})(audio, RATE)
    np.testing.assert_array_equal(soloed, stem)
    np.testing.assert_allclose(soloed + muted, audio, atol=1e-6)
    assert not StemBoard("bands", {source: Strip(mute=True, solo=True)})(audio, RATE).any()
    assert not StemBoard("bands", {source: Strip(mute=True)}).stems(audio, RATE)[source].any()


def test_minus_infinity_is_mute_and_all_muted_is_silence():
    audio = noise(3000)
    off = StemBoard("bands", {"mid": Strip(gain_db=float("-inf"))})
    muted = StemBoard("bands", {"mid": Strip(mute=True)})
    np.testing.assert_array_equal(off(audio, RATE), muted(audio, RATE))
    assert not StemBoard("bands", master=Strip(mute=True))(audio, RATE).any()
    assert not StemBoard("bands", {source: Strip(mute=True) for source in SOURCES})(audio, RATE).any()


def test_solo_of_the_master_does_nothing():
    audio = noise(3000)
    np.testing.assert_allclose(StemBoard("bands", master=Strip(solo=True))(audio, RATE), audio, atol=1e-6)


@pytest.mark.parametrize("pan", [-1, -0.25, 0.25, 1])
def test_pan_fades_the_far_side_only(pan):
    audio = noise(3000)
    left, right = StemBoard("bands", master=Strip(pan=pan))(audio, RATE)
    near, far = (left, right) if pan < 0 else (right, left)
    near_in, far_in = (audio[0], audio[1]) if pan < 0 else (audio[1], audio[0])
    np.testing.assert_allclose(near, near_in, atol=1e-6)
    np.testing.assert_allclose(far, far_in * (1 - abs(pan)), atol=1e-6)


def test_mono_is_not_panned():
    audio = noise(3000, 1)
    board = StemBoard("bands", {source: Strip(pan=1) for source in SOURCES})
    np.testing.assert_allclose(board(audio, RATE), audio, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("make", [Reverb, lambda: Compressor(-30, 4), lambda: Delay(0.01, 0.3, 0.5)])
def test_master_effect_is_the_native_effect(make, channels):
    audio = noise(5000, channels)
    np.testing.assert_allclose(
        StemBoard("bands", master=[make()])(audio, RATE), Pedalboard([make()])(audio, RATE), atol=1e-5
    )


def test_slow_oscillators_start_with_the_stream():
    """A stream begins with silence for its latency, and a Chorus swings through it, live and offline."""
    audio, latency = noise(5000), Bands().stream().latency
    native = Pedalboard([Chorus()])(np.pad(audio, ((0, 0), (latency, 0))), RATE, 256)[:, latency:]
    np.testing.assert_allclose(StemBoard("bands", master=[Chorus()])(audio, RATE), native, atol=1e-5)


# Nodes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("low",), ("low", "high"), SOURCES])
def test_isolate_and_remove_part_the_mix(names):
    audio = noise(5000)
    isolated, removed = (kind(*names, separator="bands")(audio, RATE) for kind in (Isolate, Remove))
    np.testing.assert_allclose(isolated + removed, audio, atol=1e-6)
    stems = StemBoard("bands").stems(audio, RATE)
    np.testing.assert_allclose(isolated, sum(stems[name] for name in names), atol=1e-6)


def test_stem_mix_sets_levels():
    audio = noise(5000)
    board = StemMix(low_db=-6, high_db=float("-inf"), separator="bands")
    stems = StemBoard("bands").stems(audio, RATE)
    np.testing.assert_allclose(board(audio, RATE), stems["low"] * 10**-0.3 + stems["mid"], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Isolate(separator="bands"), ValueError, "at least one stem"),
        (lambda: Remove(separator="bands"), ValueError, "at least one stem"),
        (lambda: Isolate("lwo", separator="bands"), ValueError, "did you mean 'low'"),
        (lambda: Remove("vocals", separator="bands"), ValueError, "its stems: low, mid, high"),
        (lambda: StemMix(low=3, separator="bands"), TypeError, "write low_db"),
        (lambda: StemMix(vocals_db=3, separator="bands"), ValueError, "its stems: low, mid, high"),
        (lambda: StemMix(low_db=25, separator="bands"), ValueError, "between -inf and 24 dB, got 25"),
        (lambda: StemBoard("band"), ModelError, "did you mean 'bands'"),
        (lambda: StemBoard(3), TypeError, "a model's name or a Separator"),
        (lambda: StemBoard("bands", {"bass": []}), ValueError, "'bands' gives, got 'bass'"),
        (lambda: StemBoard("bands", {"low": [StemBoard("bands")]}), TypeError, "goes into a Board"),
        (lambda: StemBoard("bands", {"low": Gain()}), TypeError, "put it in brackets"),
        (lambda: StemBoard("bands")["bass"], ValueError, "its stems: low, mid, high"),
        (lambda: StemBoard(Half())["two"], ValueError, "that Half gives"),
        (lambda: copy.copy(StemBoard("bands")), TypeError, "copy.deepcopy"),
        (lambda: copy.copy(Board()), TypeError, "copy.deepcopy"),
        (lambda: hash(StemBoard("bands")), TypeError, "unhashable"),
    ],
)
def test_misuse_is_one_clear_sentence(make, error, words):
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("container", [Pedalboard, Chain, Mix])
@pytest.mark.parametrize(
    "node",
    [
        lambda: StemBoard("bands"),
        lambda: Isolate("low", separator="bands"),
        lambda: Remove("low", separator="bands"),
        lambda: StemMix(separator="bands"),
        lambda: Board([Gain()]),
    ],
)
def test_native_containers_refuse_our_nodes_loudly(container, node):
    with pytest.raises(TypeError):
        container([node()])
    native = container([])
    with pytest.raises(TypeError):
        native.append(node())
    with pytest.raises(TypeError):
        native.insert(0, node())
    assert len(native) == 0


# Threads -------------------------------------------------------------------------------------------


def in_threads(*calls):
    """Run all at once; the first error of any is raised."""
    errors: list[Exception] = []

    def guarded(call):
        try:
            call()
        except Exception as error:  # noqa: BLE001  (raised again below)
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_two_boards_in_two_threads_do_not_disturb_each_other():
    audio, results = noise(20000), {}
    expected = StemBoard("bands", {"low": [Reverb()]})(audio, RATE)

    def run(name, board):
        results[name] = [streamed(board, cut(audio, [300 + 100 * name])) for _ in range(3)]

    boards = [StemBoard("bands", {"low": [Reverb()]}) for _ in range(2)]
    in_threads(*(lambda name=name, board=board: run(name, board) for name, board in enumerate(boards)))
    for result in itertools.chain(*results.values()):
        np.testing.assert_array_equal(result, expected)


def test_one_board_in_two_threads_gives_whole_calls():
    audio, board = noise(6000), StemBoard("bands", {"low": [Reverb()]})
    expected = board(audio, RATE)

    def call():
        for _ in range(5):
            np.testing.assert_array_equal(board(audio, RATE), expected)

    def move():
        for _ in range(200):
            board["mid"].effects = [] if board["mid"].effects else [Gain(0)]
            repr(board), board.to_dict(), board.reported_latency_samples

    in_threads(call, call, move)


# Input that is no music ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.0, -1.0, 3e38, 1e-40, 1e-45])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_any_input_gives_finite_output(value, rate):
    board = StemBoard("bands", {"low": [Reverb()], "mid": [Limiter()]}, [HighpassFilter(50)])
    audio = noise(6000)
    audio[:, 2000:3000] = value
    for out in (board(audio, rate), streamed(board, cut(audio, [777]), rate)):
        assert np.isfinite(out).all()
    assert np.isfinite(StemBoard("bands")(np.full((2, 3000), value, np.float32), rate)).all()
    np.testing.assert_allclose(board(audio, rate)[:, :1000], board(noise(6000), rate)[:, :1000], atol=1e-4)


def test_silence_gives_silence():
    assert not StemBoard("bands", {"low": [Compressor()]})(np.zeros((2, 5000), np.float32), RATE).any()
