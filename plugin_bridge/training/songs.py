"""From a recipe and folders to the batches of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from plugin_bridge.errors import AudioFileError, ModelError
from plugin_bridge.separation import networks
from plugin_bridge.training.cache import CachedSong, cached_songs
from plugin_bridge.training.datasets import Song, find_songs
from plugin_bridge.training.recipe import Recipe
from plugin_bridge.training.remix import Batches


def batches_of(
    recipe: Recipe,
    folders: Sequence[str | os.PathLike[str]],
    cache: str | os.PathLike[str] | None = None,
    *,
    partial: Sequence[str | os.PathLike[str]] = (),
    rank: int = 0,
    note: Callable[[str], None] = print,
) -> Batches:
    """The batches that a recipe asks for, of all songs in the folders, decoded once into the cache.

    Songs of the folders in `partial` may lack stems, which are silent in them; of singing alone, say. A
    folder given as `FOLDER@0.25` is drawn from by a quarter of all draws, others by their length; a draw
    that finds a source silent is mostly drawn again.
    Raises `AudioFileError` for songs that cannot be used, `ModelError` for a config that cannot be built.
    """
    try:
        config = networks.config(recipe.architecture, recipe.config)
    except ValueError as error:
        raise ModelError(f"a recipe must describe a network that can be built: {error}") from error
    found = [_found(text, config.sources, ()) for text in folders]
    found += [_found(text, config.sources, config.sources) for text in partial]
    if not any(songs for songs, _ in found):
        raise AudioFileError(
            f"training must have songs with {', '.join(config.sources)}, got none in "
            f"{', '.join(str(folder) for folder in (*folders, *partial))}; choose other folders"
        )
    cached = [
        cached_songs(
            songs,
            sample_rate=config.sample_rate,
            channels=config.channels,
            folder=Path(cache) if cache else None,
            variants=recipe.examples.song_variants(),
            jobs=os.cpu_count() or 1,
            note=note,
        )
        for songs, _ in found
    ]
    return Batches(
        [song for songs in cached for song in songs],
        recipe.examples.sampling(config.sample_rate),
        seed=recipe.seed,
        rank=rank,
        weights=_weights(cached, [share for _, share in found]),
    )


def _found(
    text: str | os.PathLike[str], sources: Sequence[str], silent: Sequence[str]
) -> tuple[list[Song], float | None]:
    """The songs of `FOLDER` or `FOLDER@SHARE`, and the share. Raises `ValueError` for a share not in 0..1."""
    folder, at, share = os.fspath(text).rpartition("@")
    if not at or Path(text).is_dir():
        return find_songs(Path(text), sources, silent=silent), None
    try:
        value = float(share)
    except ValueError:
        return find_songs(Path(text), sources, silent=silent), None
    if not 0 < value < 1:
        raise ValueError(f"a folder's share must be between 0 and 1, got {share} for {folder}")
    return find_songs(Path(folder), sources, silent=silent), value


def _weights(cached: Sequence[Sequence[CachedSong]], shares: Sequence[float | None]) -> list[float]:
    """How often a second of each song is drawn: folders without a share part what the others leave.

    Raises `ValueError` for shares that leave nothing where something must be left, or leave something over.
    """
    seconds = [sum(song.frames / song.sample_rate for song in songs) for songs in cached]
    rest = 1 - sum(share for share in shares if share is not None)
    free = sum(length for length, share in zip(seconds, shares, strict=True) if share is None)
    if (rest <= 0) if free else abs(rest) > 1e-9:
        raise ValueError(
            "the shares of folders must be less than 1 together, or 1 where every folder has one, "
            f"got {1 - rest:g}"
        )
    each = [
        rest / free if share is None else share / length
        for length, share in zip(seconds, shares, strict=True)
    ]
    return [weight for songs, weight in zip(cached, each, strict=True) for _ in songs]
