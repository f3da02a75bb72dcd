"""A board is called exactly like a pedalboard: native pedalboard is the oracle of every case."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from pedalboard import Gain, Pedalboard
from pedalboard_native._internal import AddLatency

from plugin_bridge import Board, StemBoard
from plugin_bridge.board.call import Door
from tests.board_instruments import RATE, noise

BOARDS = {
    "empty Board": lambda: Board([]),
    "Board of a plugin": lambda: Board([Gain(0)]),
    "Board of a stem board": lambda: Board([StemBoard("bands")]),
    "Board of both": lambda: Board([Gain(0), StemBoard("bands"), Gain(0)]),
    "StemBoard": lambda: StemBoard("bands"),
}


@pytest.fixture(params=BOARDS, ids=lambda name: name.replace(" ", "-"))
def board(request):
    return BOARDS[request.param]()


@pytest.fixture
def native():
    return Pedalboard([Gain(0)])


def outcome(call):
    """What a call gives, or the type of its error and the message up to where names and values differ."""
    try:
        return call()
    except (TypeError, ValueError, RuntimeError) as error:
        message = re.sub(r"^(__call__|process)\(\)", "call()", str(error))
        return type(error), message.split("The following argument types")[0]


def same(ours, theirs):
    if isinstance(theirs, tuple):
        assert ours == theirs
    else:
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def read_only(audio):
    audio.flags.writeable = False
    return audio


stereo = noise(1500)
ARRAYS = {
    "float32": stereo,
    "float64": stereo.astype(np.float64),
    "float16": stereo.astype(np.float16),
    "int16": (stereo * 1000).astype(np.int16),
    "int32": (stereo * 1000).astype(np.int32),
    "complex64": stereo.astype(np.complex64),
    "bool": stereo > 0,
    "list": stereo[:, :3].tolist(),
    "None": None,
    "string": "audio",
    "scalar": np.float32(1),
    "no dimension": np.array(1.0, np.float32),
    "three dimensions": stereo[None],
    "1-D": stereo[0],
    "1-D float64": stereo[0].astype(np.float64),
    "channels last": np.ascontiguousarray(stereo.T),
    "one channel first": stereo[:1],
    "one channel last": np.ascontiguousarray(stereo[:1].T),
    "stereo, no frames": stereo[:, :0],
    "stereo, no frames, channels last": stereo[:, :0].T,
    "1-D, no frames": stereo[0, :0],
    "nothing by nothing": np.zeros((0, 0), np.float32),
    "one frame": stereo[0, :1],
    "one by one": stereo[:1, :1],
    "square": stereo[:, :2],
    "two by three": stereo[:, :3],
    "not contiguous": stereo[:, ::3],
    "reversed": stereo[:, ::-1],
    "Fortran order": np.asfortranarray(stereo),
    "big-endian": stereo.astype(">f4"),
    "big-endian float64": stereo.astype(">f8"),
    "read-only": read_only(stereo.copy()),
    "broadcast": np.broadcast_to(stereo[0], (2, 1500)),
    "record of another class": stereo.view(np.recarray),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("method", ["__call__", "process"])
def test_array_gives_what_pedalboard_gives(board, native, name, method):
    same(
        outcome(lambda: getattr(board, method)(ARRAYS[name], RATE)),
        outcome(lambda: getattr(native, method)(ARRAYS[name], RATE)),
    )


@pytest.mark.parametrize("name", [name for name, array in ARRAYS.items() if isinstance(array, np.ndarray)])
@pytest.mark.parametrize("reset", [True, False])
def test_input_is_neither_changed_nor_shared(board, name, reset):
    array, before = ARRAYS[name], ARRAYS[name].copy()
    result = outcome(lambda: board(array, RATE, reset=reset))
    np.testing.assert_array_equal(array, before)
    if isinstance(result, np.ndarray):
        assert result.flags.writeable
        assert not np.shares_memory(result, array)


ARGUMENTS = {
    "positional": ((stereo, RATE, 512, True), {}),
    "keyword": ((), {"input_array": stereo, "sample_rate": RATE, "buffer_size": 512, "reset": True}),
    "mixed": ((stereo,), {"sample_rate": float(RATE), "buffer_size": 1}),
    "numpy numbers": ((stereo, np.float64(RATE), np.int64(64)), {}),
    "float32 rate": ((stereo, np.float32(RATE)), {}),
    "large buffer": ((stereo, RATE, 1 << 20), {}),
    "number for reset": ((stereo, RATE, 512, 1), {}),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_give_what_pedalboard_gives(board, native, name):
    positional, named = ARGUMENTS[name]
    same(outcome(lambda: board(*positional, **named)), outcome(lambda: native(*positional, **named)))


WRONG_ARGUMENTS = {
    "no sample rate": ((stereo,), {}),
    "nothing": ((), {}),
    "string rate": ((stereo, "44100"), {}),
    "no rate": ((stereo, None), {}),
    "complex rate": ((stereo, 44100j), {}),
    "float buffer": ((stereo, RATE, 512.0), {}),
    "string buffer": ((stereo, RATE, "512"), {}),
    "no buffer": ((stereo, RATE, None), {}),
    "unknown keyword": ((stereo, RATE), {"buffersize": 512}),
    "another name for audio": ((), {"audio": stereo, "sample_rate": RATE}),
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
@pytest.mark.parametrize("method", ["__call__", "process"])
def test_wrong_arguments_raise_what_pedalboard_raises(board, native, name, method):
    positional, named = WRONG_ARGUMENTS[name]
    theirs = outcome(lambda: getattr(native, method)(*positional, **named))
    ours = outcome(lambda: getattr(board, method)(*positional, **named))
    assert ours[0] is theirs[0] is TypeError


@pytest.mark.parametrize("sample_rate", [0, -1, float("nan"), float("inf"), -float("inf"), True, 1e9])
def test_sample_rate_must_make_sense(sample_rate):
    with pytest.raises(ValueError, match="sample_rate must be"):
        StemBoard("bands")(stereo, sample_rate)


@pytest.mark.parametrize("sample_rate", [0, -1, float("nan"), float("inf"), -float("inf")])
def test_sample_rate_must_be_positive(board, sample_rate):
    with pytest.raises(ValueError, match=r"sample_rate must be positive, got .*; give it in Hz"):
        board(stereo, sample_rate)


# Native pedalboard hangs at 0 and calls -1 a TypeError: stated exceptions.
@pytest.mark.parametrize("buffer_size", [0, -1, False])
def test_buffer_size_must_be_positive(board, buffer_size):
    with pytest.raises(ValueError, match="buffer_size must be at least 1 frame, got"):
        board(stereo, RATE, buffer_size)


def test_failed_call_leaves_the_board_as_it_was(board):
    whole = board(stereo, RATE)
    part = board(stereo[:, :700], RATE, reset=False)
    for bad in (lambda: board(stereo, 0), lambda: board(stereo, RATE, 0), lambda: board(stereo > 0, RATE)):
        with pytest.raises((TypeError, ValueError)):
            bad()
    rest = board(stereo[:, 700:], RATE, reset=False)
    np.testing.assert_array_equal(np.concatenate((part, rest, board.flush()), axis=1), whole)


def test_nan_and_inf_are_silence_to_our_nodes_and_pass_through_native_plugins():
    broken = stereo.copy()
    broken[0, 100], broken[1, 200], broken[0, 300] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(Board([Gain(0)])(broken, RATE), Pedalboard([Gain(0)])(broken, RATE))
    mended = np.nan_to_num(broken, nan=0, posinf=0, neginf=0)
    np.testing.assert_allclose(StemBoard("bands")(broken, RATE), mended, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 6, 64, 100])
def test_native_plugins_take_more_channels(native, channels):
    audio = noise(800, channels)
    same(Board([Gain(0)])(audio, RATE), native(audio, RATE))


@pytest.mark.parametrize("make", [lambda: StemBoard("bands"), lambda: Board([Gain(), StemBoard("bands")])])
@pytest.mark.parametrize("reset", [True, False])
def test_stem_board_takes_mono_and_stereo_only(make, reset):
    board = make()
    with pytest.raises(ValueError, match=r"^audio must be mono or stereo, got 6 channels; [^\n]*$"):
        board(noise(800, 6), RATE, reset=reset)
    assert board(stereo, RATE).shape == stereo.shape


# Layout ------------------------------------------------------------------------------------------


def time_axis(board, shape):
    """Which axis native pedalboard takes for time: the one that a delay of one frame shortens."""
    board.process(np.zeros(shape, np.float32), RATE, 8192, True)
    out = board.process(np.zeros(shape, np.float32), RATE, 8192, False)
    return None if out.shape == shape else int(out.shape[1] < shape[1])


def layouts(shapes, reset_after=()):
    """The time axis, or the error, of each shape in turn: pedalboard's and ours."""
    probe, door = Pedalboard([AddLatency(1)]), Door()
    for number, shape in enumerate(shapes):
        audio = np.zeros(shape, np.float32)
        theirs = outcome(lambda audio=audio: probe.process(audio, RATE, 8192, True).shape)
        ours = outcome(lambda audio=audio: door.enter(audio, RATE, 8192))
        if isinstance(theirs[0], type):
            yield theirs, ours
        elif len(shape) == 2 and 0 not in shape:
            axis = time_axis(probe, shape)
            yield axis, None if axis is None else int(not ours.channels_last)
        if number in reset_after:
            probe.reset()
            door.reset()


