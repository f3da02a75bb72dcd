"""A board is a list, of native plugins and stem boards, that sounds in order."""

from __future__ import annotations

from operator import add

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
from pedalboard_native._internal import AddLatency

from plugin_bridge import Board, Isolate, StemBoard, Strip
from plugin_bridge.board.effects import EffectList
from plugin_bridge.separation.classical.bands import Bands
from tests.board_instruments import HARD_EFFECTS, RATE, Half, cut, noise, streamed

# Editing -------------------------------------------------------------------------------------------


@pytest.fixture(params=[Board, EffectList])
def kind(request):
    return request.param


@pytest.fixture
def gains():
    return [Gain(db) for db in range(4)]


def test_list_is_read_as_a_list(kind, gains):
    items = kind(gains)
    assert (len(items), list(items), items[1], items[-1]) == (4, gains, gains[1], gains[-1])
    assert gains[2] in items and Gain() not in items
    assert (items.index(gains[3]), items.count(gains[0]), list(reversed(items))) == (3, 1, gains[::-1])
    assert len(kind()) == 0 and not kind() and kind(gains)
    with pytest.raises(IndexError):
        items[4]


@pytest.mark.parametrize(
    "part", [slice(1, 3), slice(None), slice(None, None, -1), slice(-1, None), slice(9, 12)], ids=str
)
def test_slice_is_a_list_of_the_same_kind(kind, gains, part):
    items = kind(gains)
    assert type(items[part]) is kind
    assert list(items[part]) == gains[part]
    assert list(items) == gains


EDITS = {
    "append": lambda items, new: items.append(new),
    "insert first": lambda items, new: items.insert(0, new),
    "insert before last": lambda items, new: items.insert(-1, new),
    "extend": lambda items, new: items.extend([new, Gain(9)][:1]),
    "set": lambda items, new: items.__setitem__(1, new),
    "set a slice": lambda items, new: items.__setitem__(slice(1, 3), [new]),
    "set a slice from a generator": lambda items, new: items.__setitem__(
        slice(0, 0), (each for each in [new])
    ),
    "delete": lambda items, new: items.__delitem__(0),
    "delete a slice": lambda items, new: items.__delitem__(slice(1, None)),
    "remove": lambda items, new: items.remove(items[2]),
    "pop": lambda items, new: items.pop(),
    "pop first": lambda items, new: items.pop(0),
    "reverse": lambda items, new: items.reverse(),
    "clear": lambda items, new: items.clear(),
    "augment": lambda items, new: items.__iadd__([new]),
}


@pytest.mark.parametrize("name", EDITS)
def test_edit_is_that_of_a_list(kind, gains, name):
    items, plain, new = kind(gains), list(gains), Gain(20)
    EDITS[name](items, new)
    EDITS[name](plain, new)
    assert list(items) == plain
    assert items.edits > 0


@pytest.mark.parametrize("name", EDITS)
def test_edit_is_heard_in_the_next_call(gains, name):
    audio, board = noise(2000), Board(gains)
    board(audio, RATE)
    EDITS[name](board, Gain(20))
    np.testing.assert_allclose(board(audio, RATE), Pedalboard(list(board))(audio, RATE), rtol=1e-5)


def test_plus_joins_from_both_sides(kind, gains):
    one, two = kind(gains[:2]), gains[2:]
    for joined in (one + two, one + kind(two), add(gains[:2], kind(two))):
        assert type(joined) is kind and list(joined) == gains
    assert list(one) == gains[:2]
    for wrong in (lambda: one + 3, lambda: 3 + one, lambda: one + None):
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong()


@pytest.mark.parametrize(
    "item", [None, 3, "Reverb", Reverb, lambda audio: audio, Bands(), Board(), Strip(), [Gain()]]
)
def test_what_is_no_effect_is_refused_and_changes_nothing(kind, gains, item):
    items = kind(gains)
    for put in (
        lambda: kind([item]),
        lambda: items.append(item),
        lambda: items.insert(0, item),
        lambda: items.extend([item]),
        lambda: items.__setitem__(0, item),
        lambda: items.__setitem__(slice(0, 2), [Gain(), item]),
        lambda: add(items, [item]),
        lambda: add([item], items),
    ):
        with pytest.raises(TypeError) as caught:
            put()
        assert "\n" not in str(caught.value)
    assert list(items) == gains


