"""Automation: what was moved on a board, each change at its frame.

A recording is a text file, one JSON value on each line: first a header with the sample rate and the board as
it was, then one line for each change. What is written stays readable whenever the recording ends.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple, Self

import msgspec

from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.board.preset import MasterSettings, Preset, StripSettings
from plugin_bridge.errors import PresetError

SCHEMA = "plugin-bridge/automation/1"

_LONGEST_HEADER, _LONGEST_LINE = 1 << 26, 1 << 16  # bytes; a header holds the states of hosted plugins
_NANOSECONDS = 10**9
_INFINITE = {"-inf": -math.inf, "inf": math.inf}


class Change(NamedTuple):
    """A parameter's new target, from a frame on; `line` is where the file says so, 0 for none.

    Below 0 are frames from before the recording began, whose change was still to be heard then.
    """

    frame: int
    key: Key
    value: Value
    line: int = 0


class _Header(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    schema: str
    sample_rate: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    model: str | None = None
    strips: dict[str, StripSettings] = {}
    master: MasterSettings = MasterSettings()


class _Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    frame: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    strip: str
    slot: Annotated[int, msgspec.Meta(ge=0, le=2**16)] | None
    name: str
    value: float | bool | str


@dataclass(frozen=True)
class Automation:
    """Changes in the order of their frames at `sample_rate`, and the board they were made on, if known.

    `warning` is one sentence on what was lost of the file, where something was.
    """

    changes: tuple[Change, ...]
    sample_rate: int
    preset: Preset | None = None
    name: str = "automation"
    warning: str = ""

    @classmethod
    def of_moves(cls, moves: Iterable[tuple[float, Key, Value]], name: str = "automation") -> Self:
        """The automation of moves at times in seconds, such as those of a MIDI file."""
        changes = [Change(round(seconds * _NANOSECONDS), key, value) for seconds, key, value in moves]
        return cls(_in_order(changes), _NANOSECONDS, name=name)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The automation of a recording; a last line that was cut off is left out with a `warning`.

        Raises `PresetError` for a file that cannot be read or is no recording, naming the line.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                header = _header(file, path)
                changes, warning = _changes(file, path)
        except OSError as error:
            raise PresetError(
                f"an automation must be a readable file, got {path}: {error.strerror}; choose another"
            ) from error
        strips = {name: strip for name, strip in header.strips.items() if strip != StripSettings()}
        preset = Preset(name=path.stem, model=header.model, strips=strips, master=header.master)
        return cls(_in_order(changes), header.sample_rate, preset, str(path), warning)

    def fitted(self, parameters: Mapping[Key, Parameter]) -> Self:
        """The same changes, brought into the ranges of a board's parameters.

        Raises `PresetError` for a parameter that the board lacks or a value that it cannot have.
        """
        return replace(self, changes=tuple(self._fit(change, parameters) for change in self.changes))

    def _fit(self, change: Change, parameters: Mapping[Key, Parameter]) -> Change:
        parameter = parameters.get(change.key)
        where = f"{self.name}, line {change.line}" if change.line else self.name
        if parameter is None:
            raise PresetError(
                f"{where}: a change must move what the board has, got {change.key.said()}; "
                "choose the model and the preset that it was made with"
            )
        try:
            return change._replace(value=parameter.clipped(change.value))
        except (TypeError, ValueError) as error:
            raise PresetError(f"{where}: {error}") from error

    def at(self, sample_rate: float, start_seconds: float = 0.0) -> Iterator[Change]:
        """The changes with their frames in a signal in which the automation starts after some seconds.

        Frames before the signal are negative.
        """
        for change in self.changes:
            seconds = change.frame / self.sample_rate + start_seconds
            yield change._replace(frame=round(seconds * sample_rate))

    @property
    def sha256(self) -> str:
        """The hash of the changes: equal ones sound alike on one board."""
        content = [(change.frame, change.key, _writable(change.value)) for change in self.changes]
        return hashlib.sha256(msgspec.json.encode((self.sample_rate, content))).hexdigest()


def _in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: change.frame))  # stable: the last of one frame counts


def _header(file: BinaryIO, path: Path) -> _Header:
    line = file.readline(_LONGEST_HEADER)
    try:
        values = msgspec.json.decode(line)
        version = values.get("schema") if isinstance(values, dict) else None
        if version != SCHEMA:
            raise msgspec.ValidationError(f"its schema is {version!r}")
        header = msgspec.convert(_readable(values), _Header)
        for settings in (*header.strips.values(), header.master):
            settings.strip()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PresetError(
            f"{path}, line 1: an automation must begin with a header of schema {SCHEMA}, got: "
            f"{_short(error)}; record it anew"
        ) from error
    except PresetError as error:
        raise PresetError(f"{path}, line 1: {error}") from error
    return header


def _changes(file: BinaryIO, path: Path) -> tuple[list[Change], str]:
    changes: list[Change] = []
    decoder = msgspec.json.Decoder(_Line)
    number = 1
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if not line.strip():
            continue
        try:
            its = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if not line.endswith(b"\n") and not file.read(1):
                return changes, f"{path}, line {number}: the recording was cut off here; the rest is whole"
            raise PresetError(
                f"{path}, line {number}: a change must have a frame, a strip, a slot, a name and a value, "
                f"got: {_short(error)}; mend the line or remove it"
            ) from error
        key = Key(its.strip, its.slot, its.name)
        changes.append(Change(its.frame, key, _readable(its.value), number))
    return changes, ""


def _short(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 200 else words[:200] + "…"


def _writable(value: Any) -> Any:
    """Data with words for what JSON has no numbers for."""
    if isinstance(value, dict):
        return {key: _writable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(each) for each in value]
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_readable(each) for each in value]
    return _INFINITE.get(value, value) if isinstance(value, str) else value


class AutomationWriter:
    """Records changes to a new file, each as a line of its own that is handed to the system at once.

    `strips` and `master` are the board as data, as in a preset. When the program dies, the last line at
    most is lost. Raises `PresetError` for a file that is there already or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        model: str | None,
        strips: Mapping[str, Mapping[str, Any]],
        master: Mapping[str, Any],
    ) -> None:
        self._path, self._end = Path(path), 0
        board = {"strips": {name: dict(strip) for name, strip in strips.items()}, "master": dict(master)}
        values = {"schema": SCHEMA, "sample_rate": sample_rate, **board}
        header = msgspec.convert(values if model is None else {**values, "model": model}, _Header)
        try:
            self._file = self._path.open("xb", buffering=0)
        except FileExistsError as error:
            raise PresetError(
                f"a recording must go to a new file, got {path}, which is there already; choose another name"
            ) from error
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._write(msgspec.to_builtins(header))
        except PresetError:
            self._file.close()
            raise

    def write(self, frame: int, key: Key, value: Value) -> None:
        """Record that a parameter has a new target from a frame on, counted from the recording's start.

        What is moved as the recording starts may count from a frame before it.

        Raises `PresetError` when the disk refuses; the file then ends with the line before.
        """
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"a change must have a value, got {value} for {key.said()}")
        its = {"frame": frame, "strip": key.strip, "slot": key.slot, "name": key.name, "value": value}
        self._write(its)

    def _write(self, values: Mapping[str, Any]) -> None:
        line = memoryview(msgspec.json.encode(_writable(values)) + b"\n")
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            # Half a line in the middle would make everything after it unreadable.
            with suppress(OSError):
                self._file.seek(self._file.truncate(self._end))
            raise self._refused(error) from error
        self._end += len(line)

    def _refused(self, error: OSError) -> PresetError:
        return PresetError(f"a recording must be written, got {self._path}: {error.strerror}; choose another")

    def close(self) -> None:
        """Have everything on the disk and end."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
