"""Every example runs as a user would run it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).parent.parent / "examples"
RATE = 44100
VST3 = Path("/usr/lib/vst3/ZamCompX2.vst3")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A second and a half of tones and clicks, quiet enough for gains."""
    t = np.arange(int(1.5 * RATE)) / RATE
    clicks = (np.arange(t.size) % (RATE // 4) < 200) * np.random.default_rng(0).standard_normal(t.size)
    mix = np.stack([np.sin(2 * np.pi * 220 * t) + clicks, np.sin(2 * np.pi * 330 * t) + clicks], axis=1)
    folder = tmp_path / "songs"
    folder.mkdir()
    soundfile.write(folder / "song.wav", (0.1 * mix).astype(np.float32), RATE, "FLOAT")
    return folder / "song.wav"


def run(example: str, folder: Path, *arguments: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONWARNINGS": "error"}
    command = [sys.executable, EXAMPLES / example, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(path: Path, song: Path) -> np.ndarray:
    """What an example wrote: as long as the song, and sounding."""
    audio, rate = soundfile.read(path, dtype="float32")
    assert (audio.shape, rate) == (soundfile.read(song)[0].shape, RATE)
    assert np.abs(audio).max() > 0.01
    return audio


def test_every_example_is_tested_here() -> None:
    named = {path.name for path in EXAMPLES.glob("*.py")} - {"compose_demo.py"}
    assert named == {"lift_a_vocal.py", "karaoke_batch.py", "score_stems.py", "vst3_on_the_drums.py"}


def test_lift_a_vocal(song: Path, tmp_path: Path) -> None:
    assert "wrote out.wav" in run("lift_a_vocal.py", tmp_path, song, "out.wav")
    written(tmp_path / "out.wav", song)


def test_karaoke_batch(song: Path, tmp_path: Path) -> None:
    from plugin_bridge import Remove

    assert "song-karaoke.wav" in run("karaoke_batch.py", tmp_path, song.parent, "out")
    audio, _ = soundfile.read(song, dtype="float32")
    karaoke = written(tmp_path / "out" / "song-karaoke.wav", song)
    # 24-bit file against the whole call: streaming loses nothing and shifts nothing.
    assert np.abs(karaoke - Remove("vocals")(audio, RATE)).max() < 2**-22


def test_score_stems(tmp_path: Path) -> None:
    true = np.random.default_rng(0).standard_normal((2, 4000, 2))
    true *= 0.1 / np.sqrt((true**2).mean(axis=(1, 2), keepdims=True))
    error = 0.1 * true[::-1]  # 20 dB under the stem
    for folder, stems in (("true", true), ("made", true + error)):
        (tmp_path / folder).mkdir()
        for name, stem in zip(("bass", "vocals"), stems, strict=True):
            soundfile.write(tmp_path / folder / f"{name}.wav", stem, RATE, "FLOAT")
    soundfile.write(tmp_path / "mix.wav", true.sum(axis=0), RATE, "FLOAT")
    lines = run("score_stems.py", tmp_path, "made", "true", "mix.wav").splitlines()
    assert [line.split()[0] for line in lines] == ["stem", "bass", "vocals"]
    for line in lines[1:]:
        before, after = map(float, line.split()[1:])
        assert before == pytest.approx(0.0, abs=0.2)
        assert after == pytest.approx(20.0, abs=0.1)


@pytest.mark.parametrize("harm", ["no folder", "a stem is missing", "another length"])
def test_score_stems_refuses_what_it_cannot_compare_in_one_sentence(tmp_path: Path, harm: str) -> None:
    for place, frames in (("true/bass.wav", 400), ("made/bass.wav", 300), ("mix.wav", 400)):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / place, np.full((frames, 2), 0.1), RATE, "FLOAT")
    if harm == "a stem is missing":
        (tmp_path / "made/bass.wav").rename(tmp_path / "made/drums.wav")
    separated = "nowhere" if harm == "no folder" else "made"
    command = [sys.executable, EXAMPLES / "score_stems.py", separated, "true", "mix.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and " must hold " in done.stderr


@pytest.mark.skipif(not VST3.exists(), reason="needs Debian's zam-plugins for a VST3 to host")
def test_vst3_on_the_drums(song: Path, tmp_path: Path) -> None:
    assert "through ZamCompX2" in run("vst3_on_the_drums.py", tmp_path, song, VST3, "out.wav")
    written(tmp_path / "out.wav", song)


@pytest.mark.parametrize(
    "example", ["lift_a_vocal.py", "karaoke_batch.py", "score_stems.py", "vst3_on_the_drums.py"]
)
def test_an_example_without_arguments_says_how_to_call_it(example: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, EXAMPLES / example]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"python examples/{example}" in done.stderr