SEQUENCES = [
    [(2, 2)],
    [(1, 1)],
    [(2, 9), (2, 2)],
    [(9, 2), (2, 2)],
    [(9,), (2, 2)],
    [(0,), (3, 3)],
    [(2, 9), (9, 2)],
    [(2, 9), (2, 1)],
    [(9, 2), (1, 2)],
    [(2, 9), (1, 9), (2, 1)],
    [(6, 9), (6, 4)],
    [(6, 9), (4, 6)],
    [(6, 9), (6, 6)],
    [(3, 9), (2, 4), (3, 3)],
    [(2, 0), (2, 2)],
    [(0, 2), (2, 2)],
    [(2, 9), (9, 9)],
]


@pytest.mark.parametrize("shapes", SEQUENCES, ids=str)
def test_layout_follows_the_calls_before_as_in_pedalboard(shapes):
    for theirs, ours in layouts(shapes):
        assert ours == theirs


def test_any_sequence_of_shapes_has_the_layout_that_pedalboard_gives_it(seed):
    generator = random.Random(seed)

    def shape():
        dimensions = 1 if generator.random() < 0.15 else 2
        return tuple(generator.randint(0, 6) for _ in range(dimensions))

    for _ in range(1500):
        shapes = [shape() for _ in range(generator.randint(1, 5))]
        resets = [number for number in range(len(shapes)) if generator.random() < 0.2]
        for theirs, ours in layouts(shapes, resets):
            assert ours == theirs, (shapes, resets)


