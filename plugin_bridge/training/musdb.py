"""MUSDB18's `.stem.mp4` files: five AAC streams in one container (mixture, drums, bass, other, vocals)."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from plugin_bridge.errors import AudioFileError
from plugin_bridge.separation.separator import Audio
from plugin_bridge.training.datasets import Song, Track, checked_song, grouped, visible

STREAMS = {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
"""Which stream of the container holds which stem; stream 0 is the mixture."""


def stem_songs(folder: Path, sources: Sequence[str], silent: Sequence[str] = ()) -> list[Song]:
    """The `.stem.mp4` songs of a folder and its subfolders; empty where there are none."""
    files = visible(folder, "*.stem.mp4")
    return [_song(path, folder, sources, silent) for path in files]


def extent(track: Track) -> tuple[int, int]:
    """Frames and sample rate of a stream. Raises `AudioFileError` where it cannot be read."""
    info = _info(track)
    return int(info.duration(track.stream) * info.rate(track.stream) + 0.5), int(info.rate(track.stream))


def read_stream(track: Track) -> Audio:
    """A whole stream of a `.stem.mp4`. Shape: `(channels, frames)`; frames as `extent` says.

    Raises `AudioFileError` where it cannot be decoded.
    """
    frames, _ = extent(track)
    try:
        audio, _ = _stempeg().read_stems(str(track.path), stem_id=track.stream, dtype=np.float32)
    except Exception as error:  # stempeg passes on whatever ffmpeg-python raised
        raise _unreadable(track.path, error) from error
    whole = np.zeros((audio.shape[1], frames), np.float32)
    # AAC decoders differ by a packet of padding at the end: the container's own duration is the length.
    kept = min(frames, len(audio))
    whole[:, :kept] = audio[:kept].T
    return whole


def _song(path: Path, folder: Path, sources: Sequence[str], silent: Sequence[str]) -> Song:
    groups = grouped(tuple(STREAMS), sources)
    for source, names in groups.items():
        if not names and source not in silent:
            raise AudioFileError(f"{path} must hold the stem '{source}', got {', '.join(STREAMS)}")
    tracks = {
        source: tuple(Track(path, stream=STREAMS[name]) for name in names) for source, names in groups.items()
    }
    name = str(path.relative_to(folder)).removesuffix(".stem.mp4")
    streams = _info(Track(path)).nb_audio_streams
    if streams <= max(STREAMS.values()):
        raise AudioFileError(f"{path} must hold {len(STREAMS) + 1} audio streams, got {streams}")
    return checked_song(name, tracks)


def _info(track: Track) -> Any:
    try:
        return _asked(track.path, track.path.stat().st_mtime_ns)
    except AudioFileError:
        raise
    except Exception as error:  # as above
        raise _unreadable(track.path, error) from error


@lru_cache(maxsize=32)
def _asked(path: Path, changed_ns: int) -> Any:
    """What ffprobe says of a file, asked once for its five streams as long as it does not change."""
    return _stempeg().Info(str(path))


def _unreadable(path: Path, error: Exception) -> AudioFileError:
    said = (getattr(error, "stderr", None) or str(error).encode()).decode(errors="replace").strip()
    reason = said.splitlines()[-1] if said else type(error).__name__
    return AudioFileError(f"{path} must be a readable .stem.mp4, got '{reason}'; fetch it again")


def _stempeg() -> ModuleType:
    if shutil.which("ffmpeg") is None:
        raise AudioFileError(".stem.mp4 files need the program ffmpeg, got none on the PATH; install it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies' deprecations are none of the user's business
            import stempeg
    except ImportError as error:
        raise AudioFileError(
            ".stem.mp4 files need the library stempeg, got none; install plugin-bridge[train]"
        ) from error
    module: ModuleType = stempeg
    return module
