"""Composed stems beside real ones: the page that says how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.composer import read_facts
from plugin_bridge.training.composer_figures import BANDS_HZ, Figures, figures, median_bands
from plugin_bridge.training.composer_mix import SOURCES
from plugin_bridge.training.composer_sources import Use, licences, notes
from plugin_bridge.training.datasets import Song, find_songs, read_track

Measured = dict[str, list[Figures]]


def report(composed: Path, reference: Path, reference_name: str, command: str) -> str:
    """A Markdown page of the songs in one folder measured against the real ones in another.

    Raises `ValueError` where a folder holds no songs or none that the composer made.
    """
    facts = [fact for home in sorted(composed.glob("song-*")) if (fact := read_facts(home))]
    if not facts:
        raise ValueError(f"a report needs composed songs, got none in '{composed}'; compose some first")
    ours, real = measured(find_songs(composed, SOURCES)), measured(find_songs(reference, SOURCES))
    return "\n".join(
        [
            "# The composer's songs beside real ones",
            "",
            f"Written by `{command}`. Do not edit.",
            "",
            *_production(facts),
            "",
            "## Levels",
            "",
            f"{len(facts)} composed songs against {reference_name}: the median over",
            "songs, with the 10th and 90th percentile. A level is a stem's RMS against that of the mix;",
            "width is the side signal against the middle; silent is the share of seconds below -60 dBFS.",
            "The real songs are short excerpts of where everything plays, so they are silent less often.",
            "",
            *_levels(ours, real),
            "",
            "## Spectrum",
            "",
            "Energy in octave bands against the stem's total, in dB, the median over songs; and the mean",
            "distance of the bands in which the real stem has more than -40 dB.",
            "",
            *_spectrum(ours, real),
            "",
            "## What they are made of",
            "",
            *_sources(composed, facts),
            "",
        ]
    )


def measured(songs: Sequence[Song]) -> Measured:
    """The figures of every stem of these songs that sounds, by source."""
    found: Measured = {source: [] for source in SOURCES}
    for song in songs:
        for source, its in figures(_stems(song), SOURCES, song.sample_rate).items():
            found[source].append(its)
    return found


def distance_db(ours: Sequence[Figures], real: Sequence[Figures]) -> float:
    """Mean distance of the median bands, of those in which the real stem has more than -40 dB."""
    mine, theirs = median_bands(ours), median_bands(real)
    heard = theirs > -40
    return float(np.mean(np.abs(mine - theirs)[heard]))


def _stems(song: Song) -> Stems:
    stems = np.zeros((len(SOURCES), 2, song.frames), np.float32)
    for stem, source in zip(stems, SOURCES, strict=True):
        for track in song.stems[source]:
            stem += read_track(track)
    return stems


def _production(facts: Sequence[dict[str, Any]]) -> list[str]:
    hours = sum(fact["seconds"] for fact in facts) / 3600
    speed = sum(fact["seconds"] for fact in facts) / max(
        1e-9, sum(fact["processor_seconds"] for fact in facts)
    )
    arrangements = [fact["arrangement"] for fact in facts]
    different = len({repr(sorted(arrangement.items())) for arrangement in arrangements})
    counts = ", ".join(
        f"{len({arrangement[name] for arrangement in arrangements})} {words}"
        for name, words in (
            ("score", "scores"),
            ("groove", "grooves"),
            ("singer", "voices"),
            ("bass", "bass lines"),
        )
    )
    return [
        f"{len(facts)} songs, {hours:.2f} hours, {different} of them different arrangements ({counts}).",
        f"One processor second gives {speed:.1f} seconds of song, all four stems and their files included;",
        f"ten hours take {10 / speed:.1f} processor hours.",
    ]


def _levels(ours: Measured, real: Measured) -> list[str]:
    columns: list[tuple[str, Callable[[Figures], float]]] = [
        ("level, dB", lambda its: its.level_db),
        ("crest, dB", lambda its: its.crest_db),
        ("width, dB", lambda its: its.width_db),
        ("silent, %", lambda its: 100 * its.silent),
    ]
    lines = [
        "| stem | of | " + " | ".join(name for name, _ in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for source in SOURCES:
        for whose, found in (("composed", ours[source]), ("real", real[source])):
            cells = [_spread([figure(its) for its in found]) for _, figure in columns]
            lines.append(f"| {source} | {whose} | " + " | ".join(cells) + " |")
    return lines


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def _spectrum(ours: Measured, real: Measured) -> list[str]:
    names = [f"{centre / 1000:g}k" if centre >= 1000 else f"{centre:g}" for centre in BANDS_HZ]
    lines = ["| stem | of | " + " | ".join(names) + " | distance |", "|---|---|" + "---|" * (len(names) + 1)]
    for source in SOURCES:
        if not (ours[source] and real[source]):
            continue
        for whose, found in (("composed", ours[source]), ("real", real[source])):
            cells = [f"{level_db:.0f}" for level_db in median_bands(found)]
            apart = f"{distance_db(ours[source], real[source]):.1f}" if whose == "composed" else ""
            lines.append(f"| {source} | {whose} | " + " | ".join(cells) + f" | {apart} |")
    return lines


def _sources(composed: Path, facts: Sequence[dict[str, Any]]) -> list[str]:
    uses = {Use(**use) for fact in facts for use in fact["uses"]}
    lines = ["| licence | sources |", "|---|---|"]
    lines += [f"| {licence} | {'; '.join(names)} |" for licence, names in licences(uses).items()]
    if added := notes(composed, uses):
        lines += ["", *(f"{source}: {note}." for source, note in added.items())]
    return lines
