"""Compose the demo song: a mix and its four true stems, the same on every machine to the last bit but one.

    python examples/compose_demo.py [--out FOLDER]

Writes demo.flac, the exact sum of the four files that it writes to demo-stems-true/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from demo_song import bass, drums, keys, voice
from demo_song.sound import SAMPLE_RATE, Signal, gain

SEED = 1
PLAYERS = {"vocals": voice.play, "drums": drums.play, "bass": bass.play, "other": keys.play}
# Root mean square of each stem where it plays, against the mix: voice and drums in front.
LEVELS_DB = {"vocals": -17.0, "drums": -15.5, "bass": -18.0, "other": -20.5}
PEAK_DB = -1.0


def loudness(track: Signal) -> float:
    """Root mean square over the louder half of the 50 ms blocks, so that pauses do not count."""
    block = SAMPLE_RATE // 20
    power = (track[:, : track.shape[1] // block * block] ** 2).reshape(2, -1, block).mean(axis=(0, 2))
    return float(np.sqrt(np.sort(power)[power.size // 2 :].mean()))


def compose(seed: int = SEED) -> dict[str, NDArray[np.int16]]:
    """The four stems, 16 bit. Shape of each: `(2, frames)`."""
    tracks = {}
    for number, (name, play) in enumerate(PLAYERS.items()):
        track = play(np.random.default_rng([seed, number]))
        tracks[name] = track * gain(LEVELS_DB[name]) / loudness(track)
    peak = np.abs(sum(tracks.values())).max()
    fade = np.minimum(1.0, np.arange(track.shape[1])[::-1] / (0.6 * SAMPLE_RATE)) ** 2
    scale = 32767.0 * gain(PEAK_DB) / peak
    return {name: np.round(scale * fade * track).astype(np.int16) for name, track in tracks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    stems = compose()
    (out / "demo-stems-true").mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(out / "demo-stems-true" / f"{name}.flac", stem.T, SAMPLE_RATE, "PCM_16")
    mix = np.sum(list(stems.values()), axis=0, dtype=np.int32).astype(np.int16)
    soundfile.write(out / "demo.flac", mix.T, SAMPLE_RATE, "PCM_16")
    print(f"wrote {out / 'demo.flac'} and its stems, {mix.shape[1] / SAMPLE_RATE:.1f} s")


if __name__ == "__main__":
    main()
