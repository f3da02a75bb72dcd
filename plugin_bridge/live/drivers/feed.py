"""Where a driver without a device gets its input, and where its output goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_bridge.errors import AudioFileError
from plugin_bridge.live.drivers.driver import AudioRequest

_DEFAULT_RATE = 44100
_MOST_SECONDS = 1e9


class Source:
    """Stereo input block by block: a file, or noise without end where no file is named.

    Raises `AudioFileError` for a file that cannot be read or has more than two channels, `ValueError` for a
    length or rate that cannot be.
    """

    def __init__(self, request: AudioRequest) -> None:
        self._file = self._opened(request.source) if request.source else None
        self.sample_rate = self._file.samplerate if self._file else request.sample_rate or _DEFAULT_RATE
        if not 0 <= request.seconds < _MOST_SECONDS:
            raise ValueError(
                f"seconds must be between 0 and {_MOST_SECONDS:g}, 0 for ever, got {request.seconds:g}"
            )
        wanted = round(request.seconds * self.sample_rate)
        self.frames = self._file.frames if self._file else wanted
        self._noise = np.random.default_rng(0)
        self._given = 0

    @staticmethod
    def _opened(path: str) -> soundfile.SoundFile:
        try:
            file = soundfile.SoundFile(path)
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioFileError(f"the input must be a readable sound file, got '{path}': {error}") from error
        if file.channels > 2:
            raise AudioFileError(
                f"the input must be mono or stereo, got {file.channels} channels in '{path}'"
            )
        return file

    @property
    def endless(self) -> bool:
        """Whether the input never ends."""
        return self.frames == 0 and self._file is None

    def read(self, frames: int) -> NDArray[np.float32]:
        """The next frames, silence after the end. Shape: `(2, frames)`."""
        out = np.zeros((2, frames), np.float32)
        if self._file is not None:
            audio = self._read(self._file, frames)
            out[:, : audio.shape[1]] = audio
        else:
            out[:] = 0.1 * self._noise.standard_normal((2, frames), np.float32)
            if not self.endless:
                out[:, max(0, self.frames - self._given) :] = 0
        self._given += frames
        return out

    @staticmethod
    def _read(file: soundfile.SoundFile, frames: int) -> NDArray[np.float32]:
        try:
            audio: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True).T
        except soundfile.SoundFileError as error:
            raise AudioFileError(f"the input must be readable to its end, got: {error}") from error
        return audio


def check_target(request: AudioRequest) -> None:
    """Raise `AudioFileError` unless the target could be written and is not the source."""
    target = Path(request.target)
    if not request.target:
        return
    if not target.parent.is_dir() or target.is_dir() or not os.access(target.parent, os.W_OK):
        raise AudioFileError(f"the output must be a file in a writable folder, got '{target}'")
    if request.source and target.exists() and target.samefile(request.source):
        raise AudioFileError(f"the output must not replace the input, got '{target}' for both")


class Sink:
    """A float32 file with a pair of channels for each row, the engine's latency taken out; or nothing.

    The file is written aside and renamed when it is closed. Raises `AudioFileError` where it cannot be.
    """

    def __init__(self, request: AudioRequest, sample_rate: int, rows: int, latency: int, frames: int) -> None:
        self._skip, self._left = latency, frames
        self._target = Path(request.target) if request.target else None
        self._file: soundfile.SoundFile | None = None
        if self._target is not None:
            with _writing(self._target):
                self._file = self._opened(self._target, sample_rate, 2 * rows)

    def _opened(self, target: Path, sample_rate: int, channels: int) -> soundfile.SoundFile:
        self._aside = target.with_name(f".live-{uuid4().hex}.wav")
        return soundfile.SoundFile(str(self._aside), "w", sample_rate, channels, "FLOAT", format="RF64")

    def write(self, audio: NDArray[np.float32]) -> None:
        """Add what the engine played. Shape: `(2 * rows, frames)`."""
        skip = min(self._skip, audio.shape[1])
        self._skip -= skip
        kept = audio[:, skip : skip + self._left]
        self._left -= kept.shape[1]
        if self._file is not None:
            with _writing(self._target):
                self._file.write(kept.T)

    @property
    def complete(self) -> bool:
        """Whether as much came out as went in."""
        return self._left <= 0

    def close(self) -> None:
        """Finish the file; an incomplete one is kept too, since it is what was played."""
        if self._file is not None and self._target is not None:
            with _writing(self._target):
                self._file.close()
                os.replace(self._aside, self._target)
            self._file = None


@contextmanager
def _writing(target: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioFileError(f"the output must be writable to its end, got '{target}': {error}") from error
