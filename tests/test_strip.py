"""A strip's settings: what they accept, how they read, and that copies are whole."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pedalboard import Compressor, Gain, Reverb

from plugin_bridge import Strip
from plugin_bridge.board.parameters import GAIN_DB, PAN, Ramp, amplitude, balance
from plugin_bridge.errors import PresetError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gain_db", 24),
        ("gain_db", -6.5),
        ("gain_db", float("-inf")),
        ("gain_db", np.float32(-3)),
        ("gain_db", np.int64(3)),
        ("pan", -1),
        ("pan", 1.0),
        ("mute", True),
        ("solo", np.bool_(True)),
    ],
)
def test_value_is_kept_as_a_plain_number(name, value):
    for strip in (Strip(**{name: value}), Strip()):
        setattr(strip, name, value)
        kept = getattr(strip, name)
        assert kept == value
        assert type(kept) is (bool if name in ("mute", "solo") else float)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("gain_db", 24.1, ValueError),
        ("gain_db", float("inf"), ValueError),
        ("gain_db", float("nan"), ValueError),
        ("gain_db", "0", TypeError),
        ("gain_db", None, TypeError),
        ("gain_db", True, TypeError),
        ("gain_db", 1j, TypeError),
        ("gain_db", np.zeros(2), TypeError),
        ("pan", 1.01, ValueError),
        ("pan", float("nan"), ValueError),
        ("pan", "left", TypeError),
        ("mute", 1, TypeError),
        ("mute", None, TypeError),
        ("solo", "yes", TypeError),
    ],
)
def test_wrong_value_is_refused_in_one_sentence_and_changes_nothing(name, value, error):
    with pytest.raises(error, match=f"^{name} must be [^\n]*, got [^\n]*$"):
        Strip(**{name: value})
    strip = Strip()
    with pytest.raises(error):
        setattr(strip, name, value)
    assert strip == Strip() and strip.is_neutral


def test_names_that_a_strip_does_not_have_are_refused():
    with pytest.raises(TypeError):
        Strip(volume=3)
    with pytest.raises(TypeError):
        Strip([], 3.0)
    with pytest.raises(PresetError, match="'gain'; did you mean 'gain_db'"):
        Strip.from_dict({"gain": 3})


@pytest.mark.parametrize(
    "change",
    [
        lambda strip: setattr(strip, "gain_db", 1),
        lambda strip: setattr(strip, "pan", 0.1),
        lambda strip: setattr(strip, "mute", True),
        lambda strip: setattr(strip, "solo", True),
        lambda strip: strip.effects.append(Gain(0)),
        lambda strip: setattr(strip, "effects", [Gain(0)]),
    ],
)
def test_every_setting_ends_neutrality_and_equality(change):
    strip = Strip()
    assert strip.is_neutral and strip == Strip()
    change(strip)
    assert not strip.is_neutral and strip != Strip()


def test_effects_set_are_taken_over_in_a_list_of_their_own():
    mine = [Gain(1), Gain(2)]
    strip = Strip(mine)
    mine.append(Gain(3))
    assert len(strip.effects) == 2
    edits = strip.effects.edits
    strip.effects = (Gain(4),)
    assert len(strip.effects) == 1 and strip.effects.edits != edits
    with pytest.raises(TypeError):
        strip.effects = Gain(1)
    assert len(strip.effects) == 1


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: Strip.from_dict(s.to_dict()),
    ],
)
def test_copy_is_equal_and_shares_nothing(copied):
    strip = Strip([Reverb(0.3), Compressor(-17.3)], gain_db=-4.2, pan=0.25, mute=True, solo=True)
    other = copied(strip)
    assert other == strip and other.to_dict() == strip.to_dict()
    other.effects[0].room_size = 0.9
    other.gain_db = 0
    assert strip.effects[0].room_size == pytest.approx(0.3) and strip.gain_db == -4.2


def test_repr_shows_what_is_set():
    assert repr(Strip()) == "Strip([])"
    text = repr(Strip([Reverb(), Gain()], gain_db=-6, pan=0.5, mute=True))
    assert text == "Strip([Reverb, Gain], gain_db=-6, pan=0.5, mute=1)"


def test_strip_compares_with_strips_only_and_has_no_hash():
    assert Strip() != {"gain_db": 0.0}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Strip())


# Numbers -------------------------------------------------------------------------------------------


@given(st.floats(allow_subnormal=False) | st.integers())
def test_range_keeps_or_refuses_every_number(value):
    for within in (GAIN_DB, PAN):
        if within.lowest <= value <= within.highest:
            assert within.check(value) == float(value)
        else:
            with pytest.raises(ValueError, match=within.name):
                within.check(value)


def test_amplitude_and_balance():
    assert (amplitude(0), amplitude(float("-inf")), amplitude(20)) == (1, 0, pytest.approx(10))
    assert math.isclose(amplitude(-6) * amplitude(6), 1)
    for pan in (-1, -0.3, 0, 0.3, 1):
        left, right = balance(pan, 2)
        assert max(left, right) == 1 and min(left, right) == pytest.approx(1 - abs(pan))
        np.testing.assert_array_equal(balance(pan, 1), [1])


# Without denormals: a hosted plugin built with -ffast-math turns them off for the whole thread.
@given(
    targets=st.lists(
        st.tuples(st.integers(0, 300), st.floats(0, 4, width=32, allow_subnormal=False), st.integers(0, 50)),
        max_size=6,
    ),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=8),
)
def test_ramp_moves_in_steps_of_its_line_wherever_it_is_cut(targets, sizes):
    """The targets are set at the same frames; in between, blocks are cut at will."""
    frames = 100

    def run(cuts):
        ramp, out = Ramp(1, frames), []
        for length, target, wait in [(20, 1.0, 0), *targets]:
            ramp.head_for(np.full(1, target, np.float32), wait)
            while length:
                size = min(length, next(cuts))
                out.append(ramp.apply(np.ones((1, size), np.float32)))
                length -= size
        return np.concatenate(out, axis=1)[0]

    def repeated():
        while True:
            yield from sizes

    whole, parts = run(iter(lambda: 10**6, None)), run(repeated())
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert np.abs(np.diff(parts)).max(initial=0) <= 4 / frames + 1e-5


def test_ramp_ends_exactly_and_rests():
    ramp = Ramp(2, 10)
    ramp.jump(np.zeros(2, np.float32))
    assert ramp.silent
    ramp.head_for(np.ones(2, np.float32), wait=3)
    assert not ramp.silent
    out = ramp.apply(np.ones((2, 20), np.float32))
    np.testing.assert_allclose(out[0, :14], [0, 0, 0, *np.linspace(0.1, 1, 10), 1], atol=1e-6)
    audio = np.ones((2, 20), np.float32)
    assert ramp.apply(audio) is audio
    ramp.head_for(np.zeros(2, np.float32))
    assert not ramp.apply(audio)[:, 9:].any() and ramp.silent
