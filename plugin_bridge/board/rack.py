"""All strips and the master at work on one stream of stems."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from plugin_bridge.board.agenda import Agenda, Due
from plugin_bridge.board.grid import Delayed, refuse_doubles
from plugin_bridge.board.parameter_tree import MASTER, Key, Movable
from plugin_bridge.board.strip_run import Change, MasterRun, StripRun
from plugin_bridge.separation.separator import Audio, Stems


class Mixed(NamedTuple):
    """The output of the strips, `(sources, channels, frames)`, and of the master, `(channels, frames)`."""

    stems: Stems
    mix: Audio


class Rack:
    """Strips side by side, all as late as the latest of them, summed into the master.

    `latency` is the delay, in frames, of the stems and of the mix.
    """

    def __init__(self, board: Movable, sample_rate: float, channels: int, grid: int) -> None:
        self._form = (sample_rate, channels, grid)
        strips = board.strips
        refuse_doubles(effect for strip in (*strips.values(), board.master) for effect in strip.effects)
        self._names = list(strips)
        self._strips = [StripRun(strip, *self._form) for strip in strips.values()]
        self._master = MasterRun(board, *self._form)
        self._stem_delays = [Delayed(channels, self._master.lag) for _ in strips]
        self._agenda = Agenda()
        self.position = 0
        self._align()

    @property
    def _runs(self) -> tuple[StripRun, ...]:
        return (*self._strips, self._master)

    def _align(self) -> None:
        self._latest = max(run.lag for run in self._strips)
        for run in self._strips:
            run.align(self._latest)
        self.latency = self._latest + self._master.lag
        self._dry_delay = Delayed(self._form[1], self.latency)

    def follow_edits(self, running: bool) -> None:
        """Renew the strips whose list of effects was edited.

        Raises `RuntimeError` when the edit changes the latency of a `running` stream, and keeps the strips
        as they were.
        """
        for run in self._strips:
            if run.outdated:
                return self._renew(running)
        if self._master.outdated:
            self._renew(running)

    def _renew(self, running: bool) -> None:
        refuse_doubles(effect for run in self._runs for effect in run.strip.effects)
        strips = [run.renewed() if run.outdated else run for run in self._strips]
        master = self._master.renewed() if self._master.outdated else self._master
        latency = max(run.lag for run in strips) + master.lag
        if running and latency != self.latency:
            raise RuntimeError(
                f"latency must stay {self.latency} frames while a stream runs, got {latency} with the edited "
                "effects; call reset() or flush() before such an edit"
            )
        if master.lag != self._master.lag:
            self._stem_delays = [Delayed(self._form[1], master.lag) for _ in strips]
        self._strips, self._master = strips, master
        self._align()

    def reset(self) -> None:
        """Forget everything that sounds, and every change to come."""
        for run in self._runs:
            run.reset()
        for delay in (*self._stem_delays, self._dry_delay):
            delay.reset()
        self._agenda.clear()
        self.position = 0

    def delay_of(self, key: Key) -> int:
        """Frames after which a frame of the stems meets what `key` moves: an effect, or the level behind."""
        if key.strip == MASTER:
            return self._latest + (self._master.lag if key.slot is None else 0)
        return self._latest if key.slot is None else self._strips[self._names.index(key.strip)].wait

    def schedule(self, frame: int, key: Key, make: Callable[[], None]) -> None:
        """Make a change when a frame of the stems meets what it moves; at once, if that is past."""
        self._agenda.enter(max(self.position, frame + self.delay_of(key)), key, make)

    def process(self, stems: Stems) -> list[Audio]:
        """Each stem after its strip, and the sum of them after the master, all `latency` frames late.

        Shape: `(sources, channels, n * grid)` to `sources + 1` times `(channels, n * grid)`.
        """
        frames = stems.shape[2]
        if self._agenda.falls_before(self.position + frames):
            rows = self._with_changes(stems)
        else:
            rows = self._steady(stems)
        self.position += frames
        return rows

    def _steady(self, stems: Stems) -> list[Audio]:
        """A part of the stream without changes inside."""
        soloed = self._soloed
        sounding: list[Audio] = []
        rows: list[Audio] = []
        for stem, run in zip(stems, self._strips, strict=True):
            out = run.process(stem, run.strip._solo or not soloed)
            rows.append(np.zeros_like(stem) if out is None else out)
            if out is not None:
                sounding.append(out)
        mix = _sum(sounding, rows[0])
        dry = self._dry(stems)
        out = self._master.process(mix, True) if dry is None else self._master.process_blend(mix, dry)
        return self._finished(rows, mix, out)

    @property
    def _soloed(self) -> bool:
        return any([run.strip._solo for run in self._strips])  # noqa: C419  # a list is faster here

    def _dry(self, stems: Stems) -> Audio | None:
        """The unprocessed mix, as late as the master's output; None where it is neither heard nor kept."""
        if not (self.latency or self._master.blends):
            return None
        return self._dry_delay.process(_sum(list(stems), stems[0]))

    def _finished(self, rows: list[Audio], mix: Audio, out: Audio | None) -> list[Audio]:
        if self._master.lag:
            rows = [delay.process(row) for row, delay in zip(rows, self._stem_delays, strict=True)]
        return [*rows, np.zeros_like(mix) if out is None else out]

    def _with_changes(self, stems: Stems) -> list[Audio]:
        """A part of the stream, block by block of the grid, so that it is cut alike whatever comes in."""
        grid = self._form[2]
        blocks = []
        for at in range(0, stems.shape[2], grid):
            block, start = stems[..., at : at + grid], self.position + at
            due = self._agenda.taken(start + grid)
            blocks.append(self._changing(block, start, due) if due else self._steady(block))
        return (
            blocks[0]
            if len(blocks) == 1
            else [np.concatenate(row, axis=1) for row in zip(*blocks, strict=True)]
        )

    def _changing(self, stems: Stems, start: int, due: Sequence[Due]) -> list[Audio]:
        """One block of the grid with changes inside: effects first, each on its own, then all levels."""
        levels = [each for each in due if each.key.slot is None and each.key.strip != MASTER]
        effected = [
            run.effected(stem, _changes(name, start, due), rests=not levels)
            for name, stem, run in zip(self._names, stems, self._strips, strict=True)
        ]
        rows = self._levelled(effected, start, levels)
        mix = _sum(rows, rows[0])
        levels = [each for each in due if each.key.slot is None and each.key.strip == MASTER]
        wet = self._master.effected(mix, _changes(MASTER, start, due), rests=not levels)
        dry = self._dry_delay.process(_sum(list(stems), stems[0]))
        pieces = []
        for begin, end in _cuts(start, mix.shape[1], levels):
            out = self._master.levelled_blend(wet[:, begin:end], dry[:, begin:end])
            pieces.append(np.zeros_like(wet[:, begin:end]) if out is None else out)
        return self._finished(rows, mix, np.concatenate(pieces, axis=1))

    def _levelled(self, effected: list[Audio], start: int, levels: list[Due]) -> list[Audio]:
        pieces: list[list[Audio]] = [[] for _ in effected]
        for begin, end in _cuts(start, effected[0].shape[1], levels):
            soloed = self._soloed
            for row, audio, run in zip(pieces, effected, self._strips, strict=True):
                piece = audio[:, begin:end]
                out = run.levelled(piece, run.strip._solo or not soloed)
                row.append(np.zeros_like(piece) if out is None else out)
        return [np.concatenate(row, axis=1) for row in pieces]


def _changes(strip: str, start: int, due: Sequence[Due]) -> list[Change]:
    """The changes of a strip's effects, from the start of the block on."""
    return [
        (max(0, each.frame - start), each.make)
        for each in due
        if each.key.slot is not None and each.key.strip == strip
    ]


def _cuts(start: int, frames: int, levels: Sequence[Due]) -> Iterator[tuple[int, int]]:
    """Pieces of a block between changes of levels, each after the changes at its start have been made."""
    waiting = list(levels)
    ends = sorted({frames, *(max(0, each.frame - start) for each in levels)} - {0})
    for begin, end in pairwise([0, *ends]):
        while waiting and waiting[0].frame - start <= begin:
            waiting.pop(0).make()
        yield begin, end


def _sum(rows: Sequence[Audio], like: Audio) -> Audio:
    """The sum as a new array; silence for no rows."""
    if len(rows) < 2:
        return rows[0].copy() if rows else np.zeros_like(like)
    total = rows[0] + rows[1]
    for row in rows[2:]:
        total += row
    return total
