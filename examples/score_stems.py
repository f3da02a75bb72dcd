"""Tell how near separated stems are to true ones: the SDR of each, and that of the mix as it was.

python examples/score_stems.py SEPARATED TRUE MIX

SEPARATED and TRUE are folders with sound files (.wav or .flac) of the same stems, as long as the song MIX.
SDR in dB: the energy of the true stem over that of the error, both channels of the whole song.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile


def stems(folder: str) -> dict[str, np.ndarray]:
    """The sound files of a folder by their names, each `(frames, channels)`; ends the program without any."""
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix in (".wav", ".flac"))
    if not paths:
        sys.exit(f"a folder of stems must hold .wav or .flac files, got none in {folder}")
    return {path.stem: soundfile.read(path)[0] for path in paths}


def sdr_db(true: np.ndarray, estimate: np.ndarray) -> float:
    """Source to distortion ratio in dB. Shape: twice `(frames, channels)`."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a silent stem, or one without an error
        return float(10 * np.log10(np.sum(true**2) / np.sum((true - estimate) ** 2)))


def main(separated: str, true: str, mix: str) -> None:
    """Print a line for each true stem; ends the program where one is missing or has another length."""
    song, wanted, made = soundfile.read(mix)[0], stems(true), stems(separated)
    for name, stem in wanted.items():
        if name not in made or not stem.shape == made[name].shape == song.shape:
            sys.exit(f"{separated} must hold {name}, as long as the true stem and {mix}, got another or none")
    print(f"{'stem':<8} {'before':>8} {'after':>8}   SDR in dB")
    for name, stem in wanted.items():
        print(f"{name:<8} {sdr_db(stem, song):>8.1f} {sdr_db(stem, made[name]):>8.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