@pytest.mark.parametrize("items", [3, "Reverb", b"Reverb", Gain(), None])
def test_what_is_no_list_is_refused(kind, items):
    with pytest.raises(TypeError, match="put it in brackets"):
        kind(items)


def test_stem_board_goes_into_a_board_and_not_into_a_strip():
    with pytest.raises(TypeError, match="goes into a Board"):
        EffectList([StemBoard("bands")])
    board = Board([Gain(), StemBoard("bands"), Isolate("low", separator="bands")])
    assert board[1] in board and board.index(board[2]) == 2


def test_repr_and_equality_show_the_list(gains):
    assert repr(Board([Gain(1)])).startswith(
        "<plugin_bridge.Board with 1 plugin: [<pedalboard.Gain gain_db=1 at 0x"
    )
    assert repr(Board(gains)).startswith("<plugin_bridge.Board with 4 plugins: [")
    assert repr(EffectList(gains)) == repr(gains)
    assert Board(gains) == Board([Gain(db) for db in range(4)]) == Board(gains)
    assert Board(gains) != Board(gains[::-1]) != Board(gains[:1]) != gains[:1]


# Sounding ------------------------------------------------------------------------------------------

NATIVES = {
    "none": list,
    "one": lambda: [Compressor(-30, 4)],
    "many": lambda: [HighpassFilter(200), Compressor(-30, 4), Delay(0.01, 0.3, 0.5), Reverb(), Limiter()],
    "a chain": lambda: [Gain(3), Chain([Reverb(), Gain(-3)])],
    "a mix": lambda: [Mix([Gain(-6), Delay(0.01, 0, 1)])],
    "a board": lambda: [Pedalboard([Reverb()])],
    "oscillator": lambda: [Chorus(rate_hz=5)],
}


@pytest.mark.parametrize("name", NATIVES)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_native_plugins_sound_as_in_a_pedalboard(name, channels):
    audio = noise(6000, channels)
    native = Pedalboard(NATIVES[name]())(audio, RATE, 64)
    board = Board(NATIVES[name]())
    np.testing.assert_allclose(board(audio, RATE), native, atol=1e-6)
    np.testing.assert_allclose(streamed(board, cut(audio, [1, 10, 1000])), native, atol=1e-6)


@pytest.mark.parametrize("effect", HARD_EFFECTS)
def test_native_effect_streams_as_in_one_call(effect):
    board, audio = Board([HARD_EFFECTS[effect](), Gain(-3)]), noise(RATE // 2)
    whole = board(audio, RATE)
    for sizes in ([1, 2, 3, 500], [3000]):
        np.testing.assert_array_equal(streamed(board, cut(audio, sizes)), whole)


def test_neighbouring_plugins_wait_for_one_grid_only():
    assert Board([]).reported_latency_samples == 0
    assert (
        Board([Gain()]).reported_latency_samples
        == Board([Gain(), Reverb(), Gain()]).reported_latency_samples
        == 63
    )
    assert Board([AddLatency(100), AddLatency(10)]).reported_latency_samples == 63 + 110


def test_latency_follows_the_list_and_the_call():
    board, stems = Board([]), StemBoard("bands").reported_latency_samples
    board.append(StemBoard("bands"))
    assert board.reported_latency_samples == stems
    board.insert(0, Gain())
    assert board.reported_latency_samples == stems + 255
    board(noise(100), 48000)
    stem_board = StemBoard("bands")
    grid = stem_board.grid(48000)
    assert board.reported_latency_samples == grid - 1 + stem_board.session(48000, 2).latency


CHAINS = {
    "stems": lambda: [StemBoard("bands", {"low": [Reverb()]})],
    "before": lambda: [Compressor(-30, 4), StemBoard("bands", {"low": [Reverb()]})],
    "after": lambda: [StemBoard("bands", {"low": [Reverb()]}), Compressor(-30, 4)],
    "around": lambda: [Gain(3), Delay(0.01), StemBoard("bands", {"mid": [Chorus()]}), Reverb(), Limiter(-3)],
    "two": lambda: [StemBoard("bands", {"low": [Reverb()]}), StemBoard(Bands(hop=100), {"mid": [Chorus()]})],
    "two apart": lambda: [
        Gain(-3),
        StemBoard(Bands(hop=320), {"low": [GSMFullRateCompressor()]}),
        GSMFullRateCompressor(),
        StemBoard("bands", {"high": Strip([Reverb()], pan=1)}, [Limiter()]),
        AddLatency(333),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1)])
