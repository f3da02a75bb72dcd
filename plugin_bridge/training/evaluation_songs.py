"""Songs with stems as an evaluation hears them: whole, at their own rate and channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.errors import AudioFileError, ModelError
from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.training.datasets import Song, find_songs, read_track


@dataclass(frozen=True)
class HeardSong:
    """A song with its true stems, `(sources, channels, frames)`; the mix is their sum."""

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    stems: Stems

    @property
    def mix(self) -> Audio:
        """What is separated. Shape: `(channels, frames)`."""
        return np.ascontiguousarray(self.stems.sum(axis=0))

    @property
    def seconds(self) -> float:
        """Length."""
        return float(self.stems.shape[-1] / self.sample_rate)


def songs_in(folder: Path, sources: Sequence[str], limit: int | None = None) -> list[Song]:
    """The songs of a folder, the first `limit` of them by name.

    Raises `AudioFileError` for missing stems and damaged files, `ModelError` where the songs have none of the
    sources, `ValueError` where there are no songs.
    """
    try:
        return find_songs(folder, sources)[:limit]
    except ValueError:
        if folder.is_dir() and _has_voices(folder):
            raise ModelError(
                f"a model's sources must be stems of the songs, got {', '.join(sources)}, of which those in "
                f"'{folder}' have none; say which is which with --as SOURCE=STEM"
            ) from None
        raise


def _has_voices(folder: Path) -> bool:
    try:
        return bool(find_songs(folder, ("vocals", "accompaniment")))
    except ValueError:
        return False


def heard(song: Song, *, mono: bool = False) -> HeardSong:
    """A song decoded whole; recordings of fewer channels than its widest are doubled.

    Raises `AudioFileError` where it cannot be read.
    """
    tracks = {source: [read_track(track) for track in song.stems[source]] for source in song.sources}
    channels = max(len(audio) for parts in tracks.values() for audio in parts)
    stems = np.zeros((len(tracks), channels, song.frames), np.float32)
    for stem, (source, parts) in zip(stems, tracks.items(), strict=True):
        for audio in parts:
            if len(audio) not in (1, channels):
                raise AudioFileError(
                    f"the stems of '{song.name}' must have 1 or {channels} channels, "
                    f"got {len(audio)} in {source}"
                )
            stem += audio
    if mono:
        stems = stems.mean(axis=1, keepdims=True)
    return HeardSong(song.name, song.sources, song.sample_rate, stems)


def all_heard(songs: Sequence[Song], *, mono: bool = False) -> Iterator[HeardSong]:
    """One song after the other, decoded when its turn comes. Raises as `heard`."""
    return (heard(song, mono=mono) for song in songs)
