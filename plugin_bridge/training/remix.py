"""Training batches as a pure function of seed, rank and step: a resumed run sees what an unbroken one sees.

Stems of different songs are mixed at random. For causal models several batches in a row continue one
stream per row; examples that always start in silence teach a model that falls silent when streamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.augmentation import Augmentation, augment, drawn_shift
from plugin_bridge.training.cache import CachedSong

QUIET = 1e-3
"""RMS below which a source counts as silent (-60 dBFS)."""
TRIES = 8
"""How often a place is drawn again where a source is silent."""
FADE = 256
"""Frames of the fades where one song follows another within a row's stream."""


@dataclass(frozen=True)
class Batch:
    """One step's examples. `stems` is `(batch, sources, channels, frames)` float32.

    `fresh` says for each row whether its stream starts anew, so that a model's state must be reset.
    """

    stems: NDArray[np.float32]
    fresh: NDArray[np.bool_]

    @property
    def mix(self) -> NDArray[np.float32]:
        """What the model hears: exactly the sum of the stems. Shape: `(batch, channels, frames)`."""
        return np.asarray(self.stems.sum(1), np.float32)


@dataclass(frozen=True)
class Sampling:
    """How examples are cut: `frames` each, `batch` at once, `consecutive` in a row from one stream.

    `remix` is the chance that a row's stems come each from another song, `silent` the chance that a
    source may be silent where a place without it was drawn.
    """

    frames: int
    batch: int
    consecutive: int = 1
    remix: float = 0.8
    silent: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Raises `ValueError` for a count below one or a chance outside 0..1."""
        for name in ("frames", "batch", "consecutive"):
            if getattr(self, name) < 1:
                raise ValueError(f"'{name}' must be 1 or more, got {getattr(self, name)}")
        for name in ("remix", "silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the chance '{name}' must be in 0..1, got {getattr(self, name)}")


class Batches:
    """The batches of one rank of a run, any of them at any time.

    `weights` say how often a second of each song is drawn, against those of others; alike where left out.
    Raises `ValueError` for no songs, or songs that differ in sources, channels or rate.
    """

    def __init__(
        self,
        songs: Sequence[CachedSong],
        sampling: Sampling,
        *,
        seed: int,
        rank: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.songs = list(songs)
        self.weights = [1.0] * len(self.songs) if weights is None else list(weights)
        self.sampling = sampling
        self.seed = seed
        self.rank = rank
        if not self.songs:
            raise ValueError("training needs songs, got none")
        kinds = {(song.sources, song.channels, song.sample_rate) for song in self.songs}
        if len(kinds) > 1:
            raise ValueError(f"songs must agree in sources, channels and rate, got {sorted(kinds)}")
        self.sources, self.channels, self.sample_rate = kinds.pop()

    def batch(self, step: int) -> Batch:
        """What the step of this number learns from."""
        run, position = divmod(step, self.sampling.consecutive)
        return self.part(self.run(run), position)

    def run(self, number: int) -> Stems:
        """`consecutive` batches in one piece. Shape: `(batch, sources, channels, consecutive * frames)`."""
        frames = self.sampling.frames * self.sampling.consecutive
        out = np.zeros((self.sampling.batch, len(self.sources), self.channels, frames), np.float32)
        for row, stems in enumerate(out):
            draw = np.random.default_rng([self.seed, self.rank, number, row])
            self._fill(stems, draw)
            augment(stems, self.sampling.augmentation, draw, self.sample_rate)
        return out

    def part(self, run: Stems, position: int) -> Batch:
        """The batch at a position of a run."""
        frames = self.sampling.frames
        part = run[..., position * frames : (position + 1) * frames]
        return Batch(np.ascontiguousarray(part), np.full(self.sampling.batch, position == 0))

    def _fill(self, stems: Stems, draw: np.random.Generator) -> None:
        if draw.random() < self.sampling.remix:
            for source in range(len(self.sources)):
                for song, start, done, frames in self._playlist(source, stems.shape[-1], draw):
                    _copy(stems, song, source, start, done, frames)
            return
        for song, start, done, frames in self._playlist(None, stems.shape[-1], draw):
            for source in range(len(self.sources)):
                shift = drawn_shift(self.sampling.augmentation, draw, self.sample_rate)
                moved = min(max(0, start + shift), song.frames - frames)
                _copy(stems, song, source, moved, done, frames)

    def _playlist(
        self, source: int | None, wanted: int, draw: np.random.Generator
    ) -> Iterator[tuple[CachedSong, int, int, int]]:
        """Places (song, start, frames filled before, frames) that together are as long as wanted."""
        done = 0
        while done < wanted:
            song, start = self._place(source, wanted - done, draw)
            frames = min(song.frames - start, wanted - done)
            yield song, start, done, frames
            done += frames

    def _place(self, source: int | None, wanted: int, draw: np.random.Generator) -> tuple[CachedSong, int]:
        may_be_silent = draw.random() < self.sampling.silent
        for _ in range(TRIES):
            song = self.songs[int(np.searchsorted(self._ends, draw.random() * self._ends[-1], side="right"))]
            start = int(draw.integers(max(0, song.frames - wanted) + 1))
            if may_be_silent or source is None or _sounds(song, source, start, wanted):
                break
        return song, start

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        """Where each song ends if all are laid end to end: every second is drawn by its weight."""
        return np.cumsum(
            [song.frames * weight for song, weight in zip(self.songs, self.weights, strict=True)]
        )


def _copy(stems: Stems, song: CachedSong, source: int, start: int, done: int, frames: int) -> None:
    out = stems[source, :, done : done + frames]
    song.read_into(out, source, start)
    fade = np.linspace(0, 1, min(FADE, frames), dtype=np.float32)
    if done:
        out[:, : len(fade)] *= fade
    if done + frames < stems.shape[-1]:
        out[:, frames - len(fade) :] *= fade[::-1]


def _sounds(song: CachedSong, source: int, start: int, frames: int) -> bool:
    first, last = start // song.sample_rate, (start + frames - 1) // song.sample_rate
    heard = song.activity[source, min(first, song.activity.shape[1] - 1) : last + 1]
    return bool(np.sqrt(np.mean(np.square(heard))) >= QUIET)
