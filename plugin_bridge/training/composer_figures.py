"""What a song's stems measure: level against the mix, octave bands, crest, width, silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio, Stems

BANDS_HZ = (31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
"""Centres of the octave bands."""
FLOOR_DB = -60.0
"""What a second's RMS must reach, against full scale, not to count as silent; also the least band level."""


@dataclass(frozen=True)
class Figures:
    """One stem: levels in dB, `bands_db` against the stem's own total, `silent` a share of its seconds."""

    level_db: float
    crest_db: float
    width_db: float
    silent: float
    bands_db: NDArray[np.float64]


def figures(stems: Stems, sources: Sequence[str], sample_rate: int) -> dict[str, Figures]:
    """The figures of every stem that sounds at all. Shape: `(sources, 2, frames)`.

    `level_db` is the stem's RMS against that of the sum of all stems.
    """
    mix_db = rms_db(stems.sum(0))
    return {
        source: _figures(stem, sample_rate, mix_db)
        for source, stem in zip(sources, stems, strict=True)
        if rms_db(stem) > FLOOR_DB
    }


def rms_db(audio: Audio) -> float:
    """RMS against full scale, -200 dB for silence."""
    return float(10 * np.log10(max(1e-20, float(np.mean(np.square(audio, dtype=np.float64))))))


def median_bands(found: Iterable[Figures]) -> NDArray[np.float64]:
    """The median of each octave band over stems. Shape: `(bands,)`."""
    return np.asarray(np.median([each.bands_db for each in found], 0))


def _figures(stem: Audio, sample_rate: int, mix_db: float) -> Figures:
    level_db = rms_db(stem)
    seconds = [stem[:, start : start + sample_rate] for start in range(0, stem.shape[-1], sample_rate)]
    middle, side = stem[0] + stem[1], stem[0] - stem[1]
    return Figures(
        level_db=level_db - mix_db,
        crest_db=float(20 * np.log10(np.abs(stem).max())) - level_db,
        width_db=max(FLOOR_DB, rms_db(side) - rms_db(middle)),
        silent=float(np.mean([rms_db(second) < FLOOR_DB for second in seconds])),
        bands_db=_bands_db(stem.mean(0), sample_rate),
    )


def _bands_db(mono: Audio, sample_rate: int) -> NDArray[np.float64]:
    size = 8192
    hops = range(0, max(1, len(mono) - size + 1), size)
    window = np.hanning(size)
    power = sum(np.abs(np.fft.rfft(window * _padded(mono[hop : hop + size], size))) ** 2 for hop in hops)
    spectrum = np.asarray(power, np.float64)
    bins_hz = np.fft.rfftfreq(size, 1 / sample_rate)
    edges = [(centre / 2**0.5, centre * 2**0.5) for centre in BANDS_HZ]
    bands = np.array([spectrum[(bins_hz >= low) & (bins_hz < high)].sum() for low, high in edges])
    return np.asarray(np.maximum(FLOOR_DB, 10 * np.log10(bands / max(1e-20, float(bands.sum())) + 1e-12)))


def _padded(piece: Audio, size: int) -> Audio:
    return piece if len(piece) == size else np.pad(piece, (0, size - len(piece)))
