"""Multitrack songs made from a folder of samples, MIDI and voices, the same for the same seed."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from plugin_bridge.errors import AudioFileError
from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.composer_arrangement import arrange
from plugin_bridge.training.composer_library import Library, open_library
from plugin_bridge.training.composer_mix import SOURCES, render
from plugin_bridge.training.composer_samples import RATE
from plugin_bridge.training.composer_sources import Use, licences, notes

FORMATS = ("flac", "ogg", "wav")
RECIPE = 1
"""Raised when the same seed gives another song than before."""
SECONDS = 75.0
"""How long a song is unless said: 500 of them last ten hours."""

Work = tuple[Path, int, int, float, str]
"""Folder, seed, number, seconds and kind of file of one song."""
_library: Library | None = None


def compose(
    data: Path,
    output: Path,
    *,
    songs: int,
    seed: int = 0,
    seconds: float = SECONDS,
    jobs: int = 1,
    suffix: str = "flac",
    fonts: bool = True,
) -> Iterator[dict[str, Any]]:
    """Write `output/song-NNNNN/{vocals,drums,bass,other}` with a `song.json` each; yield what that says.

    A song that is there already from the same seed is kept, so that a broken run goes on. When all are
    there, `output/sources.json` lists every source and licence that they used. Without `fonts` no soundfont
    is played, even where FluidSynth is installed.
    Raises `ValueError` for data that cannot be composed from, `AudioFileError` where nothing can be written.
    """
    if songs < 1 or jobs < 1:
        raise ValueError(f"composing needs one song and one job or more, got {songs} and {jobs}")
    if seconds < 10:
        raise ValueError(f"a composed song must last 10 seconds or more, got {seconds}")
    if suffix not in FORMATS:
        raise ValueError(f"composed stems must be written as one of {', '.join(FORMATS)}, got '{suffix}'")
    open_library(data, None if fonts else [])  # says at once, and in this process, what is missing
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"'{output}' must be a folder to write to, got '{error.strerror}'") from error
    facts = []
    for fact in _composed(
        data, fonts, [(output, seed, index, seconds, suffix) for index in range(songs)], jobs
    ):
        facts.append(fact)
        yield fact
    _write_sources(data, output, facts)


def compose_song(
    library: Library, seed: int, index: int, seconds: float = SECONDS
) -> tuple[Stems, dict[str, Any]]:
    """One song of a seed: its stems in the order of `SOURCES`, and what it is made of.

    Shape: `(4, 2, frames)` at 44.1 kHz.
    """
    draw = np.random.default_rng([seed, index, RECIPE])
    song = arrange(library, draw, seconds)
    stems, uses = render(song, draw)
    facts = {
        "seed": seed,
        "index": index,
        "recipe": RECIPE,
        "seconds": stems.shape[-1] / RATE,
        "asked_seconds": seconds,
        "arrangement": song.facts,
        "licences": licences(uses),
        "uses": [asdict(use) for use in sorted(uses, key=lambda use: (use.stem, use.source, use.file))],
    }
    return stems, facts


def _composed(data: Path, fonts: bool, work: list[Work], jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1:
        _open(data, fonts)
        yield from (_write_song(*each) for each in work)
        return
    # A fresh interpreter each: a fork would copy locks that pedalboard's threads may hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _open, (data, fonts)) as pool:
        futures = [pool.submit(_write_song, *each) for each in work]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _open(data: Path, fonts: bool) -> None:
    global _library  # one library for all songs of a worker process
    _library = open_library(data, None if fonts else [])


def _write_song(output: Path, seed: int, index: int, seconds: float, suffix: str) -> dict[str, Any]:
    home = output / f"song-{index:05d}"
    if kept := _kept(home, seed, seconds, suffix):
        return kept
    assert _library is not None
    began = _processor_seconds()
    stems, facts = compose_song(_library, seed, index, seconds)
    aside = Path(tempfile.mkdtemp(prefix=".composing-", dir=output))
    try:
        for source, stem in zip(SOURCES, stems, strict=True):
            write_stem(aside / f"{source}.{suffix}", stem)
        facts["processor_seconds"] = round(_processor_seconds() - began, 3)
        (aside / "song.json").write_text(json.dumps(facts, indent=1), "utf-8")
        shutil.rmtree(home, ignore_errors=True)
        aside.rename(home)
    except (OSError, soundfile.LibsndfileError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise AudioFileError(
            f"'{home}' must be writable, got '{error}'; make room or choose another"
        ) from error
    return facts


def write_stem(path: Path, stem: Stems) -> None:
    """A stem as a sound file of 16 bits, or Vorbis at a high quality. Shape: `(2, frames)`."""
    kind = {"ogg": ("OGG", "VORBIS"), "flac": ("FLAC", "PCM_16"), "wav": ("WAV", "PCM_16")}[path.suffix[1:]]
    with soundfile.SoundFile(path, "w", RATE, 2, kind[1], format=kind[0]) as file:
        for start in range(0, stem.shape[-1], 65536):  # libsndfile's Vorbis encoder takes no more at once
            file.write(np.ascontiguousarray(stem[:, start : start + 65536].T))


def read_facts(home: Path) -> dict[str, Any] | None:
    """What a composed song's folder says of it; None where it says nothing whole."""
    try:
        facts: dict[str, Any] = json.loads((home / "song.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts


def _kept(home: Path, seed: int, seconds: float, suffix: str) -> dict[str, Any] | None:
    facts = read_facts(home)
    whole = all((home / f"{source}.{suffix}").is_file() for source in SOURCES)
    wanted = (seed, RECIPE, seconds)
    if facts and whole and (facts["seed"], facts["recipe"], facts["asked_seconds"]) == wanted:
        return facts
    return None


def _write_sources(data: Path, output: Path, facts: list[dict[str, Any]]) -> None:
    uses = {Use(**use) for fact in facts for use in fact["uses"]}
    said = {
        "songs": len(facts),
        "hours": round(sum(fact["seconds"] for fact in facts) / 3600, 3),
        "licences": licences(uses),
        "notes": notes(data, uses),
    }
    (output / "sources.json").write_text(json.dumps(said, indent=1), "utf-8")


def _processor_seconds() -> float:
    """Processor time of this process and of the FluidSynths that it has run."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
