"""From a file to a file through the live engine, as fast as it goes."""

import time

from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.drivers.feeder import Feeder

_PATIENCE_SECONDS = 10.0
_NAP_SECONDS = 0.0002


class FileDriver(Feeder):
    """Waits for the worker before each block, so that every frame is wet; gives what a paced run gives.

    Raises `ValueError` where no source is named.
    """

    def __init__(self, request: AudioRequest) -> None:
        if not request.source:
            raise ValueError("the file driver must have an input file, got none; name one with --input")
        super().__init__(request)

    def _keep_time(self) -> None:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while not self._connection.ready(self.block) and not self._stop.is_set():
            if time.monotonic() > patience:
                self._events.append(
                    f"the worker gave nothing for {_PATIENCE_SECONDS:g} s; a block was played dry"
                )
                return
            time.sleep(_NAP_SECONDS)
