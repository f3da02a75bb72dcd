"""Tell how near separated stems are to true ones: the SDR of each, and that of the mix as it was.

python examples/score_stems.py SEPARATED TRUE MIX

SEPARATED and TRUE are folders with files of the same stems, all as long as the song MIX.
SDR in dB: the energy of the true stem over that of the error, both channels of the whole song.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile


def sdr_db(true: np.ndarray, estimate: np.ndarray) -> float:
    """Source to distortion ratio in dB. Shape: twice `(frames, channels)`."""
    return float(10 * np.log10(np.sum(true**2) / np.sum((true - estimate) ** 2)))


def main(separated: str, true: str, mix: str) -> None:
    """Print a line for each stem."""
    song, _ = soundfile.read(mix)
    print(f"{'stem':<8} {'before':>8} {'after':>8}   SDR in dB")
    for path in sorted(Path(true).iterdir()):
        wanted, _ = soundfile.read(path)
        (made,) = Path(separated).glob(f"{path.stem}.*")
        stem, _ = soundfile.read(made)
        print(f"{path.stem:<8} {sdr_db(wanted, song):>8.1f} {sdr_db(wanted, stem):>8.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
