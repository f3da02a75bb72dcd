"""Pitch and tempo variants of whole songs, made once for the cache because they cost too much in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pedalboard
import soxr

from plugin_bridge.separation.separator import Audio, Stems

SPEED_TOLERANCE = 1e-3
"""How far, relatively, tempo may be from what pitch says for a change of speed."""


@dataclass(frozen=True)
class Variant:
    """A song `semitones` higher and `tempo` times as fast."""

    semitones: float = 0.0
    tempo: float = 1.0

    def __post_init__(self) -> None:
        """Raises `ValueError` outside what still sounds like music."""
        if not -12 <= self.semitones <= 12:
            raise ValueError(f"a variant's semitones must be in -12..12, got {self.semitones}")
        if not 0.5 <= self.tempo <= 2:
            raise ValueError(f"a variant's tempo must be in 0.5..2, got {self.tempo}")

    @property
    def is_speed(self) -> bool:
        """Whether pitch and tempo change together, as of a tape that runs faster or slower."""
        return abs(self.tempo / 2 ** (self.semitones / 12) - 1) < SPEED_TOLERANCE

    @property
    def suffix(self) -> str:
        """What sets its name apart: `" (+2 st, x0.94)"`, nothing for the original."""
        return "" if self == ORIGINAL else f" ({self.semitones:+g} st, x{self.tempo:g})"


ORIGINAL = Variant()


def drawn_variants(seed: int, count: int, *, semitones: float = 3.0, tempo: float = 0.12) -> list[Variant]:
    """The original and `count` variants within these ranges either way, the same for the same seed.

    >>> drawn_variants(1, 1) == drawn_variants(1, 1)
    True
    """
    draw = np.random.default_rng(seed)
    return [ORIGINAL] + [
        Variant(
            float(draw.integers(-round(semitones), round(semitones) + 1)), 1 + draw.uniform(-tempo, tempo)
        )
        for _ in range(count)
    ]


def varied(stems: Stems, sample_rate: int, variant: Variant) -> Stems:
    """All stems by one stretch, of equal length: `frames / tempo`, by Rubber Band's phase vocoder.

    Where pitch and tempo change together they are resampled instead, a hundred times faster and without a
    trace.
    Shape: `(sources, channels, frames)` to `(sources, channels, round(frames / tempo))`.
    """
    if variant == ORIGINAL:
        return stems
    frames = round(stems.shape[-1] / variant.tempo)
    out = np.zeros((*stems.shape[:2], frames), np.float32)
    for done, stem in zip(out, stems, strict=True):
        if stem.any():
            stretched = _stretched(stem, sample_rate, variant)
            kept = min(frames, stretched.shape[-1])
            done[:, :kept] = stretched[:, :kept]
    return out


def _stretched(stem: Audio, sample_rate: int, variant: Variant) -> Audio:
    if variant.is_speed:
        resampled: Audio = soxr.resample(stem.T, variant.tempo, 1.0, quality="HQ").T
        return resampled
    return pedalboard.time_stretch(
        stem, sample_rate, variant.tempo, variant.semitones, preserve_formants=False
    )


def parsed_variants(texts: Sequence[Sequence[float]]) -> list[Variant]:
    """Variants as a recipe lists them, pairs of semitones and tempo; always with the original first.

    Raises `ValueError` for anything but pairs.

    >>> parsed_variants([[2, 0.95]])
    [Variant(semitones=0.0, tempo=1.0), Variant(semitones=2, tempo=0.95)]
    """
    if any(len(pair) != 2 for pair in texts):
        raise ValueError(f"variants must be pairs of semitones and tempo, got {list(map(list, texts))}")
    variants = [Variant(*pair) for pair in texts]
    return [ORIGINAL, *(variant for variant in variants if variant != ORIGINAL)]