def test_square_needs_a_layout_and_keeps_the_last_one(board, native):
    square = stereo[:, :2]
    for each in (board, native):
        with pytest.raises(RuntimeError, match="Unable to determine channel layout"):
            each(square, RATE)
        each(stereo, RATE)
        np.testing.assert_allclose(each(square, RATE), square, atol=1e-6)
        each.reset()
        with pytest.raises(RuntimeError, match="Unable to determine channel layout"):
            each(square, RATE)


@pytest.mark.parametrize("last", [False, True])
def test_short_blocks_of_a_stream_keep_its_layout(board, last):
    def turned(audio):
        return np.ascontiguousarray(audio.T) if last else audio

    board(turned(stereo), RATE)
    out = [turned(board(turned(stereo[:, at : at + 1]), RATE, reset=False)) for at in range(stereo.shape[1])]
    out.append(turned(board.flush()))
    np.testing.assert_array_equal(np.concatenate(out, axis=1), turned(board(turned(stereo), RATE)))


@pytest.mark.parametrize("shape", [(700,), (2, 700), (700, 2), (1, 700), (700, 1)])
def test_flush_and_stems_have_the_layout_of_the_call(shape):
    board = StemBoard("bands")
    audio = noise(700, 2).reshape(-1)[: int(np.prod(shape))].reshape(shape)
    axis = int(np.argmax(shape))
    for each in (board, Board([board])):
        part = each(audio, RATE, reset=False)
        rest = each.flush()
        np.testing.assert_allclose(np.concatenate((part, rest), axis=axis), audio, atol=1e-6)
        part, rest = each.stems(audio, RATE, reset=False), each.flush_stems()
        for source, stem in each.stems(audio, RATE).items():
            assert (stem.shape, stem.dtype) == (shape, np.float32)
            np.testing.assert_array_equal(np.concatenate((part[source], rest[source]), axis=axis), stem)


