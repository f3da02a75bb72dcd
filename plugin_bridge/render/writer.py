"""Stems on their way to disk: WAV through our own writer, FLAC through libsndfile."""

from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

import numpy as np
import soundfile

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.encoding import Encoding, Samples
from plugin_bridge.render.wav import WavWriter

_FLAC_SUBTYPES = {"pcm16": "PCM_16", "pcm24": "PCM_24"}


class StemWriter(Protocol):
    """A sound file being written to an open binary file; `close` makes it whole, the file stays open."""

    def write(self, samples: Samples) -> None:
        """Append samples. Shape: `(channels, frames)`."""

    def close(self) -> None:
        """Finish the file. Raises `OSError` when the disk refuses."""


class FlacWriter:
    """Writes one FLAC file."""

    def __init__(
        self, file: IO[bytes], *, sample_rate: int, channels: int, encoding: Encoding, tags: Mapping[str, str]
    ) -> None:
        self._file = _HonestFile(file)
        self._encoding = encoding
        self._flac: Any = soundfile.SoundFile(
            self._file, "w", sample_rate, channels, _FLAC_SUBTYPES[encoding.name], format="FLAC"
        )
        for name, text in tags.items():
            setattr(self._flac, name, text)

    def write(self, samples: Samples) -> None:
        """Append samples. Shape: `(channels, frames)`."""
        # libsndfile takes the upper bits of its integers.
        upper = np.ascontiguousarray(samples.T).astype(np.int32) << (32 - self._encoding.bits)
        try:
            self._flac.write(upper)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._file.check()
            raise AudioFileError(f"FLAC must take every sample, got: {error}; use format wav") from error
        self._file.check()

    def close(self) -> None:
        """Finish the file. Raises `OSError` when the disk refuses."""
        self._flac.close()
        self._file.check()
        self._file.flush()


class _HonestFile:
    """A file for libsndfile that keeps the `OSError` its callbacks cannot pass on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all, or nothing and remember why."""
        if self._error is None:
            try:
                return self._file.write(data)
            except OSError as error:
                self._error = error
        return 0

    def check(self) -> None:
        """Raise what went wrong since the file was opened."""
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Hand everything to the system. Raises `OSError` when the disk refuses."""
        self._file.flush()

    def read(self, size: int = -1) -> bytes:
        """Read from the file."""
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; buffered bytes that the disk refuses here are remembered too."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self._error = self._error or error
            return self._file.tell()

    def tell(self) -> int:
        """Where the file stands."""
        return self._file.tell()


def open_writer(
    file: IO[bytes],
    file_format: str,
    *,
    sample_rate: int,
    channels: int,
    encoding: Encoding,
    chunks: Sequence[tuple[bytes, bytes]] = (),
    tags: Mapping[str, str] | None = None,
) -> StemWriter:
    """A writer of `file_format` (`wav`, `flac`) on an open file, with what it can carry of the metadata."""
    form = {"sample_rate": sample_rate, "channels": channels}
    if file_format == "flac":
        return FlacWriter(file, encoding=encoding, tags=tags or {}, **form)
    return WavWriter(file, encoding=encoding, chunks=chunks, **form)
