"""Lift the vocal of a song: compressor and reverb on the voice alone, then a limiter on everything.

python examples/lift_a_vocal.py SONG [OUTPUT]
"""

import sys
from pathlib import Path

from pedalboard import Compressor, HighpassFilter, Limiter, Reverb
from pedalboard.io import AudioFile

from plugin_bridge import Board, StemBoard, Strip


def vocal_lift() -> Board:
    """A board like any of pedalboard's; the stem board in it separates, treats and sums."""
    voice = Strip(
        [HighpassFilter(90), Compressor(threshold_db=-22, ratio=3), Reverb(room_size=0.15, wet_level=0.12)],
        gain_db=3,
    )
    stems = StemBoard("live4", {"vocals": voice, "other": Strip(gain_db=-1)})
    return Board([stems, Limiter(threshold_db=-1)])


def main(song: str, output: str) -> None:
    """Read, process, write."""
    with AudioFile(song) as file:
        audio, rate = file.read(file.frames), file.samplerate
    lifted = vocal_lift()(audio, rate)
    with AudioFile(output, "w", rate, lifted.shape[0], bit_depth=24) as file:
        file.write(lifted)
    print(f"wrote {output}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else f"{Path(sys.argv[1]).stem}-lifted.wav")
