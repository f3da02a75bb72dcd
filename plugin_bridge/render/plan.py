"""Where everything of a song goes, what it is made with, and what may be replaced there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from plugin_bridge import __version__
from plugin_bridge.errors import AudioFileError
from plugin_bridge.render import naming
from plugin_bridge.render.blocks import Board
from plugin_bridge.render.manifest import Manifest, Origin, Output, read_manifest, record
from plugin_bridge.render.reader import SourceFile
from plugin_bridge.render.report import Report, to_json
from plugin_bridge.render.settings import Settings
from plugin_bridge.render.staging import Staging

MIX = "mix"
"""The name under which the sum through the master is written."""


@dataclass(frozen=True)
class Song:
    """One source file, and the name, unlike every other's, under which its stems go to `output`."""

    path: Path
    name: str
    output: Path
    folder: str = ""


@dataclass(frozen=True)
class Voicing:
    """What the board is made of, as reports and manifests state it."""

    model: str
    model_sha256: str
    preset: str | None = None
    preset_sha256: str | None = None


@dataclass(frozen=True)
class Policy:
    """What happens where files already lie: `resume` keeps what is right, `force` redoes everything.

    `sources` are the identities of all files that the job reads; none of them is ever replaced. Raises
    `ValueError` for `resume` and `force` at once.
    """

    resume: bool = False
    force: bool = False
    sources: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        if self.resume and self.force:
            raise ValueError("only one of resume and force can be meant, got both; choose one")


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from every other, whatever its names are; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Plan:
    """Where everything of a song goes, and what it is made with."""

    def __init__(
        self, song: Song, board: Board, voicing: Voicing, settings: Settings, source: SourceFile
    ) -> None:
        self.song, self.voicing, self.settings = song, voicing, settings
        self.stems = settings.written(board.sources)
        self.names = (*self.stems, MIX) if settings.mix else self.stems
        self.rows = [board.sources.index(name) for name in self.stems]
        self.null_reason = _null_reason(board, settings, self.stems)
        self.channels = source.channels
        self.sample_rate = settings.sample_rate or source.sample_rate
        self.frames = source.frames
        if self.sample_rate != source.sample_rate:
            self.frames = round(source.frames * self.sample_rate / source.sample_rate)
        fields = self._fields(MIX)
        self._report = song.output / naming.sidecar_path(settings.name, fields, "report")
        self._manifest = song.output / naming.sidecar_path(settings.name, fields, "manifest")
        self.folder = self._manifest.parent
        self.targets = {name: song.output / self._relative(name) for name in self.names}

    def check(self, policy: Policy) -> None:
        """Raise `AudioFileError` when the format cannot hold a song, or a source would be replaced."""
        try:
            self.settings.check_rate(self.sample_rate)
        except ValueError as error:
            raise AudioFileError(f"{naming.display(self.song.path)}: {error}") from error
        if self.settings.format == "flac" and not self.frames:
            raise AudioFileError(
                f"{naming.display(self.song.path)} must have frames to be FLAC, got none; use format wav"
            )
        for path in self._written():
            if self._is_source(path, policy):
                raise AudioFileError(
                    f"{naming.display(path)} must not be replaced, it is a source of this render; "
                    "choose another output or name"
                )

    def origin(self, source_sha256: str) -> Origin:
        """All that the files depend on."""
        return Origin(
            source_sha256=source_sha256,
            model=self.voicing.model,
            model_sha256=self.voicing.model_sha256,
            preset=self.voicing.preset,
            preset_sha256=self.voicing.preset_sha256,
            settings=self.settings.as_dict(),
        )

    def kept(self, origin: Origin, policy: Policy) -> Report | None:
        """The report of files that are there and right already, if `resume` asks for it.

        Raises `AudioFileError` for files that neither `resume` nor `force` allows to be replaced.
        """
        if policy.force:
            return None
        manifest = read_manifest(self._manifest) if policy.resume else None
        ours: set[Path] = set()
        if manifest is not None:
            self._check_song(manifest, origin)
            report = self._earlier_report()
            if report is not None and manifest.holds(origin, self.folder):
                return report
            ours = {self._report, self._manifest, *(self.folder / name for name in manifest.paths())}
        there = [path for path in self._written() if os.path.lexists(path) and path not in ours]
        if there:
            got, remedy = "a file", "keep what is done with resume, replace it with force"
            if policy.resume:
                got, remedy = "a file that no manifest of this song names", "replace it with force"
            raise AudioFileError(
                f"{naming.display(there[0])} must not exist yet, got {got}; {remedy}, "
                "or choose another output"
            )
        return None

    def former(self, origin: Origin, policy: Policy) -> tuple[list[Path], list[str]]:
        """What earlier renders left here and this one does not replace: files to remove, names of the rest.

        Only what this song's manifest proves to be unaltered is removed; other stems of an equal render stay.
        """
        before = read_manifest(self._manifest)
        if before is None:
            return [], []
        is_stale = self._is_this_song(before, origin) and not before.origin.sounds_like(origin)
        removable = set(before.unaltered(self.folder)) if is_stale else set()
        replaced = {self.beside(path).casefold() for path in self.targets.values()}
        remove, keep = [], []
        for name in sorted(set(before.paths())):
            path = self.folder / name
            if name.casefold() in replaced or not path.exists():
                continue
            if name in removable and not self._is_source(path, policy):
                remove.append(path)
            else:
                keep.append(name)
        return remove, keep

    def write_sidecars(self, staging: Staging, report: Report, origin: Origin) -> None:
        """The report, then the manifest: where it stands, everything it names stands already."""
        outputs = [self._record(staging, path) for path in self.targets.values()]
        staging.write(self._report, to_json(report))
        manifest = Manifest(
            source=naming.display(self.song.path.absolute()),
            song=self.song.name,
            origin=origin,
            outputs=outputs,
            earlier=report.earlier_kept,
            version=__version__,
        )
        staging.write(self._manifest, to_json(manifest))

    def history(self, stem: str) -> str:
        """A stem's line of coding history (EBU R 98)."""
        mode = "mono" if self.channels == 1 else "stereo"
        encoding = self.settings.encoding
        return (
            f"A={'FLOAT' if encoding.is_float else 'PCM'},F={self.sample_rate},W={encoding.bits},M={mode},"
            f"T=plugin-bridge {__version__};{self.voicing.model};{stem}"
        )

    def _written(self) -> list[Path]:
        return [*self.targets.values(), self._report, self._manifest]

    def _is_source(self, path: Path, policy: Policy) -> bool:
        its = identity(path)
        return its is not None and (its in policy.sources or its == identity(self.song.path))

    def _is_this_song(self, manifest: Manifest, origin: Origin) -> bool:
        same_path = manifest.source == naming.display(self.song.path.absolute())
        return same_path or manifest.origin.source_sha256 == origin.source_sha256

    def _check_song(self, manifest: Manifest, origin: Origin) -> None:
        if not self._is_this_song(manifest, origin):
            raise AudioFileError(
                f"{naming.display(self.folder)} must be free for {naming.display(self.song.path)}, "
                f"got the stems of {manifest.source}; "
                "choose another output or name, or replace them with force"
            )

    def _earlier_report(self) -> Report | None:
        try:
            earlier = msgspec.json.decode(self._report.read_bytes(), type=Report)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None  # a song whose report is gone is rendered again
        here = {"source": naming.display(self.song.path), "folder": naming.display(self.folder)}
        return msgspec.structs.replace(earlier, status="skipped", **here)

    def _record(self, staging: Staging, path: Path) -> Output:
        return record(staging.temporary(path), PurePosixPath(self.beside(path)))

    def beside(self, path: Path) -> str:
        """A file's path from the folder of the report and the manifest."""
        return path.relative_to(self.folder).as_posix()

    def _relative(self, stem: str) -> PurePosixPath:
        return naming.relative_path(self.settings.name, self._fields(stem))

    def _fields(self, stem: str) -> Mapping[str, str]:
        encoding = self.settings.encoding
        return {
            "song": self.song.name,
            "stem": stem,
            "ext": self.settings.format,
            "folder": self.song.folder,
            "model": self.voicing.model,
            "preset": self.voicing.preset or "",
            "rate": str(self.sample_rate),
            "bits": f"{encoding.bits}{'f' if encoding.is_float else ''}",
        }


def _null_reason(board: Board, settings: Settings, stems: tuple[str, ...]) -> str | None:
    if not board.is_neutral:
        return f"the {'automation' if settings.automation else 'preset'} alters the sound"
    if stems != board.sources:
        return "not all stems were written"
    return None
