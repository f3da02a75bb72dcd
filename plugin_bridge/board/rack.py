"""All strips and the master at work on one stream of stems."""

from collections.abc import Sequence
from typing import NamedTuple

from plugin_bridge.board.grid import Delayed, refuse_doubles
from plugin_bridge.board.strip import Strip, StripRun
from plugin_bridge.separation.separator import Audio, Stems


class Mixed(NamedTuple):
    """The output of the strips, `(sources, channels, frames)`, and of the master, `(channels, frames)`."""

    stems: Stems
    mix: Audio


class Rack:
    """Strips side by side, all as late as the latest of them, summed into the master.

    `latency` is the delay, in frames, of the stems and of the mix.
    """

    def __init__(
        self, strips: Sequence[Strip], master: Strip, sample_rate: float, channels: int, grid: int
    ) -> None:
        self._form = (sample_rate, channels, grid)
        refuse_doubles(effect for strip in (*strips, master) for effect in strip.effects)
        self._strips = [StripRun(strip, *self._form) for strip in strips]
        self._master = StripRun(master, *self._form)
        self._runs = [*self._strips, self._master]
        self._stem_delays = [Delayed(channels, self._master.lag) for _ in strips]
        self._align()

    def _align(self) -> None:
        latest = max(run.lag for run in self._strips)
        for run in self._strips:
            run.align(latest)
        self.latency = latest + self._master.lag

    def follow_edits(self, running: bool) -> None:
        """Renew the strips whose list of effects was edited.

        Raises `RuntimeError` when the edit changes the latency of a `running` stream, and keeps the strips
        as they were.
        """
        for run in self._runs:
            if run.outdated:
                self._renew(running)
                return

    def _renew(self, running: bool) -> None:
        runs = self._runs
        refuse_doubles(effect for run in runs for effect in run.strip.effects)
        *strips, master = (run.renewed() if run.outdated else run for run in runs)
        latency = max(run.lag for run in strips) + master.lag
        if running and latency != self.latency:
            raise RuntimeError(
                f"latency must stay {self.latency} frames while a stream runs, got {latency} with the edited "
                "effects; call reset() or flush() before such an edit"
            )
        if master.lag != self._master.lag:
            self._stem_delays = [Delayed(self._form[1], master.lag) for _ in strips]
        self._strips, self._master = strips, master
        self._runs = [*strips, master]
        self._align()

    def reset(self) -> None:
        """Forget everything that sounds."""
        for run in self._runs:
            run.reset()
        for delay in self._stem_delays:
            delay.reset()

    def process(self, rows: Stems) -> None:
        """Send stems through their strips and sum them into the master, `latency` frames late.

        Shape: `(sources + 1, channels, n * grid)`; the stems are replaced by the strips' output, and the
        last row by the mix.
        """
        solos = [run.strip.solo for run in self._strips]
        soloed = True in solos
        for row, run, solo in zip(rows, self._strips, solos, strict=False):
            out = run.process(row, solo or not soloed)
            if out is None:
                row.fill(0)
            elif out is not row:
                row[...] = out
        mix = rows[-1]
        mix[...] = rows[0]
        for row in rows[1:-1]:
            mix += row
        master = self._master.process(mix, audible=True)
        if master is None:
            mix.fill(0)
        elif master is not mix:
            mix[...] = master
        if self._master.lag:
            for row, delay in zip(rows, self._stem_delays, strict=False):
                row[...] = delay.process(row)
