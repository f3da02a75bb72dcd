"""Decoding: from MIDI messages to what a hand did."""

from __future__ import annotations

import math
from typing import Any

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.control.midi_input import Decoder, Gesture, first_and_last_places
from plugin_bridge.control.midi_map import Control, load_map


def control(type_: str = "cc", number: int | None = 20, **values: Any) -> Control:
    return Control(target="/stem/1/fader", type=type_, number=number, **values)  # type: ignore[arg-type]


def change(number: int, value: int, channel: int = 1) -> mido.Message:
    return mido.Message("control_change", channel=channel - 1, control=number, value=value)


def heard(one: Control, *messages: mido.Message, port: str = "") -> list[tuple[str, float]]:
    """The gestures in messages, each 1 ms after the one before."""
    decoder = Decoder([one])
    found = [g for n, message in enumerate(messages) for g in decoder.hear(message, port, n / 1000)]
    return [(gesture.kind, gesture.amount) for gesture in found]


def note(number: int, velocity: int) -> mido.Message:
    return mido.Message("note_on", note=number, velocity=velocity)


def test_a_controller_is_a_place() -> None:
    assert heard(control(), change(20, 0), change(21, 9), change(20, 127)) == [("place", 0.0), ("place", 1.0)]


def test_channel_and_port_tell_controls_apart() -> None:
    assert heard(control(channel=2), change(20, 127, channel=1)) == []
    assert heard(control(channel=2), change(20, 127, channel=2)) == [("place", 1.0)]
    assert heard(control(port="Nano"), change(20, 127), port="nanoKONTROL2:MIDI 1") == [("place", 1.0)]
    assert heard(control(port="Nano"), change(20, 127), port="X-TOUCH") == []
    assert heard(control(port="Nano"), change(20, 127), port="") == [("place", 1.0)]  # virtual: any device


@pytest.mark.parametrize(
    ("mode", "values", "clicks"),
    [
        ("twos_complement", (1, 127, 63, 64), [1, -1, 63, -64]),
        ("signed_bit", (1, 65, 63, 127), [1, -1, 63, -63]),
        ("binary_offset", (65, 63, 127, 0), [1, -1, 63, -64]),
    ],
)
def test_encoders_turn(mode: str, values: tuple[int, ...], clicks: list[int]) -> None:
    turned = heard(control(mode=mode), *(change(20, value) for value in values))
    assert turned == [("turn", click) for click in clicks]


def test_buttons_press_and_release() -> None:
    pad = control("note", 36)
    off = mido.Message("note_off", note=36, velocity=64)
    assert heard(pad, note(36, 1), note(36, 0), note(36, 5), off) == [
        ("press", 1.0), ("release", 1.0), ("press", 1.0), ("release", 1.0),
    ]  # fmt: skip
    assert heard(control(mode="toggle"), change(20, 127), change(20, 0)) == [("press", 1.0), ("release", 1.0)]
    assert heard(control("note", 36, mode="absolute"), note(36, 127), note(36, 0)) == [("place", 1.0)]


def test_pitch_bend_and_pressure_reach_both_ends() -> None:
    bends = [mido.Message("pitchwheel", pitch=pitch) for pitch in (-8192, 8191)]
    assert heard(control("pitchbend", None), *bends) == [("place", 0.0), ("place", 1.0)]
    pressures = [mido.Message("aftertouch", value=value) for value in (0, 127)]
    assert heard(control("aftertouch", None), *pressures) == [("place", 0.0), ("place", 1.0)]


def test_programs_count_from_one() -> None:
    program = mido.Message("program_change", program=4)
    assert heard(control("program", None), program) == [("program", 5)]
    assert heard(control("program", 5), program) == [("press", 1.0)]
    assert heard(control("program", 4), program) == []


def test_touch_is_heard_on_channel_one() -> None:
    fader = control("pitchbend", None, channel=3, touch=106)
    touched = [note(106, 127), note(106, 0), mido.Message("note_on", channel=2, note=106)]
    assert heard(fader, *touched) == [("touch", 1.0), ("touch", 0.0)]


def test_a_pair_of_controllers_is_one_place_of_14_bits() -> None:
    decoder = Decoder([control("cc14", 7)])
    assert decoder.hear(change(7, 127), "", 1.0) == []
    assert [gesture.amount for gesture in decoder.hear(change(39, 127), "", 1.001)] == [1.0]
    assert decoder.due == math.inf
    assert [gesture.amount for gesture in decoder.hear(change(39, 0), "", 2.0)] == [127 * 128 / 16383]


def test_a_coarse_controller_alone_counts_after_a_while_and_reaches_the_end() -> None:
    decoder = Decoder([control("cc14", 7)])
    decoder.hear(change(7, 127), "", 1.0)
    assert decoder.due == pytest.approx(1.02)
    assert decoder.late(1.019) == []
    assert [gesture.amount for gesture in decoder.late(1.021)] == [1.0]
    assert decoder.late(9.0) == []


def test_a_fine_controller_before_any_coarse_one_says_nothing() -> None:
    assert heard(control("cc14", 7), change(39, 64)) == []


def test_a_flood_is_thinned_to_where_each_run_begins_and_ends() -> None:
    first, second = control(number=1), control(number=2)
    flood = [Gesture(each, "place", n / 100) for n in range(100) for each in (first, second)]
    press = Gesture(first, "press")
    thin = first_and_last_places([*flood, press, *flood[:6]])
    places = [(gesture.control.number, gesture.amount) for gesture in thin]
    ends = [(1, 0.0), (2, 0.0), (1, 0.99), (2, 0.99)]
    assert places == [*ends, (1, 1.0), (1, 0.0), (2, 0.0), (1, 0.02), (2, 0.02)]


@given(st.lists(st.binary(min_size=1, max_size=6), max_size=60))
def test_whatever_bytes_come_in_nothing_but_gestures_comes_out(packets: list[bytes]) -> None:
    decoder = Decoder([*load_map("default").control, *load_map("mackie-control").control])
    for n, packet in enumerate(packets):
        try:
            message = mido.Message.from_bytes(list(packet))
        except (ValueError, LookupError):
            continue
        for gesture in [*decoder.hear(message, "", float(n)), *decoder.late(float(n))]:
            assert gesture.kind != "place" or 0.0 <= gesture.amount <= 1.0
