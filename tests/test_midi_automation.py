"""Standard MIDI files as automation: times by the tempo map, moves by the same rules as live."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.midi_automation import smf_moves
from plugin_bridge.control.midi_map import Control, MidiMap, load_map
from tests.control_desk import SOURCES, parameters_of
from tests.midi_desk import change, note

PARAMETERS = parameters_of(SOURCES)
VOCALS, PAN, MUTE = (Key("vocals", None, name) for name in ("gain_db", "pan", "mute"))


def song(path: Path, *tracks: list[tuple[int, mido.Message]], ticks: int = 480) -> Path:
    """A MIDI file of tracks of messages at absolute ticks."""
    file = mido.MidiFile(type=1, ticks_per_beat=ticks)
    for messages in tracks:
        track = mido.MidiTrack()
        before = 0
        for at, message in messages:
            track.append(message.copy(time=at - before))
            before = at
        file.tracks.append(track)
    file.save(path)
    return path


def tempo(seconds_a_beat: float) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=round(seconds_a_beat * 1e6))


def moves(path: Path, told: list[str], *controls: Control) -> list[tuple[float, Key, Value]]:
    midi_map = MidiMap(name="test", control=list(controls)) if controls else load_map("default")
    return list(smf_moves(path, midi_map, SOURCES, PARAMETERS, tell=told.append))


def test_times_follow_the_tempo_map_over_all_tracks(tmp_path: Path) -> None:
    conductor = [(0, tempo(1.0)), (960, tempo(0.25))]
    levels = [(480, change(20, 127)), (960, change(20, 0)), (1440, change(28, 127))]
    path = song(tmp_path / "a.mid", conductor, levels, [(720, note(36)), (730, note(36, 0))])
    told: list[str] = []
    assert moves(path, told) == [
        (1.0, VOCALS, 10.0),
        (1.5, MUTE, True),
        (2.0, VOCALS, -np.inf),
        (2.25, PAN, 1.0),
    ]
    assert told == []


def test_toggles_and_encoders_know_where_things_stand(tmp_path: Path) -> None:
    path = song(
        tmp_path / "a.mid", [(0, note(36)), (480, note(36)), (960, change(9, 3)), (1440, change(9, 3))]
    )
    found = moves(
        path,
        [],
        Control(target="/stem/1/mute", type="note", number=36),
        Control(target="/stem/1/pan", type="cc", number=9, mode="signed_bit", step=0.1),
    )
    assert [value for _, _, value in found] == [True, False, pytest.approx(0.6), pytest.approx(1.0)]


def test_a_pair_of_controllers_makes_one_move_and_a_lone_one_its_own(tmp_path: Path) -> None:
    path = song(
        tmp_path / "a.mid",
        [(0, tempo(0.48)), (480, change(7, 127)), (481, change(39, 127)), (960, change(7, 0))],
    )
    found = moves(path, [], Control(target="/stem/1/fader", type="cc14", number=7))
    assert found == [(pytest.approx(0.481), VOCALS, 10.0), (pytest.approx(0.98), VOCALS, -np.inf)]


def test_commands_and_what_the_board_lacks_are_left_out_and_told_once(tmp_path: Path) -> None:
    program = mido.Message("program_change", program=1)
    path = song(
        tmp_path / "a.mid", [(n * 10, m) for n, m in enumerate([program, change(27, 9), note(53)] * 3)]
    )
    told: list[str] = []
    assert moves(path, told) == []
    assert len(told) == 3
    assert {sentence.split()[0].rstrip(":") for sentence in told} == {
        "/preset/load",
        "/stem/8/fader",
        "/bypass",
    }


@pytest.mark.parametrize(
    "content", [b"", b"MThd", b"RIFF0000", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\x09\0"]
)
def test_what_is_no_midi_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mid").write_bytes(content)
    with pytest.raises(ValueError, match=r"a MIDI file must be a standard MIDI file, got .*a\.mid: .+"):
        moves(tmp_path / "a.mid", [])


def test_several_songs_in_one_file_and_no_file_are_refused(tmp_path: Path) -> None:
    mido.MidiFile(type=2).save(tmp_path / "a.mid")
    with pytest.raises(ValueError, match="several songs in one file"):
        moves(tmp_path / "a.mid", [])
    with pytest.raises(ValueError, match=r"a MIDI file must exist, got .*none\.mid"):
        moves(tmp_path / "none.mid", [])


def test_a_damaged_file_is_refused_or_read_but_nothing_else(tmp_path: Path, seed: int) -> None:
    path = song(tmp_path / "a.mid", [(0, tempo(0.5))], [(n, change(20, n % 128)) for n in range(40)])
    whole, generator = np.frombuffer(path.read_bytes(), np.uint8), np.random.default_rng(seed)
    outcomes = set()
    for _ in range(400):
        damaged = whole.copy()
        damaged[generator.integers(0, len(damaged), 3)] = generator.integers(0, 256, 3)
        path.write_bytes(damaged[: generator.integers(1, len(damaged) + 1)].tobytes())
        try:
            found = moves(path, [])
        except ValueError as error:
            assert str(error).startswith("a MIDI file must")
            outcomes.add("refused")
        else:
            assert [seconds for seconds, _, _ in found] == sorted(seconds for seconds, _, _ in found)
            outcomes.add("read")
    assert "refused" in outcomes
