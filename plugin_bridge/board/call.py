"""The one door where arrays come in the way pedalboard takes them.

Everywhere else arrays are float32 `(channels, frames)`. Here pedalboard's own guesses are made: a
one-dimensional array is mono; of two dimensions, the one that alone is as long as the last call had
channels is the channels, else the smaller one; a square array has the layout of the call before it.
What is not plainly right is shown to a native, empty `Pedalboard`, so that the errors are its own.
"""

from abc import ABC, abstractmethod
from math import isfinite
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pedalboard import Pedalboard

from plugin_bridge.separation.separator import Audio

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Entered(NamedTuple):
    """Audio as we use it, `(channels, frames)`, and how to give results back in the caller's layout."""

    audio: Audio
    dimensions: int
    channels_last: bool

    def alike(self, other: "Entered") -> bool:
        """Whether the layouts are the same."""
        return self[1:] == other[1:] and len(self.audio) == len(other.audio)

    def back(self, audio: Audio) -> Audio:
        """A result in the layout of the input. Shape: `(channels, frames)` to the caller's."""
        if self.dimensions == 1:
            mono: Audio = audio[0]
            return mono
        return np.ascontiguousarray(audio.T if self.channels_last else audio)


class Door:
    """The layout rules of one board, with the layout that its last call had."""

    def __init__(self) -> None:
        self._native = Pedalboard([])
        self._channels_last = False
        self._channels: int | None = None

    def reset(self) -> None:
        """Forget the layout, as `Pedalboard.reset` does."""
        self._native.reset()
        self._channels_last = False
        self._channels = None

    def enter(self, input_array: NDArray[Any], sample_rate: float, buffer_size: int) -> Entered:
        """Check a call's arguments as pedalboard does.

        Raises `TypeError` and `RuntimeError` where pedalboard raises them, and `ValueError` for a sample
        rate or buffer size that is not positive, which pedalboard lets through.
        """
        if not isinstance(buffer_size, int | np.integer):
            raise TypeError(f"buffer_size must be a whole number of frames, got {buffer_size!r}")
        if buffer_size < 1:
            raise ValueError(f"buffer_size must be at least 1 frame, got {buffer_size}")
        if self._is_plain(input_array, sample_rate):
            checked: NDArray[np.float32] = np.ascontiguousarray(input_array, np.float32)
        else:
            checked = self._native.process(input_array, sample_rate, 8192, False)
        if not (isfinite(sample_rate) and sample_rate > 0):
            raise ValueError(f"sample_rate must be positive, got {sample_rate:g}; give it in Hz")
        self._channels_last = self._is_channels_last(checked.shape)
        if checked.ndim == 1:
            self._channels = 1
            return Entered(checked[None], 1, False)
        audio = np.ascontiguousarray(checked.T) if self._channels_last else checked
        self._channels = audio.shape[0]
        return Entered(audio, 2, self._channels_last)

    def _is_plain(self, input_array: object, sample_rate: object) -> bool:
        """Whether pedalboard would surely take the arguments."""
        if not isinstance(input_array, np.ndarray) or not isinstance(sample_rate, float | int):
            return False
        if input_array.dtype not in _FLOATS or input_array.ndim not in (1, 2):
            return False
        square = input_array.ndim == 2 and input_array.shape[0] == input_array.shape[1]
        return not square or self._channels is not None

    def _is_channels_last(self, shape: tuple[int, ...]) -> bool:
        if len(shape) == 1:
            return False
        first, last = shape
        if (first == self._channels) != (last == self._channels):
            return last == self._channels
        if first == last:
            return self._channels_last
        # No frames at all: the other dimension must be the channels.
        return first == 0 or (last != 0 and first > last)


class PedalboardCall(ABC):
    """What makes an object callable as a `pedalboard.Pedalboard` is.

    `reset=True` processes the signal at once and leaves nothing inside. `reset=False` continues a
    stream: it returns at most as many frames as it got, and `flush` returns those still inside, so
    that all returned blocks together are the result of one whole call. A change of sample rate or
    channels starts a new stream, as it does in pedalboard.

    Exceptions to pedalboard's contract: `sample_rate` and `buffer_size` must be positive, and effects
    step on a fixed grid of frames, so `buffer_size` changes nothing.
    """

    is_effect = True
    is_instrument = False

    def __init__(self) -> None:
        self._door = Door()
        self._lock = RLock()
        self._last: Entered | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt setting would otherwise be taken and never heard.
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(
                f"{type(self).__name__} has no setting '{name}'; levels are set on its strips"
            )
        super().__setattr__(name, value)

    def __call__(
        self, input_array: NDArray[Any], sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Process audio as `pedalboard.Pedalboard` does, see the class.

        Shape: `(frames,)`, `(channels, frames)` or `(frames, channels)` to the same layout.
        """
        return self.process(input_array, sample_rate, buffer_size, reset)

    def process(
        self, input_array: NDArray[Any], sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> Audio:
        """Process audio as `pedalboard.Pedalboard` does, see the class.

        Shape: `(frames,)`, `(channels, frames)` or `(frames, channels)` to the same layout.
        """
        with self._lock:
            entered = self._enter(input_array, sample_rate, buffer_size, reset)
            run = self._whole if reset else self._push
            return entered.back(run(entered.audio, float(sample_rate)))

    def flush(self) -> Audio:
        """The frames that streaming left inside, in the layout of the last call; then a new stream starts."""
        with self._lock:
            if self._last is None:
                return np.zeros(0, np.float32)
            return self._last.back(self._flush(len(self._last.audio)))

    def reset(self) -> None:
        """Drop what is inside and forget the layout, as `Pedalboard.reset` does."""
        with self._lock:
            self._door.reset()
            self._last = None
            self._clear()

    def _enter(self, input_array: NDArray[Any], sample_rate: float, buffer_size: int, reset: bool) -> Entered:
        entered = self._door.enter(input_array, sample_rate, buffer_size)
        if reset:
            self._clear()
        # Only the layout is of interest to a later flush; the audio itself may be large.
        if self._last is None or not self._last.alike(entered):
            self._last = entered._replace(audio=entered.audio[:, :0])
        return entered

    @abstractmethod
    def _whole(self, audio: Audio, sample_rate: float) -> Audio: ...

    @abstractmethod
    def _push(self, audio: Audio, sample_rate: float) -> Audio: ...

    @abstractmethod
    def _flush(self, channels: int) -> Audio: ...

    @abstractmethod
    def _clear(self) -> None: ...
