"""Presets: boards as files.

A preset is a TOML file; ours and the user's have the same form (`folders.data_folders`).
"""

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self
from uuid import uuid4

import msgspec
import tomlkit

from plugin_bridge.board.parameters import MIX
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.board.strip import Strip
from plugin_bridge.errors import PresetError
from plugin_bridge.folders import data_folders
from plugin_bridge.separation.catalogue import NAME

SCHEMA = 1
"""The version of the form that this program writes."""


class StripSettings(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A strip as a preset holds it."""

    gain_db: float = 0.0
    pan: float = 0.0
    mute: bool = False
    solo: bool = False
    effects: list[dict[str, Any]] = []

    @classmethod
    def of(cls, strip: Strip) -> Self:
        """The settings of a strip. Raises `TypeError` for an effect that cannot be described."""
        usual = msgspec.structs.asdict(cls())
        return cls(**{key: value for key, value in strip.to_dict().items() if value != usual[key]})

    def strip(self) -> Strip:
        """The strip with effects of its own. Raises `PresetError` for values that it refuses."""
        try:
            return Strip.from_dict({name: getattr(self, name) for name in StripSettings.__struct_fields__})
        except (TypeError, ValueError) as error:
            raise PresetError(f"a preset must hold values that a strip takes: {error}") from error


class MasterSettings(
    StripSettings, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """The master as a preset holds it: a strip, and how much of the output is processed."""

    mix: Annotated[float, msgspec.Meta(ge=MIX.lowest, le=MIX.highest)] = MIX.default

    @classmethod
    def of_board(cls, board: StemBoard) -> Self:
        """The settings of a board's master. Raises `TypeError` for an effect that cannot be described."""
        return cls(**msgspec.structs.asdict(StripSettings.of(board.master)), mix=board.mix)


class Preset(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of a stem board: its model, its strips, its master."""

    schema: int = SCHEMA
    name: str
    description: str = ""
    model: str | None = None
    strips: dict[str, StripSettings] = {}
    master: MasterSettings = MasterSettings()

    @classmethod
    def names(cls) -> list[str]:
        """Names of all presets, sorted."""
        files = (
            path for folder in data_folders("presets") for path in folder.glob("*.toml") if path.is_file()
        )
        return sorted({path.stem for path in files if NAME.fullmatch(path.stem)})

    @classmethod
    def misnamed(cls) -> list[Path]:
        """Files among the presets that no name reaches, sorted."""
        files = (path for folder in data_folders("presets") for path in folder.glob("*.toml"))
        return sorted(path for path in files if not NAME.fullmatch(path.stem))

    @classmethod
    def load(cls, name: str | os.PathLike[str]) -> Self:
        """The preset of a name, or of a path that ends in `.toml`, every effect in it tried.

        Raises `PresetError` for an unknown name, a file that is not TOML, an unknown key, or a value that a
        strip or an effect refuses.
        """
        path = _path_of(name)
        preset = cls._read(path)
        for where, settings in {**preset.strips, "master": preset.master}.items():
            try:
                settings.strip()
            except PresetError as error:
                raise PresetError(f"{path}, {where}: {error}; mend the file") from error
        return preset

    @classmethod
    def read(cls, name: str | os.PathLike[str]) -> Self:
        """As `load`, but no effect is made, and no plugin loaded: whoever builds the board will see.

        Raises `PresetError` for an unknown name, a file that is not TOML and an unknown key.
        """
        return cls._read(_path_of(name))

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise PresetError(
                f"a preset must be a readable file, got {path}: {error.strerror}; choose another"
            ) from error
        except (ValueError, RecursionError) as error:
            # Not UTF-8, not TOML, or a number or a nesting beyond all reason.
            raise PresetError(f"a preset must be TOML, got {path}: {error}; mend the file") from error
        return cls._from_values(values, path)

    @classmethod
    def _from_values(cls, values: dict[str, Any], path: Path) -> Self:
        if not values:
            raise PresetError(f"a preset must hold settings, got an empty file: {path}")
        version = values.get("schema", SCHEMA)
        if isinstance(version, int) and version > SCHEMA:
            raise PresetError(
                f"a preset must have schema {SCHEMA} or older, got {version} in {path}; update this program"
            )
        try:
            return msgspec.convert({"name": path.stem, **values}, cls)
        except msgspec.ValidationError as error:
            raise PresetError(
                f"a preset must have the known form, got {path}: {error}; mend the file"
            ) from error

    @classmethod
    def of(cls, board: StemBoard, name: str, description: str = "") -> Self:
        """The settings of a board. Raises `TypeError` for an effect that cannot be described."""
        strips = {source: StripSettings.of(strip) for source, strip in board.strips.items()}
        return cls(
            name=name,
            description=description,
            model=board.model,
            strips={source: settings for source, settings in strips.items() if settings != StripSettings()},
            master=MasterSettings.of_board(board),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the preset as TOML, aside and then renamed.

        Raises `PresetError` where it cannot, for a name that does not end in `.toml`, and for values that
        could not be loaded again.
        """
        path = Path(path)
        if path.suffix != ".toml":
            raise PresetError(
                f"a preset's file must end in .toml, got {path}; name it {path.with_suffix('.toml')}"
            )
        values = msgspec.to_builtins(self)
        try:
            msgspec.convert(values, type(self))
        except msgspec.ValidationError as error:
            raise PresetError(f"a preset must have the known form to be saved, got: {error}") from error
        set_values = {key: value for key, value in values.items() if value not in (None, {})}
        text = tomlkit.dumps({"schema": self.schema, **set_values})
        aside = path.with_name(f".preset-{uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                aside.write_text(text, "utf-8", newline="\n")
                os.replace(aside, path)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            raise PresetError(
                f"a preset must be written to a writable folder, got {path}: {error.strerror}"
            ) from error


def _path_of(name: str | os.PathLike[str]) -> Path:
    if not isinstance(name, str) or name.endswith(".toml"):
        return Path(name)
    if NAME.fullmatch(name):
        for folder in data_folders("presets"):
            if (folder / f"{name}.toml").is_file():
                return folder / f"{name}.toml"
    known = Preset.names()
    near = get_close_matches(name, known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known presets: {', '.join(known)}"
    raise PresetError(f"a preset must be a known name or a .toml file, got '{name}'; {remedy}")
