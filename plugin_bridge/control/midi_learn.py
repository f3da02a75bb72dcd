"""Learning: the next control that is moved becomes the one that moves a target, in a map of the user's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import msgspec
import tomlkit
from tomlkit.items import AoT, Array

from plugin_bridge.control.midi_map import (
    SCHEMA,
    Control,
    Mode,
    map_names,
    map_path,
    parse_map,
    user_maps_folder,
)

_COARSE_CONTROLLERS = 32
_PAIR_SECONDS = 0.1
"""How long a controller's fine half may be behind its coarse one here: hands learn, not machines."""
_TOUCH_SECONDS = 1.0
"""How long a note may be the touch of a fader that is about to move."""
_TELLING = ("note_on", "control_change", "pitchwheel", "program_change", "aftertouch")


class Learner:
    """Listens until it knows which control is moved.

    A fine half makes a controller one of 14 bits; a note before a pitch bend is a hand that touches the
    fader. `any_program` is for targets that take the program's number.
    """

    def __init__(self, target: str, any_program: bool = False) -> None:
        self._target, self._any_program = target, any_program
        self._port, self._first, self._then = "", None, None
        self._since = 0.0
        self._released = False

    def hear(self, message: Any, port: str, now: float) -> None:
        """Take a message that came in at a port, `now` in seconds."""
        first = self._first
        if first is None:
            if message.type in _TELLING and not _is_release(message):
                self._port, self._first, self._since = port, message, now
        elif port == self._port and self._then is None:
            if _is_fine_half(message, first) or (first.type == "note_on" and message.type == "pitchwheel"):
                self._then = message
            elif _is_release(message):
                self._released = True

    def knows(self, now: float) -> bool:
        """Whether what was moved is known."""
        if self._first is None:
            return False
        if self._then is not None or self._released:
            return True
        if self._first.type == "note_on":
            return now >= self._since + _TOUCH_SECONDS
        is_coarse = self._first.type == "control_change" and self._first.control < _COARSE_CONTROLLERS
        return not is_coarse or now >= self._since + _PAIR_SECONDS

    def control(self, mode: str | None = None) -> Control:
        """What was moved, as a map has it. Raises `ValueError` for a mode that the control cannot have."""
        values: dict[str, Any] = {"target": self._target, **self._source()}
        if self._port:
            values["port"] = self._port
        if mode:
            values["mode"] = mode
        try:
            return msgspec.convert(values, Control)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    def _source(self) -> dict[str, Any]:
        first, then = self._first, self._then
        assert first is not None
        channel = first.channel + 1
        match first.type:
            case "control_change":
                kind = "cc14" if then is not None else "cc"
                return {"type": kind, "channel": channel, "number": first.control}
            case "note_on" if then is not None:
                touch = {"touch": first.note} if channel == 1 else {}
                return {"type": "pitchbend", "channel": then.channel + 1, **touch}
            case "note_on":
                return {"type": "note", "channel": channel, "number": first.note}
            case "program_change" if not self._any_program:
                return {"type": "program", "channel": channel, "number": first.program + 1}
            case "program_change":
                return {"type": "program", "channel": channel}
            case "pitchwheel":
                return {"type": "pitchbend", "channel": channel}
        return {"type": "aftertouch", "channel": channel}


def _is_release(message: Any) -> bool:
    return bool(message.type == "note_off" or (message.type == "note_on" and message.velocity == 0))


def _is_fine_half(message: Any, coarse: Any) -> bool:
    if not coarse.type == message.type == "control_change" or coarse.control >= _COARSE_CONTROLLERS:
        return False
    fine = (coarse.channel, coarse.control + _COARSE_CONTROLLERS)
    return bool((message.channel, message.control) == fine)


def check_target(target: str, name: str, mode: str | None) -> None:
    """See that what shall be learned can be written. Raises `ValueError` as `write_control` does."""
    _text(name, user_maps_folder() / f"{name}.toml")
    if mode is not None and mode not in get_args(Mode):
        raise ValueError(f"a control's mode must be one of {', '.join(get_args(Mode))}, got '{mode}'")
    Control(target=target, type="cc", number=0)


def described(control: Control) -> str:
    """A control in words.

    >>> described(Control(target="/stem/1/fader", type="cc", number=20, channel=1))
    'CC 20 on channel 1'
    """
    names = {"cc": "CC", "cc14": "CC", "pitchbend": "pitch bend"}
    words = [names.get(control.type, control.type)]
    if control.number is not None:
        words.append(str(control.number))
    if control.type == "cc14":
        words.append("with its fine half")
    if control.channel is not None:
        words.append(f"on channel {control.channel}")
    if control.port:
        words.append(f"of '{control.port}'")
    return " ".join(words)


def write_control(control: Control, name: str, system: str = "") -> tuple[Path, list[Control]]:
    """Enter a control in the user's map of a name; the file, and the controls it takes the place of.

    A map that is new belongs to `system`.
    Whatever moved the same target, and whatever else the same control moved, makes room. Comments stay. The
    file is written aside and then renamed. Raises `ValueError` for a malformed map or name, or a file that
    cannot be written.
    """
    path = user_maps_folder() / f"{name}.toml"
    before = _text(name, path, system)
    replaced = [each for each in parse_map(before, path).control if _makes_room(each, control)]
    text = _entered(before, control)
    parse_map(text, path)  # what is written must be read again
    _write(path, text)
    return path, replaced


def _makes_room(old: Control, new: Control) -> bool:
    return old.target == new.target or old.overlaps(new)


def _text(name: str, path: Path, system: str = "") -> str:
    """The map as it is, the shipped one of that name, or an empty one."""
    if path.stem != name or not name or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-"):
        raise ValueError(f"a MIDI map's name must match [a-z0-9_-]+, got '{name}'")
    if name not in map_names():
        of = f'system = "{system}"\n' if system else ""
        return f'schema = {SCHEMA}\nname = "{name}"\ndescription = "learned"\n{of}'
    try:
        return map_path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a MIDI map must be a readable file, got {map_path(name)}: {error}") from error


def _entered(text: str, control: Control) -> str:
    document = tomlkit.parse(text)
    entries = document.get("control")
    if entries is None:
        entries = tomlkit.aot()
        document["control"] = entries
    assert isinstance(entries, AoT | Array)
    for index in reversed(range(len(entries))):
        if _makes_room(msgspec.convert(entries[index].unwrap(), Control), control):
            del entries[index]
    values = {key: value for key, value in msgspec.to_builtins(control).items() if value is not None}
    if isinstance(entries, AoT):
        entries.append(tomlkit.item(values))
    else:
        inline = tomlkit.inline_table()
        inline.update(values)
        entries.add_line(inline, indent="    ")
    return tomlkit.dumps(document)


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".midi-{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, "utf-8", newline="\n")
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"a MIDI map must be written to a writable folder, got {path}: {error.strerror}"
        ) from error
