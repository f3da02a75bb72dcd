"""What the drivers without a device have in common: a thread that feeds the engine and records it."""

import threading
from abc import ABC, abstractmethod

from plugin_bridge.errors import AudioFileError
from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.feed import Sink, Source, check_target

_DEFAULT_BLOCK = 256
_ENDLESS = 1 << 62


class Feeder(ABC):
    """Calls the engine block by block until as much came out as went in; how it keeps time is its kind's.

    Raises `AudioFileError` for a source that cannot be read or a target that cannot be written.
    """

    def __init__(self, request: AudioRequest) -> None:
        self._request, self._source = request, Source(request)
        check_target(request)
        self.sample_rate, self.block = self._source.sample_rate, request.block or _DEFAULT_BLOCK
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._events: list[str] = []
        self.finished = False
        self.failure = ""

    def start(self, connection: Connection) -> None:
        """Begin to call the engine. Raises `AudioFileError` where the target cannot be written."""
        self._connection = connection
        frames = _ENDLESS if self._source.endless else self._source.frames
        self._sink = Sink(self._request, self.sample_rate, len(connection.rows), connection.latency, frames)
        self._thread = threading.Thread(target=self._run, name=self._request.driver, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop calling; what was recorded is kept."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def events(self) -> list[str]:
        """What happened since the last call."""
        happened, self._events = self._events, []
        return happened

    def set_block(self, frames: int) -> None:
        """Another block size from the next callback on, as a host may choose while it runs."""
        self.block = frames

    @abstractmethod
    def _keep_time(self) -> None:
        """Wait until the next block is due."""

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self._sink.complete:
                self._keep_time()
                self._sink.write(self._connection.callback(self._source.read(self.block)))
            self._sink.close()
        except AudioFileError as error:
            self.failure = str(error)
        except Exception as error:  # noqa: BLE001
            # Nobody else would hear of it from this thread.
            self.failure = f"audio callbacks must not fail, got {type(error).__name__}: {error}"
        finally:
            self.finished = True
