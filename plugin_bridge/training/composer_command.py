"""Make labelled multitrack songs of a folder of samples, MIDI files and vocal phrases."""

from __future__ import annotations

import argparse
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `compose`."""
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, help="samples, MIDI and vocals; composer_sources.toml says where")
    add("-o", "--output", metavar="DIR", type=Path, required=True, help="where the songs go, a folder each")
    add("--songs", type=int, default=500, metavar="N", help="how many songs (default: 500)")
    add("--seed", type=int, default=0, metavar="S", help="another seed gives other songs (default: 0)")
    add("--seconds", type=float, default=75.0, metavar="N", help="about how long each lasts (default: 75)")
    add("--jobs", type=int, default=1, metavar="J", help="processes at work (default: 1)")
    add("--no-soundfonts", action="store_true", help="play samples only, even where FluidSynth is installed")
    add("--format", default="flac", metavar="flac|ogg|wav", help="of the stems (default: flac, 16 bits)")


def run(arguments: argparse.Namespace) -> int:
    """Compose, and say how far it is."""
    from plugin_bridge.training.composer import compose

    began = time.monotonic()
    composed = compose(
        arguments.data,
        arguments.output,
        songs=arguments.songs,
        seed=arguments.seed,
        seconds=arguments.seconds,
        jobs=arguments.jobs,
        suffix=arguments.format,
        fonts=not arguments.no_soundfonts,
    )
    hours = 0.0
    for number, facts in enumerate(composed, 1):
        hours += facts["seconds"] / 3600
        arrangement = facts["arrangement"]
        print(
            f"{number}/{arguments.songs}: song-{facts['index']:05d}, {arrangement['singer']} over "
            f"{arrangement['score']} at {arrangement['tempo_bpm']:.0f} bpm",
            flush=True,
        )
    minutes = (time.monotonic() - began) / 60
    print(f"{arguments.songs} songs, {hours:.2f} hours, in {minutes:.1f} minutes: {arguments.output}")
    print(f"their sources and licences: {arguments.output / 'sources.json'}")
    return 0
