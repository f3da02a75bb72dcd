"""Standard MIDI files as automation: the moves that a recorded MIDI performance makes of a board."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import mido
import msgspec

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.control.address_space import AddressSpace, Arguments, Leaf
from plugin_bridge.control.commands import Commands, Event
from plugin_bridge.control.midi_hands import Hands
from plugin_bridge.control.midi_input import Decoder, Gesture
from plugin_bridge.control.midi_map import MidiMap

DatedMove = tuple[float, Key, Value]
"""Seconds from the start of the file, and what moves where."""


def smf_moves(
    path: str | os.PathLike[str],
    midi_map: MidiMap,
    sources: Sequence[str],
    parameters: Mapping[Key, Parameter],
    values: Mapping[Key, Value] | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[DatedMove]:
    """The moves that a MIDI file makes by a map, in order of time, by the file's own tempos.

    `values` are where the parameters stand at the start, by default at their defaults. Faders take hold at
    once; commands, such as loading presets, are left out and told by `tell`, as are targets that the board
    lacks. Raises `ValueError` for a file that is no standard MIDI file, or one of several songs (type 2).
    """
    song = _song(path)
    paper = _Paper(sources, parameters, values or {})
    controls = [msgspec.structs.replace(control, pickup=False) for control in midi_map.control]
    decoder = Decoder(controls)

    def leave_out(leaf: Leaf, arguments: Arguments) -> None:
        hands.tell_once(f"{leaf.path} is left out of the automation: it is a command, not a move")

    hands = Hands(AddressSpace(paper.as_commands()), leave_out, tell)

    def acted(gestures: list[Gesture], seconds: float) -> Iterator[DatedMove]:
        for gesture in gestures:
            hands.act(gesture)
        for key, value in paper.taken():
            yield seconds, key, value

    now = 0.0
    for message in song:
        now += message.time
        while (due := decoder.due) <= now:
            yield from acted(decoder.late(due), due)
        yield from acted(decoder.hear(message, "", now), now)
    while (due := decoder.due) < math.inf:
        yield from acted(decoder.late(due), due)


def _song(path: str | os.PathLike[str]) -> list[Any]:
    """The messages, each with the seconds since the one before."""
    shown = os.fspath(path)
    try:
        song = mido.MidiFile(path, clip=True)
        if song.type == 2:
            raise ValueError("several songs in one file (type 2)")
        return list(song)
    except FileNotFoundError as error:
        raise ValueError(f"a MIDI file must exist, got {shown}") from error
    except (OSError, EOFError, ValueError, LookupError, ZeroDivisionError, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"a MIDI file must be a standard MIDI file, got {shown}: {reason}") from error


class _Paper:
    """A board on paper: it takes moves as the server does, and gives them to whoever asks."""

    bypass = ping_mode = False
    model = ""
    preset = ("", False)
    sample_rate = 0

    def __init__(
        self, sources: Sequence[str], parameters: Mapping[Key, Parameter], values: Mapping[Key, Value]
    ) -> None:
        self.sources, self.parameters = tuple(sources), parameters
        self.values = {key: values.get(key, each.default) for key, each in parameters.items()}
        self._moves: list[tuple[Key, Value]] = []

    def as_commands(self) -> Commands:
        """Itself; an address space asks a board on paper for no more than it has."""
        return cast(Commands, self)

    def move(self, moves: Sequence[tuple[Key, Value]], seconds: float | None = None) -> None:
        """Take all values, brought into their ranges."""
        clipped = [(key, self.parameters[key].clipped(value)) for key, value in moves]
        self.values.update(clipped)
        self._moves += clipped

    def taken(self) -> list[tuple[Key, Value]]:
        """The moves since the last call."""
        taken, self._moves = self._moves, []
        return taken

    def watch(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Nothing happens by itself on paper."""
        return lambda: None

    def set_bypass(self, on: bool) -> None:
        """A render has no bypass: say so. Raises `ValueError`."""
        raise ValueError("the bypass of the whole engine has no place in a render; mute or mix instead")

    def set_ping_mode(self, on: bool) -> None:
        """A render has no latency ping. Raises `ValueError`."""
        raise ValueError("a latency ping has no place in a render")
