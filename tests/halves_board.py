"""A board whose stems are known beforehand, and ways to render through it."""

import os
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soundfile

from plugin_bridge.render.pipeline import render_song
from plugin_bridge.render.plan import Policy, Song, Voicing
from plugin_bridge.render.settings import Settings
from plugin_bridge.separation.separator import Audio, Stems


class Separated(NamedTuple):
    stems: Stems
    mix: Audio


@dataclass(frozen=True)
class Halves:
    """A board whose stems are a signal's odd frames, its even frames, and nothing; late by any delay."""

    sources: tuple[str, ...] = ("odd", "even", "nothing")
    is_neutral: bool = True
    delay: int = 5000

    def session(self, *, sample_rate, channels):
        return HalvesSession(self.delay, channels)


@dataclass
class HalvesSession:
    delay: int
    channels: int
    given: int = 0
    held: Audio | None = field(default=None)

    def push(self, block):
        self.held = block if self.held is None else np.concatenate([self.held, block], axis=-1)
        return self.give(max(0, self.held.shape[-1] - self.delay))

    def flush(self):
        if self.held is None:
            self.held = np.zeros((self.channels, 0), np.float32)
        return self.give(self.held.shape[-1])

    def give(self, frames):
        mix, self.held = self.held[:, :frames], self.held[:, frames:]
        odd = np.where((self.given + np.arange(frames)) % 2, mix, np.float32(0))
        self.given += frames
        return Separated(np.stack([odd, mix - odd, np.zeros_like(mix)]), mix)


VOICING = Voicing("halves", "0" * 64)
NOTHING_REPLACED = Policy()
HALVES = Halves()


def noise(channels, frames, level=0.3):
    return (level * np.random.default_rng(frames).uniform(-1, 1, (channels, frames))).astype(np.float32)


def render(path, output, policy=NOTHING_REPLACED, board=HALVES, **settings):
    return render_song(Song(path, path.stem, output), board, VOICING, Settings(**settings), policy)


def stems_of(report, kind="float32"):
    folder = report.folder
    return np.stack(
        [
            soundfile.read(os.path.join(folder, stem.path), dtype=kind, always_2d=True)[0].T
            for name, stem in report.stems.items()
            if name != "mix"
        ]
    )


def write_song(path):
    """A stereo file of 60000 frames of noise."""
    soundfile.write(path, noise(2, 60000).T, 44100, subtype="FLOAT")
    return path
