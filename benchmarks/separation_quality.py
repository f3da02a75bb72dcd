"""How well models separate songs whose stems are known: SDR of every stem, against a quarter of the mix.

`python -m benchmarks.separation_quality --data DIR [--models classic4,...]` scores every song of a folder,
`DIR/SONG/{vocals,drums,bass,other}.{wav,flac,ogg}`; the mix is the sum of the stems. Without `--data` it is
the folder that the environment variable PLUGIN_BRIDGE_SONGS names, or else the demo song.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.tables import Table, publish
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import Stems

name = "separation_quality"
NEEDS_SONGS = True

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("vocals", "drums", "bass", "other")
RATE = 44100
SILENT_DB = -80.0
"""Mean power, over full scale, under which a reference is silent and is not scored."""

Scores = NDArray[np.float64]
"""SDR in dB, `(songs, sources)`; NaN where the reference is silent."""


def songs_of(folder: Path) -> list[Path]:
    """The folders of all songs that have every stem. Raises `SystemExit` where there is none."""
    songs = [song for song in sorted(folder.iterdir()) if all(stem_files(song, stem) for stem in SOURCES)]
    if not songs:
        raise SystemExit(f"data must be a folder of songs with {', '.join(SOURCES)} in each, got {folder}")
    return songs


def stem_files(song: Path, stem: str) -> list[Path]:
    """The files of a stem; more than one means the same in several formats."""
    return [song / f"{stem}.{kind}" for kind in ("wav", "flac", "ogg") if (song / f"{stem}.{kind}").is_file()]


def true_stems(song: Path) -> Stems:
    """The references. Shape: `(sources, channels, frames)`. Raises `SystemExit` for another format."""
    stems = []
    for stem in SOURCES:
        audio, rate = soundfile.read(stem_files(song, stem)[0], dtype="float32", always_2d=True)
        if rate != RATE or audio.shape[1] != 2:
            got = f"{audio.shape[1]} channels at {rate} Hz in {song}"
            raise SystemExit(f"stems must be stereo at {RATE} Hz, got {got}")
        stems.append(audio.T)
    frames = min(stem.shape[1] for stem in stems)
    return np.stack([stem[:, :frames] for stem in stems])


def sdr_db(reference: Stems, estimate: Stems) -> Scores:
    """Energy of the reference over that of the error, both channels of the whole signal; NaN where silent.

    Shape: `(sources, channels, frames)` to `(sources,)`.
    """
    energy = (reference.astype(np.float64) ** 2).sum(axis=(1, 2))
    error = ((reference.astype(np.float64) - estimate) ** 2).sum(axis=(1, 2))
    heard = energy > 10 ** (SILENT_DB / 10) * reference[0].size
    ratio = np.divide(energy, np.maximum(error, np.finfo(np.float64).tiny))
    return np.where(heard, 10 * np.log10(np.where(heard, ratio, 1)), np.nan)


def per_second(reference: Stems, estimate: Stems) -> Scores:
    """The median of the SDR over whole seconds in which the reference sounds. Shape: as `sdr_db`."""
    seconds = range(0, reference.shape[-1] - RATE + 1, RATE)
    scores = [sdr_db(reference[..., at : at + RATE], estimate[..., at : at + RATE]) for at in seconds]
    return median(np.array(scores)) if scores else sdr_db(reference, estimate)


def median(scores: Scores) -> Scores:
    """The median over the first axis of all that is scored; NaN where nothing is."""
    columns = [column[~np.isnan(column)] for column in scores.T]
    return np.array([np.median(column) if column.size else np.nan for column in columns])


def mean(scores: Scores) -> Scores:
    """The mean over the first axis of all that is scored; NaN where nothing is."""
    columns = [column[~np.isnan(column)] for column in scores.T]
    return np.array([column.mean() if column.size else np.nan for column in columns])


def score(songs: list[Path], separate: Callable[[Stems], Stems]) -> tuple[Scores, Scores]:
    """SDR over whole songs, and the median over their seconds, of the stems `separate` makes."""
    whole, seconds = [], []
    for song in songs:
        truth = true_stems(song)
        estimate = separate(truth.sum(axis=0))
        whole.append(sdr_db(truth, estimate))
        seconds.append(per_second(truth, estimate))
    return np.array(whole), np.array(seconds)


def quarter(mix: Stems) -> Stems:
    """A quarter of the mix as every stem: what knowing nothing scores."""
    return np.broadcast_to(mix / len(SOURCES), (len(SOURCES), *mix.shape))


def four_source_models() -> list[str]:
    """The models of the catalogue that give these stems."""
    return [model for model in catalogue.names() if tuple(catalogue.card(model).sources) == SOURCES]


def model_of(model: str) -> Callable[[Stems], Stems]:
    """How a model separates. Raises `SystemExit` for a model of other stems."""
    separator = catalogue.load(model)
    if separator.sources != SOURCES or separator.sample_rate != RATE:
        raise SystemExit(f"model must give {', '.join(SOURCES)} at {RATE} Hz, got '{model}'")
    return separator.separate


def measure(data: Path, models: list[str], about: str) -> Table:
    """Score a quarter of the mix and every model."""
    songs = songs_of(data)
    methods = {"a quarter of the mix": quarter} | {f"`{model}`": model_of(model) for model in models}
    rows, least = [], None
    for label, separate in methods.items():
        whole, seconds = score(songs, separate)
        means = mean(whole)
        least = means if least is None else least
        for kind, values in (
            ("mean", means),
            ("mean, over a quarter of the mix", means - least),
            ("median", median(whole)),
            ("median of 1 s medians", median(seconds)),
        ):
            if not kind.endswith("quarter of the mix") or separate is not quarter:
                rows.append((label, kind, *(f"{value:.2f}" for value in (*values, values.mean()))))
    return Table(
        title="Separation quality",
        columns=("model", "SDR in dB", *SOURCES, "all"),
        rows=tuple(rows),
        note=f"{len(songs)} {'song' if len(songs) == 1 else 'songs'} of {about}; the mix is the sum of the "
        "stems. SDR: energy of the true stem over the energy of the error, both channels of the whole song; "
        "silent stems are left out.",
    )


def run() -> Table:
    """Score every model of four stems on the songs that are at hand."""
    data = songs_at_hand()
    return measure(data, four_source_models(), f"`{data.name}`")


def songs_at_hand() -> Path:
    """The folder of songs that the environment names, or that of the demo song."""
    return Path(os.environ.get("PLUGIN_BRIDGE_SONGS", ROOT / "examples"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.separation_quality", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of songs (default: see above)")
    parser.add_argument("--about", metavar="TEXT", help="what the songs are, for the note")
    parser.add_argument("--models", metavar="NAME,...", help="models to score (default: all of four stems)")
    given = parser.parse_args()
    data = given.data or songs_at_hand()
    models = given.models.split(",") if given.models else four_source_models()
    table = measure(data, models, given.about or f"`{data.name}`")
    publish(name, table, ROOT)
    print(table.markdown())


if __name__ == "__main__":
    main()
