"""What gestures do to a board: pick-up, toggles, encoders, commands, and targets that are not there."""

from __future__ import annotations

import asyncio
from typing import Any

import mido
import pytest

from plugin_bridge.control.midi_map import Control
from tests.midi_desk import HandsOnDesk, change, note

FADER, PAN, MUTE = "/stem/1/fader", "/stem/1/pan", "/stem/1/mute"
MODE = "/stem/vocals/fx/2/mode"


def control(target: str, type_: str = "cc", number: int | None = 20, **values: Any) -> Control:
    return Control(target=target, type=type_, number=number, **values)  # type: ignore[arg-type]


def test_a_fader_takes_hold_where_it_passes_its_target() -> None:
    board = HandsOnDesk(control(FADER))  # it stands at 0.75
    board.send(change(20, 10), change(20, 60), change(20, 90))
    assert board.desk.log == []
    board.send(change(20, 100))
    assert board.at(FADER) == pytest.approx(100 / 127)
    board.send(change(20, 10))
    assert board.at(FADER) == pytest.approx(10 / 127)


def test_a_fader_takes_hold_where_it_stands_near() -> None:
    board = HandsOnDesk(control(FADER))
    board.send(change(20, 95))
    assert board.at(FADER) == pytest.approx(95 / 127)


def test_a_fader_loses_hold_when_another_hand_moves_its_target() -> None:
    board = HandsOnDesk(control(FADER))
    board.send(change(20, 95), change(20, 20))
    board.set(FADER, 0.9)
    board.send(change(20, 22), change(20, 60))
    assert board.at(FADER) == pytest.approx(0.9)
    board.send(change(20, 120))
    assert board.at(FADER) == pytest.approx(120 / 127)


def test_a_motor_fader_never_waits_and_pickup_can_be_chosen() -> None:
    for board, waits in (
        (HandsOnDesk(control(FADER, feedback=True)), False),
        (HandsOnDesk(control(FADER, pickup=False)), False),
        (HandsOnDesk(control(FADER, feedback=True, pickup=True)), True),
    ):
        board.send(change(20, 127))
        assert (board.at(FADER) == 0.75) is waits


def test_no_fader_holds_anything_on_another_board() -> None:
    board = HandsOnDesk(control(FADER))
    board.send(change(20, 95), change(20, 20))
    board.hands.let_go()
    board.set(FADER, 0.5)
    board.send(change(20, 21))
    assert board.at(FADER) == 0.5


def test_ends_and_curves_bend_the_travel() -> None:
    board = HandsOnDesk(control(PAN, lowest=1.0, highest=0.5, curve="squared", pickup=False))
    board.send(change(20, 0))
    assert board.at(PAN) == 1.0
    board.send(change(20, 127))
    assert board.at(PAN) == 0.5


def test_a_toggle_turns_over_on_every_press_and_never_on_release() -> None:
    board = HandsOnDesk(control(MUTE, "note", 36))
    states = []
    for velocity in (127, 0, 127, 0, 5):
        board.send(note(36, velocity))
        states.append(board.at(MUTE))
    assert states == [1, 1, 0, 0, 1]


def test_a_toggle_of_a_number_goes_between_its_ends() -> None:
    board = HandsOnDesk(control("/master/mix", "note", 36, lowest=0.25, highest=1.0))
    board.send(note(36))
    assert board.at("/master/mix") == 0.25
    board.send(note(36))
    assert board.at("/master/mix") == 1.0


def test_a_momentary_button_is_on_while_it_is_down() -> None:
    board = HandsOnDesk(control(MUTE, number=64, mode="momentary"))
    board.send(change(64, 127))
    assert board.at(MUTE) == 1
    board.send(change(64, 0))
    assert board.at(MUTE) == 0


def test_an_encoder_goes_on_from_where_its_target_is() -> None:
    board = HandsOnDesk(control(PAN, mode="twos_complement", step=0.1))
    board.send(change(20, 2))
    assert board.at(PAN) == pytest.approx(0.7)
    board.set(PAN, 0.0)
    board.send(change(20, 1))
    assert board.at(PAN) == pytest.approx(0.1)
    board.send(*[change(20, 64)] * 3)
    assert board.at(PAN) == 0.0


def test_small_steps_of_an_encoder_add_up_to_choices_and_switches() -> None:
    board = HandsOnDesk(
        control(MODE, mode="signed_bit", step=0.05), control(MUTE, number=21, mode="signed_bit", step=0.2)
    )
    board.send(*[change(20, 1)] * 4)
    assert board.at(MODE) == "HPF12"
    board.send(*[change(20, 1)] * 20)
    assert board.at(MODE) == "BPF24"
    board.send(change(21, 1), change(21, 1))
    assert board.at(MUTE) == 0
    board.send(change(21, 1))
    assert board.at(MUTE) == 1


def test_an_effect_and_the_engine_are_moved_too() -> None:
    ratio = "/stem/vocals/fx/1/ratio"
    board = HandsOnDesk(control(ratio, pickup=False), control("/bypass", "note", 53))
    board.send(change(20, 127), note(53))
    assert board.at(ratio) == pytest.approx(20.0)
    assert board.desk.bypass
    board.send(note(53))
    assert not board.desk.bypass


def test_presses_of_commands_are_handed_on_and_their_releases_are_not() -> None:
    board = HandsOnDesk(
        control("/preset/next", "note", 1),
        control("/preset/load", "note", 2, argument="loud"),
        control("/preset/load", "program", None),
        control("/stem/1/mute/toggle", "note", 3),
        control(PAN, "note", 4, argument=0.25),
    )
    board.send(note(1), note(1, 0), note(2), mido.Message("program_change", program=1), note(3), note(4))
    assert board.performed == [("/preset/next", ()), ("/preset/load", ("loud",)), ("/preset/load", (2,))]
    assert (board.at(MUTE), board.at(PAN)) == (1, 0.25)


def test_a_target_that_is_not_there_is_told_once_and_comes_alive_with_its_board() -> None:
    board = HandsOnDesk(control("/stem/left/fader", pickup=False))
    board.send(*[change(20, n) for n in range(100)])
    assert len(board.told) == 1
    assert "'/stem/left/fader'" in board.told[0]
    asyncio.run(board.desk.load_model("halves"))
    board.send(change(20, 127))
    assert board.at("/stem/left/fader") == 1.0


def test_what_cannot_be_done_is_told_once_and_nothing_moves() -> None:
    board = HandsOnDesk(control("/latency", pickup=False), control(MUTE, "note", 1, argument="loud"))
    board.send(*[change(20, n) for n in range(20)], *[note(1)] * 5)
    assert len(board.told) == 2
    assert board.desk.log == []