# Streaming ---------------------------------------------------------------------------------------


def test_flush_of_a_board_that_holds_nothing_is_empty(board):
    for _ in range(2):
        assert (board.flush().size, board.flush().dtype) == (0, np.float32)
        board(stereo, RATE)
    assert board.flush().shape == (2, 0)


@pytest.mark.parametrize("make", [lambda: StemBoard("bands"), lambda: Board([Gain(), StemBoard("bands")])])
def test_flush_stems_of_a_board_that_holds_nothing_is_empty(make):
    board = make()
    assert all(stem.size == 0 for stem in board.flush_stems().values())
    board.stems(stereo, RATE)
    assert [stem.shape for stem in board.flush_stems().values()] == [(2, 0)] * 3


@pytest.mark.parametrize("method", ["stems", "flush_stems"])
def test_stems_need_a_stem_board(method):
    board = Board([Gain()])
    board(stereo, RATE, reset=False)
    with pytest.raises(TypeError, match="stems must come from a stem board"):
        board.stems(stereo, RATE) if method == "stems" else board.flush_stems()


def test_whole_call_between_blocks_starts_a_new_stream(board):
    board(stereo[:, :900], RATE, reset=False)
    np.testing.assert_allclose(board(stereo, RATE), stereo, atol=1e-6)
    assert board.flush().shape == (2, 0)


@pytest.mark.parametrize("change", [{"rate": 48000}, {"channels": 1}])
def test_change_of_rate_or_channels_starts_a_new_stream(board, change):
    board(stereo, RATE, reset=False)
    audio, rate = stereo[: change.get("channels", 2)], change.get("rate", RATE)
    out = board(audio, rate, reset=False)
    np.testing.assert_allclose(np.concatenate((out, board.flush()), axis=1), audio, atol=1e-4)


def test_reset_drops_what_is_inside(board):
    board(stereo, RATE, reset=False)
    board.reset()
    assert board.flush().size == 0
    silence = board(np.zeros_like(stereo), RATE, reset=False)
    assert not silence.any() and not board.flush().any()


def test_empty_blocks_change_nothing(board):
    whole = board(stereo, RATE)
    blocks = [stereo[:, :0], stereo[:, :700], stereo[:, :0], stereo[:, 700:], stereo[:, :0]]
    out = [board(block, RATE, reset=False) for block in blocks]
    np.testing.assert_array_equal(np.concatenate([*out, board.flush()], axis=1), whole)


def test_board_says_that_it_is_an_effect(board, native):
    assert (board.is_effect, board.is_instrument) == (True, False)
    assert native(stereo, RATE).shape == stereo.shape
