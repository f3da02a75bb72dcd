"""Changes at a frame: where they start, that cutting a stream changes nothing, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pedalboard import Compressor, Delay, Gain, PitchShift, Reverb

from plugin_bridge import StemBoard, Strip
from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.board.parameters import RAMP_SECONDS
from plugin_bridge.errors import UnknownAddress

RATE = 44100
RAMP = round(RAMP_SECONDS * RATE)
FRAMES = 6000


def noise(frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal((2, frames))).astype(np.float32)


def board(**strips: Strip) -> StemBoard:
    return StemBoard("bands", strips)


def rendered(made: StemBoard, audio: np.ndarray, changes: list, blocks: list[int] | None = None):
    """The mix and the stems of a stream with changes, cut into blocks."""
    session = made.session(RATE, 2)
    for frame, key, value in changes:
        session.schedule(frame, key, value)
    parts, at = [], 0
    for block in blocks or [audio.shape[1]]:
        parts.append(session.push(audio[:, at : at + block]))
        at += block
    parts.append(session.push(audio[:, at:]))
    parts.append(session.flush())
    assert session.refusals == []
    return (
        np.concatenate([part.mix for part in parts], axis=1),
        np.concatenate([part.stems for part in parts], axis=2),
    )


def first_difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.flatnonzero((one != other).any(axis=0))[0])


@pytest.mark.parametrize("frame", [0, 1, 2, 255, 256, 1000, 3333])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (Key("low", None, "gain_db"), -6.0),
        (Key("low", None, "mute"), True),
        (Key("mid", None, "solo"), True),
        (Key("high", None, "pan"), 0.5),
        (Key("master", None, "gain_db"), 6.0),
    ],
)
def test_level_moves_from_exactly_its_frame_on(key, value, frame):
    audio = noise()
    plain, _ = rendered(board(), audio, [])
    moved, _ = rendered(board(), audio, [(frame, key, value)])
    assert first_difference(moved, plain) == frame


@pytest.mark.parametrize("frame", [0, 1, 2, 3, 257, 1000])
def test_effect_moves_at_exactly_its_frame(frame):
    audio = noise()
    plain, _ = rendered(board(mid=Strip([Gain(0.0)])), audio, [])
    moved, stems = rendered(board(mid=Strip([Gain(0.0)])), audio, [(frame, Key("mid", 0, "gain_db"), -20.0)])
    # The gain of pedalboard glides by itself, from the frame on.
    assert frame <= first_difference(moved, plain) <= frame + 1
    assert np.abs(stems[1][:, -500:]).max() < 0.2 * np.abs(audio).max()


def test_strip_behind_a_late_one_moves_at_its_frame_too():
    audio = noise()
    strips = {"low": Strip([PitchShift(0.0)]), "mid": Strip([Gain(0.0)])}
    plain, _ = rendered(board(**strips), audio, [])
    for key in (Key("mid", None, "mute"), Key("master", None, "mute")):
        strips = {"low": Strip([PitchShift(0.0)]), "mid": Strip([Gain(0.0)])}
        moved, _ = rendered(board(**strips), audio, [(2000, key, True)])
        assert first_difference(moved, plain) == 2000


def test_ramp_takes_20_ms_in_a_straight_line():
    audio = np.full((2, FRAMES), 0.5, np.float32)
    made = board()
    _, plain = rendered(made, audio, [])
    _, moved = rendered(made, audio, [(3000, Key("low", None, "mute"), True)])
    factors = moved[0, 0, 2999 : 3000 + RAMP + 1] / plain[0, 0, 2999 : 3000 + RAMP + 1]
    assert np.allclose(factors, np.clip(1 - np.arange(RAMP + 2) / RAMP, 0, 1), atol=1e-5)


CHANGES = [
    (100, Key("low", None, "gain_db"), -12.0),
    (300, Key("mid", 0, "threshold_db"), -40.0),
    (511, Key("mid", 1, "bypass"), True),
    (512, Key("high", None, "solo"), True),
    (700, Key("master", None, "mix"), 0.25),
    (901, Key("high", 0, "room_size"), 0.9),
    (2000, Key("high", None, "solo"), False),
    (2500, Key("mid", 1, "bypass"), False),
    (2600, Key("master", 0, "gain_db"), -6.0),
    (4000, Key("mid", None, "mute"), True),
    (4003, Key("mid", None, "mute"), False),
    (9000, Key("low", None, "mute"), True),
]


def moving_board() -> StemBoard:
    strips = {
        "low": Strip([]),
        "mid": Strip([Compressor(-20.0, 4.0), Delay(0.01, 0.4)]),
        "high": Strip([Reverb(0.2)]),
    }
    return StemBoard("bands", strips, Strip([Gain(1.0)]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 1500), min_size=1, max_size=12))
def test_blocks_change_nothing_to_the_last_bit(blocks):
    audio = noise()
    whole, stems = rendered(moving_board(), audio, CHANGES)
    cut, cut_stems = rendered(moving_board(), audio, CHANGES, blocks)
    assert np.array_equal(cut, whole) and np.array_equal(cut_stems, stems)


def test_late_effects_change_alike_in_any_blocks():
    changes = [(50, Key("low", None, "mute"), True), (3000, Key("low", None, "mute"), False), *CHANGES]

    def made() -> StemBoard:
        late = moving_board()
        late["low"] = Strip([PitchShift(2.0), Gain(3.0)])
        return late

    audio = noise(20000)
    whole, _ = rendered(made(), audio, changes)
    cut, _ = rendered(made(), audio, changes, [7, 300, 1024, 4000])
    assert np.array_equal(cut, whole)


def test_move_now_is_a_change_at_the_frame_it_names():
    audio = noise()
    session = moving_board().session(RATE, 2)
    changes, parts = [], []
    moves = iter([(key, value) for _, key, value in CHANGES])
    for at in range(0, FRAMES, 500):
        parts.append(session.push(audio[:, at : at + 500]).mix)
        if (move := next(moves, None)) is not None:
            changes.append((session.move(*move), *move))
    parts.append(session.flush().mix)
    again, _ = rendered(moving_board(), audio, changes)
    assert np.array_equal(np.concatenate(parts, axis=1), again)


def test_past_frame_counts_as_the_next():
    audio = noise()
    session = board().session(RATE, 2)
    first = session.push(audio[:, :2048]).mix
    session.schedule(-100000, Key("low", None, "mute"), True)
    rest = np.concatenate((session.push(audio[:, 2048:]).mix, session.flush().mix), axis=1)
    plain, _ = rendered(board(), audio, [])
    assert first_difference(np.concatenate((first, rest), axis=1), plain) >= first.shape[1]


def test_refused_change_is_told_and_the_stream_goes_on():
    session = board().session(RATE, 2)
    session.schedule(10, Key("low", 3, "gain_db"), 0.0)
    session.schedule(10, Key("low", None, "gain_db"), 99.0)
    session.push(noise())
    assert len(session.refusals) == 2 and "gain_db" in session.refusals[1]
    with pytest.raises(UnknownAddress, match="kazoo"):
        session.schedule(0, Key("kazoo", None, "mute"), True)


def test_parameter_that_would_change_the_delay_is_refused():
    session = board(low=Strip([PitchShift(2.0)])).session(RATE, 2)
    for change in (session.move, lambda *move: session.schedule(0, *move)):
        with pytest.raises(ValueError, match=r"semitones.*before the stream begins"):
            change(Key("low", 0, "semitones"), 3.0)


def test_reset_strikes_out_what_was_to_come():
    session = board().session(RATE, 2)
    session.schedule(1000, Key("master", None, "mute"), True)
    session.reset()
    assert np.abs(session.push(noise()).mix[:, -500:]).max() > 0


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_mix_blends_the_input_as_late_as_the_board(mix):
    audio = noise()
    wet = StemBoard("bands", {"low": Strip(mute=True), "mid": Strip([PitchShift(3.0)])})
    processed = wet(audio, RATE)
    wet.mix = mix
    assert np.allclose(wet(audio, RATE), mix * processed + (1 - mix) * audio, atol=1e-5)


def test_mix_is_kept_by_copies_and_refuses_nonsense():
    made = StemBoard("bands", mix=0.5)
    assert StemBoard.from_dict(made.to_dict()).mix == 0.5
    assert made != StemBoard("bands") and "mix=0.5" in repr(made)
    with pytest.raises(ValueError, match="between 0 and 1"):
        made.mix = 1.5


def test_bypass_is_the_strip_without_the_effect():
    audio = noise()
    strip = Strip([Gain(6.0), Reverb(0.5)])
    strip.set_bypass(1, True)
    made = StemBoard("bands", {"mid": strip})
    assert np.allclose(made(audio, RATE), StemBoard("bands", {"mid": [Gain(6.0)]})(audio, RATE), atol=1e-6)
    strip.set_bypass(1, False)
    with_both = StemBoard("bands", {"mid": [Gain(6.0), Reverb(0.5)]})
    assert np.allclose(made(audio, RATE), with_both(audio, RATE), atol=1e-6)


def test_bypass_of_a_late_effect_keeps_the_delay():
    audio = noise(30000)
    strip = Strip([PitchShift(5.0)])
    strip.set_bypass(0, True)
    assert np.allclose(StemBoard("bands", {"mid": strip})(audio, RATE), audio, atol=1e-5)


def test_bypass_fades_and_the_effect_before_it_goes_on():
    """No step where an effect is taken out, and none where a chain is taken apart for it."""
    audio = np.full((2, FRAMES), 0.5, np.float32)
    made = board(low=Strip([Compressor(-30.0, 10.0), Gain(6.0)]))
    _, plain = rendered(made, audio, [])
    made = board(low=Strip([Compressor(-30.0, 10.0), Gain(6.0)]))
    _, stems = rendered(made, audio, [(3000, Key("low", 1, "bypass"), True)])
    ratio = stems[0, 0, 1500:4500] / plain[0, 0, 1500:4500]
    assert np.abs(np.diff(ratio)).max() < 2.0 / RAMP
    assert ratio[0] == 1.0 and ratio[-1] == pytest.approx(10 ** (-6 / 20), abs=1e-4)


def test_bypass_is_kept_by_copies_and_follows_its_effect():
    strip = Strip([Gain(1.0), Reverb()])
    strip.set_bypass(1, True)
    assert Strip.from_dict(strip.to_dict()) == strip != Strip([Gain(1.0), Reverb()])
    del strip.effects[0]
    assert strip.is_bypassed(0) and strip.bypassed == (0,)
    with pytest.raises(IndexError):
        strip.set_bypass(1, True)
    with pytest.raises(TypeError, match="True or False"):
        strip.set_bypass(0, 1)
