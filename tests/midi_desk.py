"""A desk under MIDI hands, without any port: messages go in as if they had come from a device."""

from __future__ import annotations

from typing import Any

import mido

from plugin_bridge.control.address_space import AddressSpace, Arguments, Leaf
from plugin_bridge.control.midi_hands import Hands
from plugin_bridge.control.midi_input import Decoder
from plugin_bridge.control.midi_map import Control
from tests.control_desk import Desk


class HandsOnDesk:
    """Hands on a desk by a list of controls; `told` and `performed` are what they said and asked for."""

    def __init__(self, *controls: Control) -> None:
        self.desk = Desk()
        self.space = AddressSpace(self.desk)
        self.told: list[str] = []
        self.performed: list[tuple[str, Arguments]] = []
        self.hands = Hands(self.space, self._perform, self.told.append)
        self._decoder = Decoder(controls)

    def _perform(self, leaf: Leaf, arguments: Arguments) -> None:
        self.performed.append((leaf.path, arguments))

    def send(self, *messages: Any) -> None:
        """Act on messages, one after another."""
        for message in messages:
            for gesture in self._decoder.hear(message, "", 0.0):
                self.hands.act(gesture)

    def at(self, path: str) -> Any:
        """What an address holds."""
        return self.space.find(path).arguments()[0]

    def set(self, path: str, argument: Any) -> None:
        """Move an address as another hand does."""
        self.space.set(self.space.find(path), (argument,))


def change(number: int, value: int) -> mido.Message:
    """A control change on channel 1."""
    return mido.Message("control_change", control=number, value=value)


def note(number: int, velocity: int = 127) -> mido.Message:
    """A note on channel 1; off with a velocity of 0."""
    return mido.Message("note_on", note=number, velocity=velocity)
