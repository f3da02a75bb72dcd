"""Soundfonts played by the FluidSynth program, where both are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plugin_bridge.errors import AudioFileError
from plugin_bridge.separation.separator import Audio
from plugin_bridge.training.composer_midi import Note, write_midi
from plugin_bridge.training.composer_samples import RATE
from plugin_bridge.training.composer_sources import Use
from plugin_bridge.training.datasets import Track, read_track

FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
)
LICENCES = {"FluidR3": "MIT", "MuseScore": "MIT"}
"""Licences of the soundfonts that are looked for, by the start of their names. No others are used."""
DRUMS = 9
"""The channel of General MIDI's drums."""


@dataclass(frozen=True)
class Soundfont:
    """A General MIDI soundfont and the licence that it comes under."""

    path: Path
    licence: str


@dataclass(frozen=True)
class Voice:
    """Notes for one General MIDI program."""

    program: int
    notes: Sequence[Note]
    drums: bool = False


def soundfonts(folders: Sequence[str] | None = None) -> list[Soundfont]:
    """The soundfonts of known licence that are installed; none where FluidSynth itself is not.

    Also looked for in the folders of the environment's `SOUNDFONTS`, separated as in `PATH`.
    """
    if shutil.which("fluidsynth") is None:
        return []
    own = os.environ.get("SOUNDFONTS", "")
    places = [*filter(None, own.split(os.pathsep)), *FOLDERS] if folders is None else folders
    found: dict[str, Soundfont] = {}
    for place in places:
        for path in sorted(Path(place).glob("*.sf[23]")):
            licence = next(
                (licence for name, licence in LICENCES.items() if path.name.startswith(name)), None
            )
            if licence and not path.is_symlink():
                found.setdefault(path.stem, Soundfont(path, licence))
    return [found[name] for name in sorted(found)]


def play(
    font: Soundfont, voices: Sequence[Voice], tempo_bpm: float, frames: int, stem: str
) -> tuple[Audio, set[Use]]:
    """The voices together, dry. Shape: `(2, frames)`; and what was used.

    Raises `AudioFileError` where FluidSynth gives no sound file.
    """
    melodic = [channel for channel in range(16) if channel != DRUMS]
    if len(voices) > len(melodic):
        raise ValueError(f"a soundfont plays {len(melodic)} voices at once, got {len(voices)}")
    channels = [
        (DRUMS if voice.drums else melodic[number], voice.program, voice.notes)
        for number, voice in enumerate(voices)
    ]
    with tempfile.TemporaryDirectory() as folder:
        midi, sound = Path(folder) / "part.mid", Path(folder) / "part.wav"
        write_midi(midi, channels, tempo_bpm)
        # The dither and the chorus would make one rendering differ from the next.
        options = ["-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.4", "-r", str(RATE), "-O", "float"]
        command = ["fluidsynth", *options, "-F", str(sound), str(font.path), str(midi)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode or not sound.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
            raise AudioFileError(f"FluidSynth must play {font.path}, got '{said[-1]}'")
        played = read_track(Track(sound))
    out = np.zeros((2, frames), np.float32)
    kept = min(frames, played.shape[-1])
    out[:, :kept] = played[:, :kept]
    uses = {Use(stem, font.path.stem, font.licence, f"program {voice.program}") for voice in voices}
    return out, uses
