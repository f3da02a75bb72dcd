"""From MIDI messages to gestures: a fader at a place, a button pressed, an encoder turned.

Pure: it knows no ports and no clock but the seconds it is given, so that a live device and a MIDI file
are read by the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from plugin_bridge.control.midi_map import Control

PAIR_SECONDS = 0.020
"""How long the coarse half of a 14-bit controller waits for the fine one."""

GestureKind = Literal["place", "press", "release", "turn", "touch", "program"]


class Gesture(NamedTuple):
    """What a hand did on a control.

    `amount` is the place of 0 to 1, the clicks turned, 1 or 0 for a hand that comes or goes, or the program
    counted from 1.
    """

    control: Control
    kind: GestureKind
    amount: float = 1.0


def clicks(mode: str, value: int) -> int:
    """How far an endless encoder was turned.

    >>> clicks("twos_complement", 127), clicks("signed_bit", 65), clicks("binary_offset", 63)
    (-1, -1, -1)
    """
    if mode == "twos_complement":
        return value - 128 if value >= 64 else value
    if mode == "signed_bit":
        return -(value & 0x3F) if value & 0x40 else value
    return value - 64


class _Coarse(NamedTuple):
    control: Control
    value: int
    due: float


class Decoder:
    """Reads messages by a list of controls; several controls may answer to one message."""

    def __init__(self, controls: Iterable[Control]) -> None:
        self._by_source: dict[tuple[str, int | None], list[Control]] = {}
        for control in controls:
            self._enter(control.type, control.number, control)
            if control.touch is not None:
                self._enter("touch", control.touch, control)
            if control.type == "cc14":
                assert control.number is not None
                self._enter("fine", control.number + 32, control)
        self._coarse: dict[tuple[int, int, str], int] = {}
        self._waiting: dict[tuple[int, int, str], _Coarse] = {}

    def _enter(self, type_: str, number: int | None, control: Control) -> None:
        self._by_source.setdefault((type_, number), []).append(control)

    @property
    def due(self) -> float:
        """When to call `late`; infinity for never."""
        return min((coarse.due for coarse in self._waiting.values()), default=math.inf)

    def late(self, now: float) -> list[Gesture]:
        """Coarse halves whose fine ones did not come."""
        over = [key for key, coarse in self._waiting.items() if coarse.due <= now]
        found = [self._waiting.pop(key) for key in over]
        return [Gesture(coarse.control, "place", coarse.value / 127) for coarse in found]

    def hear(self, message: Any, port: str, now: float) -> list[Gesture]:
        """The gestures in a `mido.Message`, `now` in seconds of any clock.

        `port` is the name of the port it came in at, "" for a virtual one, which stands for every device.
        """
        match message.type:
            case "control_change":
                return self._controller(message, port, now)
            case "note_on" | "note_off":
                return self._note(message, port)
            case "pitchwheel":
                return self._places("pitchbend", None, message, port, (message.pitch + 8192) / 16383)
            case "aftertouch":
                return self._places("aftertouch", None, message, port, message.value / 127)
            case "program_change":
                return self._program(message, port)
        return []

    def _found(self, type_: str, number: int | None, message: Any, port: str) -> list[Control]:
        return [
            control
            for control in self._by_source.get((type_, number), ())
            if (control.channel is None or control.channel == message.channel + 1) and _is_of(control, port)
        ]

    def _places(self, type_: str, number: int | None, message: Any, port: str, at: float) -> list[Gesture]:
        return [Gesture(control, "place", at) for control in self._found(type_, number, message, port)]

    def _controller(self, message: Any, port: str, now: float) -> list[Gesture]:
        number, value = message.control, message.value
        gestures = [
            self._one_controller(control, value) for control in self._found("cc", number, message, port)
        ]
        for control in self._found("cc14", number, message, port):
            key = (id(control), message.channel, port)
            self._coarse[key] = value
            self._waiting[key] = _Coarse(control, value, now + PAIR_SECONDS)
        for control in self._found("fine", number, message, port):
            key = (id(control), message.channel, port)
            self._waiting.pop(key, None)
            if key in self._coarse:
                at = (self._coarse[key] << 7 | value) / 16383
                gestures.append(Gesture(control, "place", at))
        return gestures

    @staticmethod
    def _one_controller(control: Control, value: int) -> Gesture:
        if control.is_relative:
            return Gesture(control, "turn", clicks(control.how, value))
        if control.how == "absolute" and control.argument is None:
            return Gesture(control, "place", value / 127)
        return Gesture(control, "press" if value >= 64 else "release")

    def _note(self, message: Any, port: str) -> list[Gesture]:
        down = message.type == "note_on" and message.velocity > 0
        touched = self._by_source.get(("touch", message.note), ()) if message.channel == 0 else ()
        gestures = [Gesture(control, "touch", float(down)) for control in touched if _is_of(control, port)]
        for control in self._found("note", message.note, message, port):
            if control.how != "absolute":
                gestures.append(Gesture(control, "press" if down else "release"))
            elif down:
                gestures.append(Gesture(control, "place", message.velocity / 127))
        return gestures

    def _program(self, message: Any, port: str) -> list[Gesture]:
        program = message.program + 1
        anyone = self._found("program", None, message, port)
        chosen = self._found("program", program, message, port)
        pressed = [Gesture(control, "press") for control in chosen]
        return [*pressed, *(Gesture(control, "program", program) for control in anyone)]


def _is_of(control: Control, port: str) -> bool:
    """Whether a control is on the device of a port; a virtual port, "", stands for every device."""
    return not port or control.port.lower() in port.lower()


def first_and_last_places(gestures: list[Gesture]) -> list[Gesture]:
    """The gestures without the places that a control only passes through, as in a flood.

    The first place of each run stays too: it says from which side a fader comes that must pick up.
    """
    kept: list[Gesture | None] = []
    runs: dict[int, list[int]] = {}
    for gesture in gestures:
        if gesture.kind != "place":
            runs.clear()  # what was pressed between two places stays between them
        else:
            run = runs.setdefault(id(gesture.control), [])
            if len(run) == 2:
                kept[run.pop()] = None
            run.append(len(kept))
        kept.append(gesture)
    return [gesture for gesture in kept if gesture is not None]
