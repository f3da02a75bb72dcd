"""A clock without a device: calls the engine as a sound card would, for tests, trials and soaks."""

import time

from plugin_bridge.live.drivers.feeder import Feeder
from plugin_bridge.live.priority import AUDIO_PRIORITY, raise_priority


class PacedDriver(Feeder):
    """Feeds a file or noise at the pace of its sample rate and records the output where a target is named."""

    _due = 0.0

    def _run(self) -> None:
        raise_priority(AUDIO_PRIORITY)
        self._due = time.perf_counter()
        super()._run()

    def _keep_time(self) -> None:
        # An absolute schedule, as a device's clock keeps: a late callback makes the next ones hurry.
        wait = self._due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        self._due += self.block / self.sample_rate
