"""Songs with stems on disk: which files hold which source, checked before anything is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from plugin_bridge.errors import AudioFileError
from plugin_bridge.separation.separator import Audio

SUFFIXES = (".wav", ".flac", ".ogg")
"""Kinds of stem files that a folder of songs may hold, the first one found winning."""


@dataclass(frozen=True)
class Track:
    """Where one recording lies: a file, and within it one channel or one stream of a container."""

    path: Path
    channel: int | None = None
    """Zero-based channel, where the file's channels are different recordings."""
    stream: int | None = None
    """Zero-based stream of a `.stem.mp4`."""


@dataclass(frozen=True)
class Song:
    """One song: for each source the recordings that sum to it, all of one length and rate.

    A source without recordings is silent throughout.
    """

    name: str
    stems: Mapping[str, tuple[Track, ...]]
    frames: int
    sample_rate: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in the order that was asked for."""
        return tuple(self.stems)

    @property
    def tracks(self) -> list[Track]:
        """Every recording of the song."""
        return [track for tracks in self.stems.values() for track in tracks]


def find_songs(folder: Path, sources: Sequence[str], *, silent: Sequence[str] = ()) -> list[Song]:
    """The songs of a folder, in whichever layout it is kept, in the order of their names.

    Understood are a folder for each song (MUSDB18-HQ among them), MUSDB18's `.stem.mp4` files and
    MIR-1K, as published or split into `voice` and `accompaniment`. Of two sources `vocals` and
    `accompaniment`, the second is the sum of all but the vocals where a song has more stems.
    Sources named in `silent` may be missing from a song and are silence there.
    Raises `AudioFileError` where a file is missing, unreadable, or of another length or rate than its
    song; `ValueError` where the folder holds no songs at all.
    """
    from plugin_bridge.training import mir1k, musdb

    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"a data set must be a folder, got '{folder}'; check the path")
    readers: list[Callable[[Path, Sequence[str], Sequence[str]], list[Song]]] = [
        musdb.stem_songs,
        mir1k.wave_songs,
        mir1k.split_songs,
        folder_songs,
    ]
    for read in readers:
        if songs := read(folder, sources, silent):
            return sorted(songs, key=lambda song: song.name)
    raise ValueError(
        f"a data set must hold songs, got none in '{folder}'; expected SONG/{{{','.join(sources)}}}.wav "
        "(or .flac, .ogg), *.stem.mp4, or MIR-1K"
    )


def folder_songs(folder: Path, sources: Sequence[str], silent: Sequence[str] = ()) -> list[Song]:
    """Songs kept as `SONG/SOURCE.(wav|flac|ogg)`, at any depth; empty where there are none."""
    homes = sorted({path.parent for path in visible(folder) if path.suffix.lower() in SUFFIXES})
    return [_folder_song(home, folder, sources, silent) for home in homes if _has_stems(home, sources)]


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """What lies in a folder at any depth, but for hidden files and folders: half-written ones, or a Mac's."""
    found = sorted(folder.rglob(pattern))
    return [
        path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def checked_song(name: str, stems: Mapping[str, tuple[Track, ...]]) -> Song:
    """A song of these recordings. Raises `AudioFileError` where their lengths or rates differ."""
    found = [(track, *extent(track)) for tracks in stems.values() for track in tracks]
    if not found:
        raise AudioFileError(f"song '{name}' must have at least one stem, got none")
    first, frames, rate = found[0]
    for track, its_frames, its_rate in found[1:]:
        if its_rate != rate:
            raise AudioFileError(
                f"the stems of '{name}' must have one sample rate, got {rate} Hz in {first.path.name} and "
                f"{its_rate} Hz in {track.path.name}; export them again at one rate"
            )
        if its_frames != frames:
            raise AudioFileError(
                f"the stems of '{name}' must be equally long, got {frames} frames in {first.path.name} and "
                f"{its_frames} in {track.path.name}; export them again from one start to one end"
            )
    if not frames:
        raise AudioFileError(f"song '{name}' must not be empty, got no frames in {first.path.name}")
    return Song(name, dict(stems), frames, rate)


def extent(track: Track) -> tuple[int, int]:
    """Frames and sample rate of a recording. Raises `AudioFileError` where it cannot be read."""
    if track.stream is not None:
        from plugin_bridge.training import musdb

        return musdb.extent(track)
    with _opened(track.path) as file:
        if track.channel is not None and file.channels <= track.channel:
            raise AudioFileError(
                f"{track.path} must have {track.channel + 1} channels or more, got {file.channels}"
            )
        return int(file.frames), int(file.samplerate)


def read_track(track: Track) -> Audio:
    """A whole recording, as many channels as it has. Shape: `(channels, frames)`.

    NaN and Inf are taken as silence. Raises `AudioFileError` where it cannot be read to its end.
    """
    if track.stream is not None:
        from plugin_bridge.training import musdb

        return musdb.read_stream(track)
    with _opened(track.path) as file:
        try:
            audio = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(f"{track.path} must be readable to its end, got '{error}'") from error
        if len(audio) != file.frames:
            raise AudioFileError(
                f"{track.path} must be readable to its end, got {len(audio)} of its {file.frames} frames; "
                "copy or export it again"
            )
    picked = audio if track.channel is None else audio[:, track.channel : track.channel + 1]
    whole: Audio = np.ascontiguousarray(picked.T)
    return np.nan_to_num(whole, copy=False, posinf=0.0, neginf=0.0)


def grouped(names: Sequence[str], sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each source wanted, those of the stems called `names` that it is the sum of.

    >>> grouped(("vocals", "drums", "bass"), ("vocals", "accompaniment"))
    {'vocals': ('vocals',), 'accompaniment': ('drums', 'bass')}
    """
    rest = tuple(name for name in names if name not in sources)
    return {
        source: (source,) if source in names else rest if source == "accompaniment" else ()
        for source in sources
    }


def _folder_song(home: Path, folder: Path, sources: Sequence[str], silent: Sequence[str]) -> Song:
    files = _stem_files(home)
    tracks: dict[str, tuple[Track, ...]] = {}
    for source, names in grouped(tuple(files), sources).items():
        if not names and source not in silent:
            raise AudioFileError(
                f"song folder '{home}' must hold the stem '{source}', got {', '.join(sorted(files))}; "
                "add the file or leave the source out"
            )
        tracks[source] = tuple(Track(files[name]) for name in names)
    name = str(home.relative_to(folder)) if home != folder else home.resolve().name
    return checked_song(name, tracks)


def _stem_files(home: Path) -> dict[str, Path]:
    """Name of a stem to its file; a mixture beside the stems is none of them."""
    files: dict[str, Path] = {}
    for suffix in reversed(SUFFIXES):
        files |= {
            path.stem.lower(): path
            for path in sorted(home.iterdir())
            if path.suffix.lower() == suffix and path.name[0] != "."
        }
    return {name: path for name, path in sorted(files.items()) if name not in ("mixture", "mix")}


def _has_stems(home: Path, sources: Sequence[str]) -> bool:
    return any(source in _stem_files(home) for source in sources)


def _opened(path: Path) -> Any:
    if not path.exists():
        raise AudioFileError(f"{path} must exist, got no such file; check the data set")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = getattr(error, "error_string", error)
        raise AudioFileError(
            f"{path} must be a readable sound file, got '{reason}'; export it again"
        ) from error
