"""A clock without a device: calls the engine as a sound card would, for tests, trials and soaks."""

import threading
import time

from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.feed import Sink, Source

_DEFAULT_BLOCK = 256
_ENDLESS = 1 << 62


class PacedDriver:
    """Feeds a file or noise at the pace of its sample rate and, where a target is named, records the output.

    Raises `AudioFileError` for a source that cannot be read.
    """

    def __init__(self, request: AudioRequest) -> None:
        self._request, self._source = request, Source(request)
        self.sample_rate, self.block = self._source.sample_rate, request.block or _DEFAULT_BLOCK
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paced", daemon=True)
        self._events: list[str] = []
        self.finished = False

    def start(self, connection: Connection) -> None:
        """Begin to call the engine."""
        self._connection = connection
        frames = _ENDLESS if self._source.endless else self._source.frames
        self._sink = Sink(self._request, self.sample_rate, len(connection.rows), connection.latency, frames)
        self._thread.start()

    def stop(self) -> None:
        """Stop calling; what was recorded is kept."""
        self._stop.set()
        self._thread.join()

    def events(self) -> list[str]:
        """What happened since the last call."""
        happened, self._events = self._events, []
        return happened

    def set_block(self, frames: int) -> None:
        """Another block size from the next callback on, as a host may choose while it runs."""
        self.block = frames

    def _run(self) -> None:
        due = time.perf_counter()
        try:
            while not self._stop.is_set() and not self._sink.complete:
                self._sink.write(self._connection.callback(self._source.read(self.block)))
                # An absolute schedule, as a device's clock keeps: a late callback makes the next ones hurry.
                due += self.block / self.sample_rate
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
        finally:
            self._sink.close()
            self.finished = True
