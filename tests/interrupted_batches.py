"""Batches that are interrupted while they are made, as by a person at the terminal."""

import os
import signal

from plugin_bridge.training.remix import Batches


class Interrupting(Batches):
    """Batches during one of which somebody presses Ctrl-C."""

    def __init__(self, batches: Batches, at: int) -> None:
        super().__init__(batches.songs, batches.sampling, seed=batches.seed)
        self._at = at

    def part(self, run, position):
        self._at -= 1
        if self._at == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().part(run, position)
