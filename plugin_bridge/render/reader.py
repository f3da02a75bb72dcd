"""A source file, read block by block: any format of libsndfile, any rate, one or two channels."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.promise import check_whole, cut, states_mp3_length
from plugin_bridge.separation.gate import finite
from plugin_bridge.separation.separator import Audio

BLOCK_SECONDS = 1.0
"""How much is read at once; with the session's look-ahead it bounds the memory."""


class SourceFile:
    """An open sound file; `channels` counts what is read, after the choice of `pick`.

    `pick` holds one or two 1-based channel numbers. Raises `AudioFileError` for a file that is missing,
    empty, cut, of unknown kind, or that has more than two channels and no `pick`.
    """

    def __init__(self, path: Path, *, pick: tuple[int, ...] = ()) -> None:
        self.path = path
        self._stamp = _stamp(path)
        self._file = _open(path)
        try:
            self._picked = self._pick(pick)
            check_whole(path)
            self.frames = self._count()
            """Frames of the file as its header promises; `blocks` gives exactly so many, or raises."""
        except BaseException:
            self._file.close()
            raise
        self.mended = 0
        """Samples read so far that were NaN, Inf or absurdly large, and are silence now."""

    @property
    def sample_rate(self) -> int:
        """Frames per second."""
        return int(self._file.samplerate)

    @property
    def channels(self) -> int:
        """Channels that each block has: 1 or 2."""
        return len(self._picked) or int(self._file.channels)

    @property
    def tags(self) -> Mapping[str, str]:
        """Title, artist and the like, as far as libsndfile reads them."""
        return {name: text for name, text in self._file.copy_metadata().items() if text}

    def blocks(self) -> Iterator[Audio]:
        """The whole file from its start. Shape: `(channels, frames)` each.

        NaN, Inf and what `gate.LOUDEST` excludes come as silence. Raises `AudioFileError` where the file
        breaks off.
        """
        size = max(1, round(BLOCK_SECONDS * self.sample_rate))
        done = 0
        while len(block := self._read(size, done)):
            done += len(block)
            yield self._mend(block.T)
        if done < self.frames:
            raise cut(self.path, done, self.frames)

    def check_unchanged(self) -> None:
        """Raise `AudioFileError` when the file was changed, replaced or removed since it was opened."""
        if _stamp(self.path) != self._stamp:
            raise AudioFileError(f"{self.path} must not change while it is read; render it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _pick(self, pick: tuple[int, ...]) -> tuple[int, ...]:
        """Zero-based channels to read, empty for all."""
        available = int(self._file.channels)
        if not pick:
            if available > 2:
                raise AudioFileError(
                    f"{self.path} must have one or two channels, got {available}; "
                    "choose with channels, for example channels 1,2"
                )
            return ()
        if max(pick) > available:
            raise AudioFileError(
                f"{self.path} must have channel {max(pick)}, got {available} channels; "
                f"choose channels from 1 to {available}"
            )
        return tuple(number - 1 for number in pick)

    def _count(self) -> int:
        """Frames of the file, counted where libsndfile guesses: in an MP3 that does not state it."""
        promised = int(self._file.frames)
        if not self._file.subtype.startswith("MPEG") or states_mp3_length(self.path):
            return promised
        with _handle(self.path) as file:
            # Not file.blocks(), which fills up to the guess.
            found = sum(iter(lambda: len(file.read(2**16, dtype="float32")), 0))
        if found == promised:  # libsndfile stops at its guess, whether or not there is more
            raise AudioFileError(
                f"{self.path} must state its length, got an MP3 without one; convert it to WAV first"
            )
        return found

    def _read(self, size: int, done: int) -> Any:
        try:
            block = self._file.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(
                f"{self.path} must be readable to its end, got '{_reason(error)}' "
                f"after {done} of the {self.frames} frames its header promises; copy or export it again"
            ) from error
        return block[:, self._picked] if self._picked else block

    def _mend(self, block: Any) -> Audio:
        block = np.ascontiguousarray(block)
        mended, _ = finite(block)
        self.mended += int(np.count_nonzero(mended != block))  # a NaN differs from everything
        return mended


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes with a file's content, or None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _open(path: Path) -> Any:
    if not path.exists():
        raise AudioFileError(f"{path} must exist, got no such file; check its name")
    if path.is_dir():
        raise AudioFileError(f"{path} must be a sound file, got a folder")
    if not path.is_file():
        raise AudioFileError(f"{path} must be a regular file, got a pipe, socket or device; copy it to one")
    try:
        if path.stat().st_size == 0:
            raise AudioFileError(f"{path} must be a sound file, got an empty file; copy or export it again")
        with path.open("rb"):
            pass  # libsndfile would only say "System error" of a file that may not be opened
        return _handle(path)
    except OSError as error:
        raise AudioFileError(f"{path} must be readable, got: {error.strerror}") from error
    except (soundfile.LibsndfileError, TypeError) as error:
        # soundfile asks for format and rate (TypeError) when a name ends in .raw.
        is_raw = isinstance(error, TypeError)
        reason = "raw samples without a header" if is_raw else _reason(error)
        raise AudioFileError(
            f"{path} must be a sound file (WAV, AIFF, FLAC, Ogg, MP3 ...), got: {reason}; export it as WAV"
        ) from error


def _handle(path: Path) -> Any:
    """libsndfile's file. Names go as bytes, because a Linux name need not be Unicode; Windows' is."""
    return soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path))


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")
