"""From a file to a file through the live engine, as fast as it goes."""

import threading
import time

from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.feed import Sink, Source

_DEFAULT_BLOCK = 256
_PATIENCE_SECONDS = 10.0


class FileDriver:
    """Waits for the worker before each block, so that every frame is wet; gives what a paced run gives.

    Raises `AudioFileError` for a source that cannot be read, `ValueError` where none is named.
    """

    def __init__(self, request: AudioRequest) -> None:
        if not request.source:
            raise ValueError("the file driver must have an input file, got none; name one with --input")
        self._request, self._source = request, Source(request)
        self.sample_rate, self.block = self._source.sample_rate, request.block or _DEFAULT_BLOCK
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="file", daemon=True)
        self._events: list[str] = []
        self.finished = False

    def start(self, connection: Connection) -> None:
        """Begin to call the engine."""
        self._connection = connection
        frames = self._source.frames
        self._sink = Sink(self._request, self.sample_rate, len(connection.rows), connection.latency, frames)
        self._thread.start()

    def stop(self) -> None:
        """Stop calling."""
        self._stop.set()
        self._thread.join()

    def events(self) -> list[str]:
        """What happened since the last call."""
        happened, self._events = self._events, []
        return happened

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self._sink.complete:
                self._await_worker()
                self._sink.write(self._connection.callback(self._source.read(self.block)))
        finally:
            self._sink.close()
            self.finished = True

    def _await_worker(self) -> None:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not self._connection.ready(self.block) and not self._stop.is_set():
            if time.monotonic() > patience:
                self._events.append(
                    f"the worker gave nothing for {_PATIENCE_SECONDS:g} s; a block was played dry"
                )
                return
            time.sleep(0.0002)