def test_board_streams_as_in_one_call(name, rate, channels):
    board, audio = Board(CHAINS[name]()), noise(8000, channels)
    whole = board(audio, rate)
    assert whole.shape == audio.shape
    for sizes in ([1, 64, 700], [3000], [8000]):
        np.testing.assert_array_equal(streamed(board, cut(audio, sizes), rate), whole)


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 255, 256, 512, 767, 768, 1000, 5000])
def test_flush_gives_the_rest_wherever_the_stream_ends(frames):
    board, audio = Board(CHAINS["two apart"]()), noise(5000)
    board(audio, RATE)
    out = board(audio[:, :frames], RATE, reset=False)
    assert out.shape[1] == max(0, frames - board.reported_latency_samples)
    joined = np.concatenate((out, board.flush()), axis=1)
    np.testing.assert_array_equal(joined, board(audio[:, :frames], RATE))
    assert board.flush().shape == (2, 0)


def test_board_is_its_parts_one_after_the_other():
    audio, parts = noise(6000), CHAINS["around"]()
    expected = audio
    for part in CHAINS["around"]():
        expected = part(expected, RATE)
    np.testing.assert_allclose(Board(parts)(audio, RATE), expected, atol=1e-5)


def test_gains_around_a_stem_board_cancel():
    audio = noise(3000)
    for board in (
        Board([Gain(6), StemBoard("bands"), Gain(-6)]),
        add(Board([StemBoard("bands"), Gain(6)]), [StemBoard(Half()), Gain(-6)]),
        Board([AddLatency(100), StemBoard("bands"), AddLatency(1000)]),
    ):
        np.testing.assert_allclose(board(audio, RATE), audio, atol=1e-6)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_stems_are_those_of_the_last_stem_board_fed_by_what_lies_before(rate):
    audio = noise(6000)
    last = StemBoard("bands", {"low": [Reverb()]})
    board = Board(
        [Gain(6), StemBoard("bands", {"high": Strip(mute=True)}), Compressor(-30, 4), last, Gain(-60)]
    )
    whole = board.stems(audio, rate)
    fed = board[:3](audio, rate)
    expected = StemBoard("bands", {"low": [Reverb()]}).stems(fed, rate)
    parts = [board.stems(block, rate, reset=False) for block in cut(audio, [64, 1, 1000])] + [
        board.flush_stems()
    ]
    for source in last.sources:
        np.testing.assert_allclose(whole[source], expected[source], atol=1e-5)
        np.testing.assert_array_equal(np.concatenate([part[source] for part in parts], axis=1), whole[source])


def test_latency_of_a_stem_board_can_be_asked_while_its_board_streams():
    board, audio = Board([StemBoard("bands", {"low": [Reverb()]})]), noise(8000)
    part = board(audio[:, :4000], RATE, reset=False)
    assert board[0].reported_latency_samples == board.reported_latency_samples
    rest = board(audio[:, 4000:], RATE, reset=False)
    joined = np.concatenate((part, rest, board.flush()), axis=1)
    np.testing.assert_array_equal(joined, board(audio, RATE))


@pytest.mark.parametrize("many", [64, 65, 128])
def test_more_channels_than_frames_of_a_grid(many):
    audio, board = noise(700, many), Board([AddLatency(10), Gain(0)])
    np.testing.assert_array_equal(board(audio, RATE), audio)
    np.testing.assert_array_equal(streamed(board, [audio[:, :300], audio[:, 300:]]), audio)
