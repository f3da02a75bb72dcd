"""EQ, compression and reverb as a mixing engineer might set them, drawn at random."""

from __future__ import annotations

import numpy as np
import pedalboard
from pedalboard import Plugin


def drawn_effects(chance: float, draw: np.random.Generator) -> list[Plugin]:
    """Pedalboard effects in the order of a channel strip, each kind there with the given chance."""
    makers = (drawn_equaliser, drawn_compressor, drawn_reverb)
    chosen = draw.random(len(makers)) < chance
    return [plugin for wanted, make in zip(chosen, makers, strict=True) if wanted for plugin in make(draw)]


def drawn_equaliser(draw: np.random.Generator, most_db: float = 9.0) -> list[Plugin]:
    """A low shelf, one bell and a high shelf, each within `most_db` either way."""
    low, mid, high = draw.uniform(-most_db, most_db, 3)
    bell_hz = float(np.exp(draw.uniform(np.log(200), np.log(6000))))
    return [
        pedalboard.LowShelfFilter(draw.uniform(80, 300), low),
        pedalboard.PeakFilter(bell_hz, mid, draw.uniform(0.4, 2.0)),
        pedalboard.HighShelfFilter(draw.uniform(3000, 10000), high),
    ]


def drawn_compressor(draw: np.random.Generator) -> list[Plugin]:
    """A compressor with about the gain that it takes given back."""
    threshold, ratio = draw.uniform(-30, -12), draw.uniform(1.5, 6)
    return [
        pedalboard.Compressor(threshold, ratio, draw.uniform(1, 30), draw.uniform(50, 300)),
        pedalboard.Gain(-threshold * (1 - 1 / ratio) * 0.4),
    ]


def drawn_reverb(draw: np.random.Generator) -> list[Plugin]:
    """A room from small and near to large and far, the dry signal always loudest."""
    return [
        pedalboard.Reverb(
            room_size=draw.uniform(0.1, 0.9),
            damping=draw.uniform(0.2, 0.9),
            wet_level=draw.uniform(0.03, 0.25),
            dry_level=0.4,  # JUCE's reverb doubles its dry level
            width=draw.uniform(0.5, 1.0),
        )
    ]
