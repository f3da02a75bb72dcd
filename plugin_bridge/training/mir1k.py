"""MIR-1K: sung karaoke clips, as published (music left, voice right) or split in two files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import soundfile

from plugin_bridge.errors import AudioFileError
from plugin_bridge.training.datasets import SUFFIXES, Song, Track, checked_song, visible

MUSIC, VOICE = 0, 1
"""Channels of the published files."""
CLIP = re.compile(r"[A-Za-z]+_\d+_\d+\.wav")
"""Names of the published files: singer, song, clip."""


def wave_songs(folder: Path, sources: Sequence[str], silent: Sequence[str] = ()) -> list[Song]:
    """The published clips: two-channel wavs `SINGER_SONG_CLIP.wav` that lie flat in one folder.

    Empty where the folder holds no such files. The published archive's `UndividedWavfile` holds the same
    songs once more and is left out.
    """
    home = folder / "Wavfile" if (folder / "Wavfile").is_dir() else folder
    files = [path for path in sorted(home.glob("*.wav")) if CLIP.fullmatch(path.name)]
    return [_wave_song(path, sources, silent) for path in files]


def split_songs(folder: Path, sources: Sequence[str], silent: Sequence[str] = ()) -> list[Song]:
    """Clips kept as `CLIP/voice` and `CLIP/accompaniment`; empty where there are none."""
    voices = [path for path in visible(folder, "voice.*") if path.suffix.lower() in SUFFIXES]
    return [_split_song(voice, folder, sources, silent) for voice in voices]


def _wave_song(path: Path, sources: Sequence[str], silent: Sequence[str]) -> Song:
    try:
        channels = soundfile.info(path).channels
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(
            f"{path} must be a readable sound file, got '{error}'; fetch it again"
        ) from error
    if channels != 2:
        raise AudioFileError(
            f"{path} must have two channels (music left, voice right) to be a clip of MIR-1K, "
            f"got {channels}; keep other songs as SONG/SOURCE.wav"
        )
    halves = {"vocals": Track(path, channel=VOICE), "accompaniment": Track(path, channel=MUSIC)}
    return checked_song(path.stem, _chosen(path.stem, halves, sources, silent))


def _split_song(voice: Path, folder: Path, sources: Sequence[str], silent: Sequence[str]) -> Song:
    home = voice.parent
    music = next(
        (path for path in sorted(home.glob("accompaniment.*")) if path.suffix.lower() in SUFFIXES), None
    )
    if music is None:
        raise AudioFileError(f"clip '{home}' must hold the stem 'accompaniment', got only {voice.name}")
    name = str(home.relative_to(folder)) if home != folder else home.resolve().name
    halves = {"vocals": Track(voice), "accompaniment": Track(music)}
    return checked_song(name, _chosen(name, halves, sources, silent))


def _chosen(
    name: str, halves: dict[str, Track], sources: Sequence[str], silent: Sequence[str]
) -> dict[str, tuple[Track, ...]]:
    for source in sources:
        if source not in halves and source not in silent:
            raise AudioFileError(
                f"clip '{name}' must hold the stem '{source}', got vocals and accompaniment; "
                "ask for these two sources of MIR-1K"
            )
    return {source: (halves[source],) if source in halves else () for source in sources}
