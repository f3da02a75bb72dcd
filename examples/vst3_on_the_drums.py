"""Mix a song from its stems with a VST3 compressor on the drums.

    python examples/vst3_on_the_drums.py SONG PLUGIN.vst3 [OUTPUT]

On Debian, `apt install zam-plugins` puts some into /usr/lib/vst3, for example ZamCompX2.vst3.
"""

import sys
from pathlib import Path

from pedalboard.io import AudioFile

from plugin_bridge import StemBoard, Strip, load_plugin


def main(song: str, plugin: str, output: str) -> None:
    """Drums through the plugin, bass up, everything else as it was; the stems stay in time."""
    compressor = load_plugin(plugin)
    board = StemBoard("live4", {"drums": Strip([compressor], gain_db=1), "bass": Strip(gain_db=1.5)})
    with AudioFile(song) as file:
        audio, rate = file.read(file.frames), file.samplerate
    mixed = board(audio, rate)
    with AudioFile(output, "w", rate, mixed.shape[0], bit_depth=24) as file:
        file.write(mixed)
    print(f"wrote {output}, drums through {compressor.name}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:3], sys.argv[3] if len(sys.argv) == 4 else f"{Path(sys.argv[1]).stem}-mixed.wav")
