"""Make karaoke tracks of every song in a folder, block by block, so that length does not matter.

python examples/karaoke_batch.py FOLDER [OUTPUT_FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
from pedalboard.io import AudioFile

from plugin_bridge import Remove

SOUND = {".wav", ".flac", ".aiff", ".aif", ".ogg", ".mp3"}
BLOCK_SECONDS = 4


def karaoke(song: Path, output: Path) -> None:
    """Stream one song through a board without vocals."""
    board = Remove("vocals")
    with AudioFile(str(song)) as source:
        rate, channels = source.samplerate, source.num_channels
        with AudioFile(str(output), "w", rate, channels, bit_depth=24) as target:
            while source.tell() < source.frames:
                block = source.read(BLOCK_SECONDS * rate)
                # reset=False continues the stream: what is still inside comes with a later block ...
                write(target, board(block, rate, reset=False))
            # ... or, at the end, with flush(): nothing is lost, and nothing is late.
            write(target, board.flush())


def write(target: AudioFile, audio: np.ndarray) -> None:
    """Write what there is; the first blocks of a stream may be empty."""
    if audio.size:
        target.write(audio)


def main(folder: Path, output: Path) -> None:
    """Every song of the folder, one after the other."""
    output.mkdir(parents=True, exist_ok=True)
    songs = sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUND)
    if not songs:
        sys.exit(f"{folder} must hold sound files, found none")
    for song in songs:
        target = output / f"{song.stem}-karaoke.wav"
        karaoke(song, target)
        print(f"wrote {target}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "karaoke"))
