"""What the composer plays on: notes, scores, kits, voices and soundfonts are what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_bridge.training.composer_kit import Kit, measured_role, named_role, sorted_hits
from plugin_bridge.training.composer_library import Library, open_library
from plugin_bridge.training.composer_midi import (
    Key,
    Note,
    key_of,
    on_the_bar,
    part,
    pitch_classes,
    read_score,
    steps_between,
    write_midi,
)
from plugin_bridge.training.composer_parts import (
    Chord,
    bass_line,
    chords,
    drawn_sections,
    pad,
    strummed,
    within,
)
from plugin_bridge.training.composer_samples import fundamental_hz, note_number, sampled_instrument
from plugin_bridge.training.composer_soundfont import Voice, play, soundfonts
from plugin_bridge.training.composer_sources import Source
from plugin_bridge.training.composer_vocals import Placed, Singer, heard_key, key_and_tempo, placed, sing
from tests.composer_material import RATE, material, noise_hit, tone, write_score

SOURCE = Source("Own", "bass", "bass", "CC0-1.0")
DRAW = 5


def draws() -> np.random.Generator:
    return np.random.default_rng(DRAW)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("material") / "data")


@pytest.fixture(scope="module")
def library(data: Path) -> Library:
    return open_library(data, fonts=[])


@pytest.mark.parametrize(
    ("name", "pitch"),
    [
        ("a4", 69),
        ("twang_eb3_f_rr1", 51),
        ("pizz_f#2_ma", 42),
        ("scrape_1_rr1", None),
        ("c-1", 0),
        ("face3", None),
    ],
)
def test_names_say_notes(name: str, pitch: int | None) -> None:
    assert note_number(name) == pitch


@pytest.mark.parametrize("octave", [-1, 0, 1])
def test_the_octave_of_names_is_measured(tmp_path: Path, octave: int) -> None:
    paths = []
    for name in ("a2", "c3", "e3"):
        pitch = note_number(name)
        assert pitch is not None
        paths.append(tmp_path / f"{name}_f.wav")
        soundfile.write(paths[-1], tone(440 * 2 ** ((pitch + 12 * octave - 69) / 12), 1.0), RATE)
    instrument = sampled_instrument(SOURCE, paths)
    assert instrument is not None
    assert sorted(instrument.notes) == [pitch + 12 * octave for pitch in (45, 48, 52)]
    told = sampled_instrument(_with_octave(2), paths)
    assert told is not None
    assert sorted(told.notes) == [69, 72, 76]


def _with_octave(octave: int) -> Source:
    return Source("Own", "bass", "bass", "CC0-1.0", octave=octave)


@pytest.mark.parametrize(("pitch", "heard"), [(60, 60), (62, 62), (65, 65), (78, 78), (79, 67), (55, 67)])
def test_a_sampled_instrument_sounds_at_its_pitch_and_time(library: Library, pitch: int, heard: int) -> None:
    (instrument,) = library.keys
    out, uses = instrument.play([Note(1.0, 0.8, pitch, 100)], 120, RATE, draws(), "other")
    assert not out[:, : RATE // 2 - 40].any()
    sound = out[0, RATE // 2 :]
    assert fundamental_hz(sound) == pytest.approx(440 * 2 ** ((heard - 69) / 12), rel=0.01)
    assert {use.licence for use in uses} == {"MIT"}


def test_loud_notes_take_the_loud_recording(library: Library) -> None:
    (instrument,) = library.keys
    for velocity, level in ((20, "p"), (120, "f")):
        _, uses = instrument.play([Note(0, 1, 60, velocity)], 120, RATE, draws(), "other")
        assert {use.file for use in uses} == {f"str_c4_{level}.wav"}


def test_scores_are_moved_onto_the_bar(tmp_path: Path) -> None:
    write_score(tmp_path / "late.mid", offset_beats=1.25)
    score = on_the_bar(read_score(tmp_path / "late.mid"))
    starts = {note.beat % 2 for note in part(score, "piano")}
    assert starts == {0.0}
    assert score.tempo_bpm == 120
    assert set(score.parts) == {"MELODY", "BRIDGE", "PIANO"}


def test_keys_are_found_and_met(tmp_path: Path) -> None:
    write_score(tmp_path / "song.mid")
    notes = part(read_score(tmp_path / "song.mid"), "piano")
    assert key_of(pitch_classes(notes)) == Key(0, False)
    for tonic in range(12):
        for minor in (False, True):
            steps = steps_between(Key(0, False), Key(tonic, minor))
            assert -5 <= steps <= 6
            assert (steps - tonic - (3 if minor else 0)) % 12 == 0
    assert key_of(np.zeros(12)) == Key(0, False)


def test_midi_is_written_as_it_is_read(tmp_path: Path) -> None:
    notes = [Note(0.5, 1.0, 60, 90), Note(0.5, 0.5, 64, 80), Note(2.0, 0.25, 60, 70)]
    write_midi(tmp_path / "part.mid", [(3, 12, notes)], 97.0)
    score = read_score(tmp_path / "part.mid")
    assert score.tempo_bpm == pytest.approx(97.0, abs=0.01)
    assert [note for part_notes in score.parts.values() for note in part_notes] == notes


@pytest.mark.parametrize(
    "content", [b"", b"MThd", b"not midi at all, really not", b"MThd\0\0\0\6\0\1\0\1\1\xe0"]
)
def test_a_broken_midi_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mid").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.mid must (be a MIDI file|hold notes)"):
        read_score(tmp_path / "x.mid")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("kicks/kick-01.wav", "kick"),
        ("bd_808.ogg", "kick"),
        ("drum_bass_hard.ogg", "kick"),
        ("drum_cymbal_open.ogg", "hat_open"),
        ("hihats/sdbkit-hatclsd.ogg", "hat_closed"),
        ("drum_cymbal_pedal.ogg", "hat_pedal"),
        ("snares/snare_14x5.ogg", "snare"),
        ("Snare4_rimshot_v2.ogg", "rim"),
        ("drum_tom_hi_soft.ogg", "tom_high"),
        ("tom_RMIF_22.ogg", "tom_low"),
        ("ride_tri.ogg", "ride"),
        ("Conga_Hit1_v1.ogg", "percussion"),
        ("loop_amen.ogg", None),
        ("drum_roll.ogg", None),
        ("beats_01-10.ogg", ""),
    ],
)
def test_names_say_what_a_hit_is(name: str, role: str | None) -> None:
    assert named_role(Path("pack") / name) == role


@pytest.mark.parametrize(
    ("role", "seconds", "low_hz", "high_hz"),
    [
        ("kick", 0.15, 30, 110),
        ("snare", 0.15, 300, 6000),
        ("hat_closed", 0.04, 7000, 15000),
        ("hat_open", 0.6, 7000, 15000),
        ("tom_low", 0.4, 160, 500),
    ],
)
def test_nameless_hits_are_told_by_their_sound(
    role: str, seconds: float, low_hz: float, high_hz: float
) -> None:
    assert measured_role(noise_hit(seconds, low_hz, high_hz)[None]) == role


def test_a_kit_plays_in_time_and_a_closed_hat_cuts_an_open_one(tmp_path: Path) -> None:
    long = np.ones((3 * RATE, 2), np.float32) * 0.5
    soundfile.write(tmp_path / "hat_open.wav", long, RATE)
    soundfile.write(tmp_path / "kick.wav", noise_hit(0.1, 30, 120), RATE)
    drums = sorted_hits(SOURCE, sorted(tmp_path.glob("*.wav")))
    kit = Kit({role: hits[0] for role, hits in drums.items()})
    notes = [Note(0, 1, 46, 127), Note(2, 1, 42, 127), Note(4, 1, 36, 127)]
    out, uses = kit.play(notes, 120, 3 * RATE, draws())
    assert {use.file for use in uses} == {"hat_open.wav", "kick.wav"}
    assert out[0, RATE - 100] > 0.1
    # The pedal has no drum of its own here and stands in for nothing longer than the open one it ends.
    assert np.abs(out[:, : 2 * RATE]).max() > 0.1
    kick = np.abs(out[0, 2 * RATE - 200 :]).argmax()
    assert kick < RATE // 4


def test_grooves_without_a_drum_for_a_note_leave_it_out() -> None:
    out, uses = Kit({}).play([Note(0, 1, 36, 100), Note(0, 1, 75, 100)], 120, 100, draws())
    assert not out.any()
    assert uses == set()


@pytest.mark.parametrize(
    ("path", "key", "tempo_bpm"),
    [
        ("shv_e_128/SHV - E Major - 128 BPM - Ahh.ogg", Key(4, False), 128.0),
        ("etv_ebj_136_phrase/a.ogg", Key(3, False), 136.0),
        ("etv_am_136/Tonight.ogg", Key(9, True), 136.0),
        ("x/SHV - Fsharp minor - 122 BPM - Ah.ogg", Key(6, True), 122.0),
        ("speech/arctic_a0421.ogg", None, None),
        ("x/Loop 95bpm.ogg", None, 95.0),
    ],
)
def test_names_say_key_and_tempo(path: str, key: Key | None, tempo_bpm: float | None) -> None:
    assert key_and_tempo(Path(path)) == (key, tempo_bpm)


def test_phrases_are_stretched_and_shifted(tmp_path: Path) -> None:
    time = np.arange(2 * RATE) / RATE
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * time), RATE)
    singer = Singer(SOURCE, "s", (tmp_path / "a.wav",), Key(9, True), 120.0)
    out, uses = sing(singer, [Placed(tmp_path / "a.wav", 2.0)], 100.0, 2, 5 * RATE)
    start, seconds = round(1.2 * RATE), 2.4
    assert not out[:, : start - 50].any()
    assert np.abs(out[0, start + round(seconds * RATE * 0.9) :][: RATE // 20]).max() > 0.05
    assert not out[:, start + round(seconds * RATE) + 2000 :].any()
    heard = np.abs(np.fft.rfft(out[0, start + RATE // 2 : start + RATE // 2 + RATE]))
    assert abs(int(heard.argmax()) - 440 * 2 ** (2 / 12)) < 4
    assert {use.file for use in uses} == {"s/a.wav"}
    assert heard_key((tmp_path / "a.wav",)).tonic == 9


def test_phrases_do_not_sing_over_each_other(library: Library) -> None:
    (singer,) = library.singers
    for seed in range(10):
        places = placed(singer, 120, 64, np.random.default_rng(seed))
        gaps = np.diff([place.beat for place in places])
        assert len(places) > 3
        assert (gaps >= 3.75).all()  # each lasts two seconds, four beats


def test_parts_of_a_score(library: Library) -> None:
    score = on_the_bar(read_score(library.scores[0][1]))
    harmony = chords(part(score, "piano"), 16)
    assert [chord.pitches[0] for chord in harmony] == [48, 48, 45, 45, 41, 41, 43, 43]
    for style in ("held", "quarters", "eighths", "octaves", "kick", "root and fifth"):
        line = bass_line(harmony, [0.0, 2.5, 4.0], style, draws())
        assert line
        assert all(26 <= note.pitch <= 60 for note in line)
        assert line[0].pitch % 12 == 0
    held = pad([Chord(0, 2, (48, 52)), Chord(2, 2, (48, 52)), Chord(4, 2, (50, 53))])
    assert [(note.beat, note.beats, note.pitch) for note in held] == [
        (0, 4, 48),
        (0, 4, 52),
        (4, 2, 50),
        (4, 2, 53),
    ]
    struck = strummed([Note(0, 1, 60, 90), Note(0, 1, 64, 90), Note(2, 1, 67, 90)], draws())
    assert len({note.beat for note in struck}) == 3
    plays = drawn_sections(16, 0.0, draws())
    assert any(plays)
    assert all(plays[int(note.beat // 4)] for note in within(part(score, "melody"), plays))


@pytest.mark.skipif(not soundfonts(), reason="FluidSynth and a soundfont of known licence are not installed")
def test_a_soundfont_plays_the_same_every_time() -> None:
    font = soundfonts()[0]
    voices = [Voice(0, [Note(1.0, 1.5, 69, 100)])]
    first, uses = play(font, voices, 120, 2 * RATE, "other")
    again, _ = play(font, voices, 120, 2 * RATE, "other")
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[:, : RATE // 2 - 500]).max() < 1e-3
    assert fundamental_hz(first[0, RATE // 2 :]) == pytest.approx(440, rel=0.01)
    assert {use.licence for use in uses} == {"MIT"}
    with pytest.raises(ValueError, match="plays 15 voices at once, got 16"):
        play(font, voices * 16, 120, 10, "other")


def test_only_soundfonts_of_known_licence_are_used(tmp_path: Path) -> None:
    for name in ("FluidR3_GM.sf2", "Unknown.sf2"):
        (tmp_path / name).write_bytes(b"RIFF")
    assert [font.path.name for font in soundfonts([str(tmp_path)])] in ([], ["FluidR3_GM.sf2"])
