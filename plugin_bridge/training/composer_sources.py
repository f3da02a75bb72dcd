"""Where the composer's sounds come from, under which licence, and what each composed song used of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

TABLE = "composer_sources.toml"
Role = Literal["scores", "grooves", "bass", "keys", "hits", "vocals", "tracks"]
AUDIO = (".wav", ".flac", ".ogg")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One collection of material.

    `share` weighs it against others of its role. `octave` is what must be added to the octaves in the names
    of single notes, where it is not to be measured.
    """

    name: str
    role: Role
    folder: str
    licence: str
    note: str = ""
    share: float = 1.0
    octave: int | None = None


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    source: list[Source]


@dataclass(frozen=True)
class Use:
    """A file that a composed song is made of."""

    stem: str
    source: str
    licence: str
    file: str


def read_sources(data: Path) -> list[Source]:
    """The table of sources for a folder: its own where it has one, else ours.

    Raises `ValueError` for a folder that is not there or a table that does not read.
    """
    if not data.is_dir():
        raise ValueError(f"the composer's data must be a folder, got '{data}'; check the path")
    path = data / TABLE
    if not path.is_file():
        path = Path(__file__).with_name(TABLE)
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Table).source
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a table of sources, got '{error}'") from error


def files(data: Path, source: Source, suffixes: Iterable[str] = AUDIO) -> list[Path]:
    """Every file of a source, in a fixed order; none where the folder lacks it."""
    return sorted(path for path in (data / source.folder).rglob("*") if path.suffix.lower() in suffixes)


def notes(data: Path, uses: Iterable[Use]) -> dict[str, str]:
    """What the table of sources has to add to the licences of those that were used."""
    used = {use.source for use in uses}
    return {source.name: source.note for source in read_sources(data) if source.note and source.name in used}


def licences(uses: Iterable[Use]) -> dict[str, list[str]]:
    """Each licence met with, and the sources under it: what a model card has to name."""
    found: dict[str, set[str]] = {}
    for use in uses:
        found.setdefault(use.licence, set()).add(use.source)
    return {licence: sorted(names) for licence, names in sorted(found.items())}
