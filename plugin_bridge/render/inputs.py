"""From what was named on the command line to the songs to render."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.render.manifest import rendered_files, rendered_names
from plugin_bridge.render.naming import DEFAULT_TEMPLATE, display, distinct, song_name
from plugin_bridge.render.plan import Song

SOUND_ENDINGS = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc"}
    | {".flac", ".ogg", ".oga", ".opus", ".mp3", ".caf", ".au", ".snd"}
)
"""What counts as a sound file inside a folder; a file named by itself may have any ending."""


@dataclass(frozen=True)
class Found:
    """A song to render, or the one sentence that says why there is none."""

    path: Path
    song: Song | None = None
    error: str | None = None


def find_songs(inputs: Iterable[Path], output: Path, template: str = DEFAULT_TEMPLATE) -> list[Found]:
    """Every song once, in the order named; folders are searched through, without the stems rendered earlier.

    Files of one name get apart by a number, in that order; those rendered earlier keep theirs.
    """
    found = list(_once(place for path in inputs for place in _places(path)))
    files = [place for place in found if place.error is None]
    paths = [place.path for place in files]
    before = rendered_names(output, template)
    former = [before.get(display(path.absolute()), "") for path in paths]
    names = dict(zip(paths, distinct([song_name(path) for path in paths], former), strict=True))
    return [
        Found(place.path, error=place.error)
        if place.error is not None
        else Found(place.path, Song(place.path, names[place.path], output, place.folder))
        for place in found
    ]


@dataclass(frozen=True)
class _Place:
    path: Path
    folder: str = ""
    error: str | None = None


def _places(path: Path) -> Iterator[_Place]:
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name longer than the system takes
        yield _Place(path, error=f"{display(path)} must be a file or folder, got: {error.strerror}")
        return
    if not is_folder:
        yield _Place(path)
        return
    ours = rendered_files(path)
    files, refused = _files(path)
    sounds = [file for file in files if file.suffix.lower() in SOUND_ENDINGS]
    songs = [file for file in sounds if file.resolve() not in ours]
    for refusal in refused:
        folder = Path(refusal.filename or path)
        yield _Place(folder, error=f"{display(folder)} must be readable, got: {refusal.strerror}")
    if not songs and not refused:
        kind = "stems of earlier renders only" if sounds else "none"
        yield _Place(path, error=f"{display(path)} must hold sound files, got {kind}; name another")
    for file in songs:
        yield _Place(file, file.parent.relative_to(path).as_posix().removeprefix("."))


def _files(folder: Path) -> tuple[list[Path], list[OSError]]:
    """All files below a folder, hidden ones left out, in one order on every system; and what refused."""
    files: list[Path] = []
    refused: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=refused.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    found = [path for path in files if path.is_file()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix()), refused


def _once(places: Iterable[_Place]) -> Iterator[_Place]:
    seen: set[Path] = set()
    for place in places:
        real = place.path.resolve()
        if real not in seen:
            seen.add(real)
            yield place
