"""What goes back to a device: changes only, not under a hand, and never without the last value."""

from __future__ import annotations

import asyncio
from typing import Any

import mido
import pytest

from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.midi_feedback import REST_SECONDS, Feedback, display_names, messages
from plugin_bridge.control.midi_input import Decoder, Gesture
from plugin_bridge.control.midi_map import Control, MidiMap
from tests.control_desk import SOURCES, Desk

VOCALS = Key("vocals", None, "gain_db")


def control(type_: str, number: int | None = 20, target: str = "/stem/1/fader", **values: Any) -> Control:
    return Control(target=target, type=type_, number=number, feedback=True, **values)  # type: ignore[arg-type]


class Shown:
    """A desk shown on a device that keeps what it is sent, unless it is unplugged."""

    def __init__(self, *controls: Control, display: str = "") -> None:
        self.desk = Desk()
        midi_map = MidiMap(name="test", control=list(controls), display=display)  # type: ignore[arg-type]
        self.feedback = Feedback(AddressSpace(self.desk), midi_map, self._send)
        self._sent: list[Any] = []
        self.plugged = True

    def _send(self, message: Any, port: str) -> bool:
        if self.plugged:
            self._sent.append(message)
        return self.plugged

    def flush(self, now: float) -> list[Any]:
        """What a look at a time sends."""
        self.waits = self.feedback.flush(now, self.desk.sources)
        sent, self._sent = self._sent, []
        return sent


def test_only_changes_are_sent() -> None:
    fader = control("pitchbend", None)
    shown = Shown(fader)
    assert [message.pitch for message in shown.flush(0.0)] == [round(0.75 * 16383) - 8192]
    assert shown.flush(1.0) == []
    shown.desk.move([(VOCALS, 10.0)])
    assert [message.pitch for message in shown.flush(2.0)] == [8191]
    assert not shown.waits


@pytest.mark.parametrize(
    ("one", "at", "bytes_"),
    [
        (control("cc"), 0.75, ["b0145f"]),
        (control("cc", channel=3), 0.75, ["b2145f"]),
        (control("cc14", 7), 0.75, ["b0075f", "b0277f"]),
        (control("pitchbend", None, channel=9), 0.75, ["e87f5f"]),
        (control("note", 36, "/stem/1/mute"), 1.0, ["90247f"]),
        (control("note", 36, "/stem/1/mute"), 0.0, ["902400"]),
        (control("cc", 64, "/stem/1/mute", mode="toggle"), 1.0, ["b0407f"]),
        (control("cc", 16, mode="signed_bit", ring=48), 0.0, ["b03001"]),
        (control("cc", 16, mode="signed_bit", ring=48), 1.0, ["b0300b"]),
        (control("cc", lowest=1.0, highest=0.5), 0.75, ["b01440"]),
    ],
)
def test_every_kind_is_shown_in_its_own_way(one: Control, at: float, bytes_: list[str]) -> None:
    shown = Shown(one)
    is_switch = one.target.endswith("mute")
    key = Key("vocals", None, "mute") if is_switch else VOCALS
    shown.desk.move([(key, at >= 0.5 if is_switch else 40 * at - 30 if at else float("-inf"))])
    assert [message.bin().hex() for message in shown.flush(0.0)] == bytes_


@pytest.mark.parametrize("one", [control("cc"), control("cc14", 7), control("pitchbend", None)])
def test_what_is_shown_means_the_same_when_it_is_played_back(one: Control) -> None:
    decoder = Decoder([one])
    for steps in (0, 1, 64, 127):
        gestures = [g for m in messages(one, steps) for g in [*decoder.hear(m, "", 0.0)]]
        highest = 127 if one.type == "cc" else 16383
        assert [gesture.amount for gesture in gestures] == [steps / highest]


def test_a_fader_under_a_hand_waits_and_gets_the_last_value_only() -> None:
    fader = control("pitchbend", None, touch=104)
    shown = Shown(fader)
    shown.flush(0.0)
    shown.feedback.hear(Gesture(fader, "touch", 1.0), 1.0)
    for gain_db in (-5.0, -6.0, -10.0):
        shown.desk.move([(VOCALS, gain_db)])
        assert shown.flush(2.0) == []
        assert shown.waits
    shown.feedback.hear(Gesture(fader, "touch", 0.0), 3.0)
    assert [message.pitch for message in shown.flush(4.0)] == [round(0.5 * 16383) - 8192]
    assert not shown.waits


def test_a_fader_without_touch_is_not_sent_its_own_move_nor_moved_while_it_moves() -> None:
    fader = control("cc")
    shown = Shown(fader)
    shown.flush(0.0)
    shown.feedback.hear(Gesture(fader, "place", 64 / 127), 1.0)
    shown.desk.move([(VOCALS, 80 * 64 / 127 - 50 if 64 / 127 < 0.5 else 40 * 64 / 127 - 30)])
    assert shown.flush(1.0) == []
    shown.desk.move([(VOCALS, 10.0)])
    assert shown.flush(1.0 + REST_SECONDS / 2) == []
    assert shown.waits
    assert [message.value for message in shown.flush(1.01 + REST_SECONDS)] == [127]


def test_a_fader_that_was_refused_is_sent_back_to_its_place() -> None:
    fader = control("cc")
    shown = Shown(fader)
    shown.flush(0.0)
    shown.feedback.hear(Gesture(fader, "place", 0.0), 1.0)  # and the board does not follow
    assert [message.value for message in shown.flush(2.0)] == [95]


def test_what_was_not_sent_for_want_of_a_port_is_sent_when_it_is_back() -> None:
    shown = Shown(control("cc"), display="mackie")
    shown.plugged = False
    assert shown.flush(0.0) == []
    assert shown.waits
    shown.plugged = True
    assert [message.type for message in shown.flush(1.0)] == ["sysex", "control_change"]
    assert not shown.waits
    shown.feedback.forget()
    assert [message.type for message in shown.flush(2.0)] == ["sysex", "control_change"]


def test_a_target_that_is_gone_is_shown_at_its_lowest() -> None:
    shown = Shown(control("cc", target="/stem/vocals/fader"))
    shown.flush(0.0)
    asyncio.run(shown.desk.load_model("halves"))
    assert [message.value for message in shown.flush(1.0)] == [0]
    asyncio.run(shown.desk.load_model("classic4"))
    assert [message.value for message in shown.flush(2.0)] == [95]


def test_the_names_of_the_stems_are_on_the_display() -> None:
    message = display_names(SOURCES)
    assert message.bin()[:7].hex() == "f0000066141200"
    assert bytes(message.data[6:]) == b"vocals drums  bass   other  " + b" " * 28
    odd = display_names(["Gesängé\n", "a very long name", *"abcdefgh"])
    assert len(odd.data) == 6 + 56
    assert bytes(odd.data[6:20]) == b"Ges?ng a very "
    assert isinstance(odd, mido.Message)
