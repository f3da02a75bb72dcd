"""From a recipe and folders to the batches of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from plugin_bridge.errors import AudioFileError, ModelError
from plugin_bridge.separation import networks
from plugin_bridge.training.cache import cached_songs
from plugin_bridge.training.datasets import find_songs
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

    Songs of the folders in `partial` may lack stems, which are silent in them; of singing alone, say.
    Raises `AudioFileError` for songs that cannot be used, `ModelError` for a config that cannot be built.
    """
    try:
        config = networks.config(recipe.architecture, recipe.config)
    except ValueError as error:
        raise ModelError(f"a recipe must describe a network that can be built: {error}") from error
    songs = [song for folder in folders for song in find_songs(Path(folder), config.sources)]
    for folder in partial:
        songs += find_songs(Path(folder), config.sources, silent=config.sources)
    if not songs:
        raise AudioFileError(
            f"training must have songs with {', '.join(config.sources)}, got none in "
            f"{', '.join(str(folder) for folder in (*folders, *partial))}; choose other folders"
        )
    cached = cached_songs(
        songs,
        sample_rate=config.sample_rate,
        channels=config.channels,
        folder=Path(cache) if cache else None,
        variants=recipe.examples.song_variants(),
        jobs=os.cpu_count() or 1,
        note=note,
    )
    return Batches(cached, recipe.examples.sampling(config.sample_rate), seed=recipe.seed, rank=rank)
