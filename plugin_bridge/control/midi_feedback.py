"""What goes back to a device: motor faders, lamps, rings of lamps, and the stems' names on its display.

Only changes are sent, no faster than `PERIOD_SECONDS`, and not to a fader that a hand is on; the last
value is never lost, since what is shown is compared with what should be shown until they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mido

from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.midi_input import Gesture
from plugin_bridge.control.midi_map import Control, MidiMap
from plugin_bridge.errors import UnknownAddress

PERIOD_SECONDS = 0.03
REST_SECONDS = 0.3
"""How long a fader must have been at rest before its motor may move it."""

_STRIPS, _CELL = 8, 7
_DEVICES = {"mackie": 0x14, "mackie-extender": 0x15}


class Feedback:
    """Keeps a device's faders and lamps where their targets are.

    `send` is given a message and the part of a port's name that it is for, and says whether it went out.
    """

    def __init__(self, space: AddressSpace, midi_map: MidiMap, send: Callable[[Any, str], bool]) -> None:
        self._space, self._send = space, send
        self._display, self._port = midi_map.display, midi_map.port
        self._controls = [control for control in midi_map.control if control.feedback]
        self._shown: dict[int, int] = {}
        self._names: tuple[str, ...] | None = None
        self._touched: set[int] = set()
        self._moved_at: dict[int, float] = {}

    def forget(self) -> None:
        """A device has come back: nothing is known of what it shows, and no hand is on it."""
        self._shown.clear()
        self._touched.clear()
        self._names = None

    def hear(self, gesture: Gesture, now: float) -> None:
        """Know of a hand on a fader, and of where it put it."""
        control = gesture.control
        if gesture.kind == "touch":
            (self._touched.add if gesture.amount else self._touched.discard)(id(control))
        elif gesture.kind == "place" and control.feedback:
            self._moved_at[id(control)] = now
            self._shown[id(control)] = _steps(control, gesture.amount)

    def flush(self, now: float, sources: Sequence[str]) -> bool:
        """Send what has changed; whether something waits for a hand to leave, or for the port."""
        waiting = not self._show_names(tuple(sources))
        for control in self._controls:
            wanted = self._wanted(control)
            if wanted is None or wanted == self._shown.get(id(control)):
                continue
            resting = now - self._moved_at.get(id(control), -REST_SECONDS) >= REST_SECONDS
            if id(control) in self._touched or not resting or not self._show(control, wanted):
                waiting = True
        return waiting

    def _wanted(self, control: Control) -> int | None:
        try:
            leaf = self._space.find(control.target)
        except UnknownAddress:
            return 0  # a ring goes dark
        return None if leaf.travel is None else _steps(control, control.place(leaf.position()))

    def _show(self, control: Control, steps: int) -> bool:
        sent = [self._send(message, control.port) for message in messages(control, steps)]
        if all(sent):
            self._shown[id(control)] = steps
        return all(sent)

    def _show_names(self, sources: tuple[str, ...]) -> bool:
        if not self._display or sources == self._names:
            return True
        sent = self._send(display_names(sources, _DEVICES[self._display]), self._port)
        if sent:
            self._names = sources
        return sent


def _steps(control: Control, at: float) -> int:
    """A place of 0 to 1 in the steps of what shows it."""
    if control.ring is not None:
        return 1 + round(at * 10)
    if control.type in ("cc14", "pitchbend"):
        return round(at * 16383)
    if control.type == "cc" and control.how == "absolute":
        return round(at * 127)
    return 127 if at >= 0.5 else 0


def messages(control: Control, steps: int) -> list[Any]:
    """What shows a number of steps on a control, as `mido.Message`s."""
    channel = (control.channel or 1) - 1
    if control.type == "pitchbend":
        return [mido.Message("pitchwheel", channel=channel, pitch=steps - 8192)]
    if control.type == "note":
        return [mido.Message("note_on", channel=channel, note=control.number, velocity=steps)]
    change = "control_change"
    if control.ring is not None:
        return [mido.Message(change, channel=channel, control=control.ring, value=steps)]
    if control.type == "cc14":
        assert control.number is not None
        return [
            mido.Message(change, channel=channel, control=control.number, value=steps >> 7),
            mido.Message(change, channel=channel, control=control.number + 32, value=steps & 127),
        ]
    return [mido.Message(change, channel=channel, control=control.number, value=steps)]


def display_names(sources: Sequence[str], device: int = 0x14) -> Any:
    """The upper line of a Mackie Control's display: seven characters for each strip."""
    cells = [*sources, *[""] * _STRIPS][:_STRIPS]
    text = "".join(f"{name.encode('ascii', 'replace').decode()[: _CELL - 1]:<{_CELL}}" for name in cells)
    line = bytes(byte if 32 <= byte < 127 else 63 for byte in text.encode("ascii"))
    return mido.Message("sysex", data=[0x00, 0x00, 0x66, device, 0x12, 0x00, *line])
