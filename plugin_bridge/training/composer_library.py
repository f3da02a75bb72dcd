"""Everything that the composer can choose from, as found in one folder and on the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plugin_bridge.training.composer_kit import Hits, sorted_hits
from plugin_bridge.training.composer_samples import Sampled, sampled_instrument
from plugin_bridge.training.composer_soundfont import Soundfont, soundfonts
from plugin_bridge.training.composer_sources import Role, Source, files, read_sources
from plugin_bridge.training.composer_vocals import Singer, singers

MIDI = (".mid", ".midi")
PERFORMED = re.compile(r"_(?P<style>[a-z\-]+)_(?P<bpm>\d{2,3})_(?P<kind>beat|fill)_4-4$")


@dataclass(frozen=True)
class Groove:
    """A drum performance: a beat to go round, or a fill."""

    source: Source
    path: Path
    style: str
    tempo_bpm: float
    fill: bool


@dataclass(frozen=True)
class Library:
    """What there is to choose from, every list in a fixed order."""

    scores: list[tuple[Source, Path]]
    grooves: list[Groove]
    basses: list[Sampled]
    keys: list[Sampled]
    drums: dict[str, list[Hits]]
    singers: list[Singer]
    tracks: list[tuple[Source, Path]]
    fonts: list[Soundfont]


def open_library(data: Path, fonts: list[Soundfont] | None = None) -> Library:
    """What a folder holds, with the machine's soundfonts unless others are given.

    Raises `ValueError` where there is no folder, or nothing to play one of the four stems from.
    """
    found: dict[Role, list[tuple[Source, list[Path]]]] = {}
    for source in read_sources(data):
        suffixes = MIDI if source.role in ("scores", "grooves") else (".wav", ".flac", ".ogg")
        if paths := files(data, source, suffixes):
            found.setdefault(source.role, []).append((source, paths))
    drums: dict[str, list[Hits]] = {}
    for source, paths in found.get("hits", []):
        for role, hits in sorted_hits(source, paths).items():
            drums.setdefault(role, []).extend(hits)
    library = Library(
        scores=[(source, path) for source, paths in found.get("scores", []) for path in paths],
        grooves=[groove for source, paths in found.get("grooves", []) for groove in _grooves(source, paths)],
        basses=_instruments(found.get("bass", [])),
        keys=_instruments(found.get("keys", [])),
        drums=dict(sorted(drums.items())),
        singers=[singer for source, paths in found.get("vocals", []) for singer in singers(source, paths)],
        tracks=[(source, path) for source, paths in found.get("tracks", []) for path in paths],
        fonts=soundfonts() if fonts is None else fonts,
    )
    _check(library, data)
    return library


def _grooves(source: Source, paths: list[Path]) -> list[Groove]:
    matches = ((path, PERFORMED.search(path.stem)) for path in paths)
    return [
        Groove(source, path, match["style"], float(match["bpm"]), match["kind"] == "fill")
        for path, match in matches
        if match
    ]


def _instruments(found: list[tuple[Source, list[Path]]]) -> list[Sampled]:
    instruments = (sampled_instrument(source, paths) for source, paths in found)
    return [instrument for instrument in instruments if instrument]


def _check(library: Library, data: Path) -> None:
    needs = {
        "MIDI songs": bool(library.scores),
        "drum performances in 4/4 (..._BPM_beat_4-4.mid)": any(not groove.fill for groove in library.grooves),
        "vocal phrases": bool(library.singers),
        "drum hits with a kick and a snare, or FluidSynth with a soundfont": bool(library.fonts)
        or {"kick", "snare"} <= library.drums.keys(),
        "bass notes, or FluidSynth with a soundfont": bool(library.fonts or library.basses),
        "notes of other instruments, or FluidSynth with a soundfont": bool(library.fonts or library.keys),
    }
    for need, met in needs.items():
        if not met:
            raise ValueError(f"composing needs {need}, got none in '{data}'; see its table of sources")
