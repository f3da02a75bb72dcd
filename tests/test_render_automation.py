"""A recorded session rendered offline: the same moves at the same frames, as they were heard live."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pedalboard
import pytest

import plugin_bridge
from plugin_bridge import Preset, StemBoard, Strip
from plugin_bridge.board.automation import Automation, Change
from plugin_bridge.board.effects import load_plugin
from plugin_bridge.board.parameter_tree import Key
from plugin_bridge.errors import PresetError
from tests.automated_songs import MUTE, RAMP, read, recorded, recording, song
from tests.board_instruments import RATE, noise

GAIN = Key("mid", None, "gain_db")


def band_board() -> StemBoard:
    """A board on which everything that can be moved is heard."""
    mid = Strip(
        [pedalboard.Compressor(threshold_db=-30, ratio=2), pedalboard.Delay(0.01, mix=0.3)], gain_db=-2
    )
    high = Strip([pedalboard.LadderFilter(cutoff_hz=3000)], pan=0.2)
    return StemBoard("bands", {"mid": mid, "high": high}, [pedalboard.HighpassFilter(30)])


MOVES: list[tuple[int, Key, float | bool | str]] = [
    (0, Key("low", None, "gain_db"), -3.0),
    (10, Key("mid", None, "gain_db"), 4.0),
    (10, Key("mid", 0, "ratio"), 8.0),
    (20, Key("low", None, "mute"), True),
    (25, Key("high", 0, "cutoff_hz"), 900.0),
    (30, Key("high", 0, "mode"), "HPF24"),
    (35, Key("mid", 1, "bypass"), True),
    (40, Key("low", None, "mute"), False),
    (45, Key("master", None, "gain_db"), -6.0),
    (50, Key("mid", 1, "bypass"), False),
    (55, Key("master", None, "mix"), 0.5),
    (60, Key("high", None, "solo"), True),
    (65, Key("high", None, "pan"), -1.0),
    (70, Key("master", 0, "cutoff_frequency_hz"), 300.0),
    (75, Key("high", None, "solo"), False),
    (80, Key("mid", None, "gain_db"), -math.inf),
    (85, Key("master", 0, "bypass"), True),
]
"""Hops after which a hand moves something."""


def lagging_board() -> StemBoard:
    """A board of effects that are late, each in its own way."""
    low = [pedalboard.GSMFullRateCompressor(), pedalboard.Chorus()]
    mid = Strip([pedalboard.BrickwallLimiter(ceiling_db=-20), pedalboard.Reverb()], gain_db=3)
    return StemBoard("bands", {"low": low, "mid": mid}, [pedalboard.BrickwallLimiter(lookahead_ms=3)])


LAGGING_MOVES: list[tuple[int, Key, float | bool | str]] = [
    (11, Key("low", 1, "rate_hz"), 3.0),
    (20, Key("mid", 0, "ceiling_db"), -40.0),
    (28, Key("high", None, "gain_db"), 6.0),
    (36, Key("low", 0, "bypass"), True),
    (40, Key("mid", 1, "wet_level"), 0.9),
    (47, Key("mid", 0, "bypass"), True),
    (60, Key("low", 0, "bypass"), False),
    (70, Key("master", None, "mix"), 0.3),
    (75, Key("master", 0, "ceiling_db"), -30.0),
    (90, Key("mid", 0, "bypass"), False),
]
ZAM = Path("/usr/lib/vst3/ZaMultiCompX2.vst3")


hosted = pytest.mark.skipif(not ZAM.exists(), reason="needs Debian's zam-plugins (ZaMultiCompX2.vst3)")


def hosted_board() -> StemBoard:
    """A board with a hosted plugin, set otherwise than it comes."""
    plugin = load_plugin(ZAM)
    plugin.threshold_2_db, plugin.zamcomp_2_on = -50.0, 1.0
    return StemBoard("bands", {"mid": [plugin]})


HOSTED_MOVES: list[tuple[int, Key, float | bool | str]] = [
    (20, Key("mid", 0, "makeup_2_db"), 12.3),
    (30, Key("mid", 0, "threshold_2_db"), -20.7),
    (40, Key("mid", 0, "listen_2"), True),
    (50, Key("low", None, "mute"), True),
    (60, Key("mid", 0, "bypass"), True),
    (65, Key("high", None, "gain_db"), -9.0),
]
BOARDS = {
    "plain": (band_board, MOVES),
    "lagging": (lagging_board, LAGGING_MOVES),
    "hosted": (hosted_board, HOSTED_MOVES),
}


def played_live(board: StemBoard, moves: list, audio: np.ndarray, rate: int, path: Path) -> np.ndarray:
    """The stems and the mix of a session that is moved by hand, hop by hop, and recorded."""
    with recorded(path, board, rate) as writer:
        session, rows, waiting = board.live_session(rate), [], list(moves)
        late = session.stream_latency + session.strips_latency
        room = -(-(audio.shape[1] + late) // session.hop) * session.hop
        padded = np.pad(audio, ((0, 0), (0, room - audio.shape[1])))
        for hop, at in enumerate(range(0, room, session.hop)):
            while waiting and waiting[0][0] == hop:
                _, key, value = waiting.pop(0)
                writer.write(session.move(key, value), key, value)
            rows.append(np.stack(session.advance(padded[:, at : at + session.hop])))
        assert not waiting
    return np.concatenate(rows, axis=2)[..., : audio.shape[1]]


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("kind", ["plain", "lagging", pytest.param("hosted", marks=hosted)])
def test_a_render_equals_what_was_heard_live(tmp_path: Path, kind: str, rate: int) -> None:
    make, moves = BOARDS[kind]
    path, frames = song(tmp_path / "song.wav", rate, rate), rate
    heard = played_live(make(), moves, noise(frames), rate, tmp_path / "session.jsonl")
    (report,) = plugin_bridge.render(path, tmp_path / "out", automation=tmp_path / "session.jsonl", mix=True)
    assert report.error is None
    assert (report.model, report.preset) == ("bands", "session")
    assert report.null_reason == "the automation alters the sound"
    rendered = read(report.folder, "low", "mid", "high", "mix")
    np.testing.assert_allclose(rendered, heard, atol=1e-4)
    # The moves are heard at all: without them the song sounds otherwise.
    (still,) = plugin_bridge.render(path, tmp_path / "still", preset=Preset.of(make(), "still"), mix=True)
    assert all(
        np.abs(read(still.folder, name) - read(report.folder, name)).max() > 0.01 for name in report.stems
    )


@pytest.mark.parametrize("rate", [RATE, 22050, 48000])
@pytest.mark.parametrize("start", [0.0, 0.25, -0.2])
def test_changes_land_on_their_frame_at_any_rate(tmp_path: Path, rate: int, start: float) -> None:
    seconds = 0.4
    path = recording(tmp_path / "s.jsonl", StemBoard("bands"), [(round(seconds * RATE), MUTE, True)])
    source = song(tmp_path / "song.wav", rate, rate)
    render = plugin_bridge.render
    (report,) = render(source, tmp_path / "out", automation=path, automation_start=start)
    (plain,) = render(source, tmp_path / "plain", model="bands")
    at, ramp = round((seconds + start) * rate), round(0.02 * rate)
    moved, still = (read(each.folder, "mid")[0] for each in (report, plain))
    np.testing.assert_array_equal(moved[:, :at], still[:, :at])
    assert not moved[:, at + ramp :].any()
    assert np.abs(moved - still)[:, at : at + 20].max() > 0


def test_what_lies_before_the_song_is_in_force_from_its_first_frame(tmp_path: Path) -> None:
    changes = [(0, GAIN, -60.0), (1000, GAIN, 6.0), (9000, Key("low", None, "mute"), True)]
    path = recording(tmp_path / "s.jsonl", StemBoard("bands"), changes)
    source = song(tmp_path / "song.wav")
    (report,) = plugin_bridge.render(source, tmp_path / "out", automation=path, automation_start=-0.1)
    (plain,) = plugin_bridge.render(source, tmp_path / "plain", model="bands")
    moved, still = (read(each.folder, "mid") for each in (report, plain))
    np.testing.assert_allclose(moved, still * 10 ** (6 / 20), atol=1e-5)
    assert not read(report.folder, "low")[..., 9000 - 4410 + RAMP :].any()


def test_a_model_that_needs_the_whole_signal_moves_at_the_same_frames(tmp_path: Path) -> None:
    source = song(tmp_path / "song.wav", RATE // 2)
    at = 9001
    changes = [(at, Key("harmonic", None, "mute"), True)]
    path = recording(tmp_path / "s.jsonl", StemBoard("hpss"), changes)
    board = StemBoard("hpss")
    assert "harmonic" in board.sources
    (report,) = plugin_bridge.render(source, tmp_path / "out", automation=path)
    (plain,) = plugin_bridge.render(source, tmp_path / "plain", model="hpss")
    moved, still = (read(each.folder, "harmonic")[0] for each in (report, plain))
    np.testing.assert_array_equal(moved[:, :at], still[:, :at])
    assert not moved[:, at + RAMP :].any()
    assert still[:, at + RAMP :].any()


def test_every_song_begins_with_the_board_as_it_was_recorded(tmp_path: Path) -> None:
    board = StemBoard("bands", {"mid": Strip([pedalboard.Gain(-3)], gain_db=3)})
    changes = [(9000, GAIN, -math.inf), (9000, Key("mid", 0, "gain_db"), 20.0)]
    path = recording(tmp_path / "s.jsonl", board, changes)
    songs = [song(tmp_path / name, 20000) for name in ("a.wav", "b.wav")]
    first, second = plugin_bridge.render(songs, tmp_path / "out", automation=path)
    np.testing.assert_array_equal(read(first.folder, "mid"), read(second.folder, "mid"))
    assert read(first.folder, "mid")[..., :9000].any()


def test_model_and_preset_replace_what_was_recorded(tmp_path: Path) -> None:
    recorded_board = StemBoard("bands", {"mid": Strip(gain_db=-20)})
    path = recording(tmp_path / "s.jsonl", recorded_board, [(0, Key("low", None, "mute"), True)])
    source = song(tmp_path / "song.wav", 9000)
    preset = Preset.of(StemBoard("bands", {"mid": Strip(gain_db=6)}), "loud")
    loud = plugin_bridge.render(source, tmp_path / "loud", automation=path, preset=preset)[0]
    soft = plugin_bridge.render(source, tmp_path / "soft", automation=path, model="bands")[0]
    assert (loud.preset, soft.preset) == ("loud", "s")
    np.testing.assert_allclose(
        read(loud.folder, "mid"), read(soft.folder, "mid") * 10 ** (26 / 20), atol=1e-5
    )
    for other in ({"model": "hpss"}, {"preset": Preset(name="none", model="hpss")}):
        with pytest.raises(PresetError, match=r"must move (stems|what)"):
            plugin_bridge.render(source, tmp_path / "other", automation=path, **other)


def test_automation_of_moves_needs_no_file(tmp_path: Path) -> None:
    source = song(tmp_path / "song.wav", 20000)
    automation = Automation.of_moves([(0.25, MUTE, True)])
    (report,) = plugin_bridge.render(source, tmp_path / "out", automation=automation, model="bands")
    assert report.preset is None
    assert not read(report.folder, "mid")[..., 11025 + RAMP :].any()


def test_an_automation_without_changes_leaves_the_null(tmp_path: Path) -> None:
    source = song(tmp_path / "song.wav", 9000)
    (report,) = plugin_bridge.render(source, tmp_path / "out", automation=Automation((), RATE), model="bands")
    assert report.null_residual_dbfs is not None


def test_resume_keeps_only_what_has_the_same_moves(tmp_path: Path) -> None:
    source = song(tmp_path / "song.wav", 9000)

    def status(value: float, start: float = 0.0) -> str:
        automation = Automation((Change(0, GAIN, value),), RATE)
        its = {"automation": automation, "automation_start": start}
        return plugin_bridge.render(source, tmp_path / "out", model="bands", resume=True, **its)[0].status

    assert [status(-3), status(-3), status(-4), status(-4, 0.1), status(-4, 0.1)] == [
        "rendered",
        "skipped",
        "rendered",
        "rendered",
        "skipped",
    ]


def test_a_change_that_the_board_lacks_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = recording(tmp_path / "s.jsonl", StemBoard("bands"), [(0, Key("vocals", None, "mute"), True)])
    with pytest.raises(PresetError, match=r"s\.jsonl, line 2: a change must move what the board has"):
        plugin_bridge.render(tmp_path / "missing.wav", tmp_path / "out", automation=path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("automation", 5, TypeError),
        ("automation", "", ValueError),
        ("automation_start", "1", TypeError),
        ("automation_start", True, TypeError),
        ("automation_start", math.nan, ValueError),
        ("automation_start", math.inf, ValueError),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, setting: str, value: object, error: type) -> None:
    with pytest.raises(error, match=setting):
        plugin_bridge.render(tmp_path / "a.wav", tmp_path / "out", **{setting: value})
