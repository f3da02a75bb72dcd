"""Changes drawn for each stem of an example: gain, channel swap, polarity, shift, and pedalboard effects.

The set follows the Unet-SE-BiSRU paper (section 4.2, after Demucs), with effects as later work adds them.
What is drawn depends only on the generator given, so an example is the same wherever it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pedalboard

from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.training.augmentation_effects import drawn_effects


@dataclass(frozen=True)
class Augmentation:
    """How likely each change is, and how far it goes. The defaults are those of most recipes.

    Gains are drawn evenly in dB. `shift_seconds` moves each stem of one song against the others, either
    way. `effects` is the chance of each of EQ, compression and reverb, for each stem by itself.
    """

    gain_db: tuple[float, float] = (-9.0, 3.0)
    swap: float = 0.5
    polarity: float = 0.5
    shift_seconds: float = 0.5
    effects: float = 0.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for a chance outside 0..1 or a range that runs backwards."""
        for name in ("swap", "polarity", "effects"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the chance '{name}' must be in 0..1, got {getattr(self, name)}")
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db must run from low to high, got {list(self.gain_db)}")
        if self.shift_seconds < 0:
            raise ValueError(f"shift_seconds must not be negative, got {self.shift_seconds}")


NOTHING = Augmentation(gain_db=(0.0, 0.0), swap=0, polarity=0, shift_seconds=0, effects=0)
"""Leaves every example as it is."""


def augment(stems: Stems, augmentation: Augmentation, draw: np.random.Generator, sample_rate: int) -> None:
    """Change the stems of one example in place, each by its own draws.

    Shape: `(sources, channels, frames)`.
    """
    for stem in stems:
        # Always the same number of draws: a chance changed in a recipe moves nothing else.
        gain, swap, turn, own = (
            draw.uniform(*augmentation.gain_db),
            *draw.random(2),
            int(draw.integers(2**31)),
        )
        if swap < augmentation.swap:
            stem[:] = stem[::-1].copy()
        if augmentation.effects and stem.any():
            _apply(stem, augmentation.effects, np.random.default_rng(own), sample_rate)
        stem *= np.float32(10 ** (gain / 20) * (-1 if turn < augmentation.polarity else 1))


def drawn_shift(augmentation: Augmentation, draw: np.random.Generator, sample_rate: int) -> int:
    """Frames by which one stem starts later in its song, or earlier where negative."""
    most = round(augmentation.shift_seconds * sample_rate)
    return int(draw.integers(-most, most + 1))


def _apply(stem: Audio, chance: float, draw: np.random.Generator, sample_rate: int) -> None:
    effects = drawn_effects(chance, draw)
    if effects:
        stem[:] = pedalboard.Pedalboard(effects)(stem, sample_rate)
