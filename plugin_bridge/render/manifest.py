"""What made the stems in a folder: enough to know, later, whether they are still the right ones."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import msgspec

from plugin_bridge.render.naming import glob_patterns

SCHEMA = "plugin-bridge/manifest/1"


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a render depends on; equal origins give equal files."""

    source_sha256: str
    model: str
    model_sha256: str
    preset: str | None
    preset_sha256: str | None
    settings: dict[str, object]

    def sounds_like(self, other: "Origin") -> bool:
        """Whether both are of one render, but for the choice of what is written."""
        mine, its = ({**each.settings, "stems": None, "mix": None} for each in (self, other))
        return msgspec.structs.replace(self, settings=mine) == msgspec.structs.replace(other, settings=its)


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: its path from the manifest's folder, its size and its hash."""

    path: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record beside a song's stems. `earlier` names files of former renders that still lie here.

    `song` is the name under which the source was rendered, with the number that told it from others.
    """

    schema: str = SCHEMA
    source: str
    song: str = ""
    origin: Origin
    outputs: list[Output]
    earlier: list[str] = msgspec.field(default_factory=list)
    version: str

    def holds(self, origin: Origin, folder: Path) -> bool:
        """Whether the files in `folder` are whole, unaltered and of this origin."""
        return self.origin == origin and all(_is_unaltered(folder / its.path, its) for its in self.outputs)

    def unaltered(self, folder: Path) -> list[str]:
        """The outputs that lie in `folder` exactly as they were written."""
        return [its.path for its in self.outputs if _is_unaltered(folder / its.path, its)]

    def paths(self) -> list[str]:
        """Every file that renders wrote here, former ones too."""
        return [*(output.path for output in self.outputs), *self.earlier]


def read_manifest(path: Path) -> Manifest | None:
    """A manifest, or None where there is none that can be read: then its stems count as unknown files."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return manifest if manifest.schema == SCHEMA and not any(map(_climbs, manifest.paths())) else None


def record(path: Path, relative: PurePath) -> Output:
    """The entry of a file that lies at `path` and will lie at `relative`."""
    return Output(path=relative.as_posix(), bytes=path.stat().st_size, sha256=sha256_of(path))


def sha256_of(path: Path) -> str:
    """The hash of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rendered_files(folder: Path) -> set[Path]:
    """All files below `folder` that its manifests name as ours, resolved."""
    manifests = folder.rglob("*manifest.json")
    return {(place / name).resolve() for place, its in _manifests(manifests) for name in its.paths()}


def rendered_names(output: Path, template: str) -> dict[str, str]:
    """The names that the manifests of renders with a template give to their sources."""
    patterns = glob_patterns(template, "*manifest.json")
    found = (path for pattern in patterns for path in output.glob(pattern))
    return {its.source: its.song for _, its in _manifests(found)}


def _manifests(paths: Iterable[Path]) -> Iterator[tuple[Path, Manifest]]:
    for path in sorted(paths):
        manifest = read_manifest(path)
        if manifest is not None:
            yield path.parent, manifest


def _climbs(name: str) -> bool:
    """Whether a path leads out of the manifest's folder, as none of ours does."""
    path = PurePath(name)
    return path.is_absolute() or bool(path.drive) or ".." in path.parts


def _is_unaltered(path: Path, output: Output) -> bool:
    try:
        return path.stat().st_size == output.bytes and sha256_of(path) == output.sha256
    except OSError:
        return False
