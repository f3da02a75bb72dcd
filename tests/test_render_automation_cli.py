"""`plugin-bridge render --automation`, with recordings and with standard MIDI files."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import numpy as np
import pytest

import plugin_bridge
from plugin_bridge import StemBoard
from tests.automated_songs import MUTE, RAMP, read, recording, run, song
from tests.board_instruments import RATE


def test_the_command_line_renders_a_recording(tmp_path: Path) -> None:
    path = recording(tmp_path / "s.jsonl", StemBoard("bands"), [(9000, MUTE, True)])
    songs = [song(tmp_path / f"{name}.wav", 20000, seed=ord(name)) for name in "ab"]
    with pytest.warns(UserWarning, match="line 3: the recording was cut off here"):
        with path.open("ab") as file:
            file.write(b'{"frame": 9')
        plugin_bridge.render(songs, tmp_path / "ours", automation=path, automation_start=-0.1)
    more = ("--automation-start", "-0.1", "--jobs", "2", "-o", "theirs", "--json")
    ran = run(tmp_path, "a.wav", "b.wav", "--automation", "s.jsonl", *more)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith("plugin-bridge: s.jsonl, line 3: the recording was cut off here; ")
    assert [report["model"] for report in json.loads(ran.stdout)] == ["bands", "bands"]
    for name in "ab":
        ours, theirs = (read(tmp_path / folder / name, "low", "mid", "high") for folder in ("ours", "theirs"))
        np.testing.assert_array_equal(ours, theirs)
        assert not ours[1, :, 9000 - 4410 + RAMP :].any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--automation", "missing.jsonl"), "an automation must be a readable file, got missing.jsonl"),
        (("--automation", "a.wav"), "a.wav, line 1: an automation must begin with a header"),
        (
            ("--automation", "s.jsonl", "--model", "hpss"),
            "s.jsonl, line 2: a change must move what the board",
        ),
        (
            ("--automation", "s.jsonl", "--automation-start", "soon"),
            "must be a number of seconds, got 'soon'",
        ),
        (("--automation", "s.jsonl", "--automation-start", "nan"), "must be a number of seconds, got 'nan'"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    recording(tmp_path / "s.jsonl", StemBoard("bands"), [(0, MUTE, True)])
    song(tmp_path / "a.wav", 2000)
    ran = run(tmp_path, "a.wav", *arguments)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert words in ran.stderr
    assert not (tmp_path / "stems").exists()


def midi_song(path: Path) -> Path:
    """Half a second after the start the first stem's mute is pressed; after a second its fader goes to 0."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=500_000, time=0))  # a beat of half a second
    track.append(mido.Message("note_on", note=36, velocity=100, time=480))
    track.append(mido.Message("note_off", note=36, time=1))
    track.append(mido.Message("program_change", program=3, time=0))
    track.append(mido.Message("control_change", control=21, value=0, time=479))
    mido.MidiFile(type=0, ticks_per_beat=480, tracks=[track]).save(path)
    return path


def test_a_midi_file_moves_the_board(tmp_path: Path) -> None:
    midi_song(tmp_path / "moves.mid")
    song(tmp_path / "a.wav", RATE * 3 // 2)
    ran = run(tmp_path, "a.wav", "--automation", "moves.mid", "--model", "bands")
    assert ran.returncode == 0, ran.stderr
    assert "/preset/load is left out of the automation" in ran.stderr
    (plain,) = plugin_bridge.render(tmp_path / "a.wav", tmp_path / "plain", model="bands")
    names = StemBoard("bands").sources[:2]
    for name, at in zip(names, (RATE // 2, RATE), strict=True):
        moved, still = (read(folder, name)[0] for folder in (tmp_path / "stems/a", plain.folder))
        np.testing.assert_array_equal(moved[:, :at], still[:, :at])
        assert not moved[:, at + RAMP :].any()


def test_a_midi_file_moves_the_board_by_another_map(tmp_path: Path) -> None:
    midi_song(tmp_path / "moves.mid")
    song(tmp_path / "a.wav", RATE)
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ncontrol = [{ type = "note", number = 36, target = "/master/mute" }]\n'
    )
    more = ("--automation", "moves.mid", "--midi-map", "mine.toml", "--model", "bands", "--mix")
    ran = run(tmp_path, "a.wav", *more)
    assert ran.returncode == 0, ran.stderr
    mix = read(tmp_path / "stems/a", "mix")[0]
    assert mix[:, : RATE // 2].any()
    assert not mix[:, RATE // 2 + RAMP :].any()
    assert read(tmp_path / "stems/a", *StemBoard("bands").sources)[..., RATE // 2 + RAMP :].any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--automation", "missing.mid"), "a MIDI file must exist, got missing.mid"),
        (("--automation", "a.MID"), "a MIDI file must be a standard MIDI file, got a.MID"),
        (("--automation", "a.MID", "--midi-map", "nobody"), "a MIDI map must be a known name"),
        (("--automation", "s.jsonl", "--midi-map", "default"), "--midi-map must go with"),
        (("--midi-map", "default"), "--midi-map must go with"),
    ],
)
def test_what_goes_wrong_with_midi_is_one_line(tmp_path: Path, arguments: tuple, words: str) -> None:
    song(tmp_path / "a.wav", 2000)
    (tmp_path / "a.MID").write_bytes(b"no notes at all")
    ran = run(tmp_path, "a.wav", "--model", "bands", *arguments)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert words in ran.stderr
