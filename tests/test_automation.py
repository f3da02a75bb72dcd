"""Automation files: what is written comes back, and a bad file is one sentence that names its line."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pedalboard
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import plugin_bridge
from plugin_bridge import StemBoard, Strip
from plugin_bridge.board.automation import SCHEMA, Automation, AutomationWriter, Change
from plugin_bridge.board.parameter_tree import Key, Parameter, board_parameters, board_values
from plugin_bridge.errors import PresetError

GAIN = Key("mid", None, "gain_db")
MUTE = Key("low", None, "mute")
THRESHOLD = Key("mid", 0, "threshold_db")
MODE = Key("mid", 1, "mode")
HEADER = {"schema": SCHEMA, "sample_rate": 48000, "model": "bands"}
LINE = {"frame": 5, "strip": "mid", "slot": None, "name": "gain_db", "value": -6.0}


def board() -> StemBoard:
    mid = Strip([pedalboard.Compressor(ratio=3), pedalboard.LadderFilter()], gain_db=-math.inf, pan=0.5)
    return StemBoard("bands", {"mid": mid}, [pedalboard.Gain(gain_db=-math.inf)])


def writer(path: Path, of: StemBoard | None = None, sample_rate: int = 48000) -> AutomationWriter:
    values = (of or board()).to_dict()
    return AutomationWriter(path, sample_rate, values["model"], values["strips"], values["master"])


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_a_recording_comes_back(tmp_path: Path) -> None:
    moves = [
        (-511, MUTE, False),
        (0, GAIN, -6.5),
        (7, MUTE, True),
        (7, THRESHOLD, -20.0),
        (9, MODE, "HPF24"),
        (9, GAIN, -math.inf),
    ]
    with writer(tmp_path / "session.jsonl") as recording:
        for move in moves:
            recording.write(*move)
    loaded = Automation.load(tmp_path / "session.jsonl")
    assert [(frame, key, value) for frame, key, value, _ in loaded.changes] == moves
    assert [change.line for change in loaded.changes] == [2, 3, 4, 5, 6, 7]
    assert (loaded.sample_rate, loaded.warning) == (48000, "")
    assert loaded.preset is not None
    rebuilt = StemBoard.from_preset(loaded.preset)
    assert rebuilt == board()
    assert board_values(rebuilt) == board_values(board())


def test_every_line_is_on_the_disk_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    recording = writer(path)
    for count in range(3):
        assert len(Automation.load(path).changes) == count
        recording.write(count, GAIN, -1.0)
    recording.close()
    recording.close()


def test_a_killed_recording_is_whole(tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom tests.test_automation import GAIN, writer\nfrom pathlib import Path\n"
        "recording = writer(Path('session.jsonl'))\n"
        "for frame in range(100): recording.write(frame, GAIN, -1.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(plugin_bridge.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=120,
    )
    assert ran.returncode == -signal.SIGKILL
    assert len(Automation.load(tmp_path / "session.jsonl").changes) == 100


@pytest.mark.parametrize("tail", [b'{"frame": 9, "str', b"\0\0\0\0", b"{", b'{"frame":9}', b"\xff"])
def test_a_last_line_that_was_cut_off_is_left_out_with_a_warning(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path / "session.jsonl", HEADER, LINE)
    path.write_bytes(path.read_bytes() + tail)
    loaded = Automation.load(path)
    assert len(loaded.changes) == 1
    assert loaded.warning == f"{path}, line 3: the recording was cut off here; the rest is whole"


def test_a_last_line_without_its_end_counts_where_it_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "session.jsonl", HEADER, LINE)
    path.write_bytes(path.read_bytes().rstrip())
    assert len(Automation.load(path).changes) == 1
    assert Automation.load(path).warning == ""


@pytest.mark.parametrize("at", [2, 3])
@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'{"frame": 1}',
        json.dumps({**LINE, "frame": -(2**60)}).encode(),
        json.dumps({**LINE, "frame": 1.5}).encode(),
        json.dumps({**LINE, "frame": 2**60}).encode(),
        json.dumps({**LINE, "slot": -1}).encode(),
        json.dumps({**LINE, "slot": "1"}).encode(),
        json.dumps({**LINE, "value": None}).encode(),
        json.dumps({**LINE, "value": [1]}).encode(),
        json.dumps({**LINE, "value": math.nan}).encode(),
        json.dumps({**LINE, "more": 1}).encode(),
        b"[" * 5000,
        b"\xff\xfe",
        b'"' + b"x" * 70000 + b'"',
    ],
)
def test_a_bad_line_is_one_sentence_that_names_it(tmp_path: Path, line: bytes, at: int) -> None:
    path = tmp_path / "session.jsonl"
    lines = [json.dumps(HEADER).encode(), json.dumps(LINE).encode(), json.dumps(LINE).encode()]
    lines.insert(at - 1, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(PresetError) as caught:
        Automation.load(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}, line {at}: a change must have")
    assert "\n" not in sentence
    assert len(sentence) < 600


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\n",
        b"{",
        b"MThd\0\0\0\6",
        b"RIFF" + bytes(range(256)),
        b"[" * 100000,
        json.dumps({**HEADER, "schema": "plugin-bridge/automation/2"}).encode(),
        json.dumps({"sample_rate": 48000}).encode(),
        json.dumps({**HEADER, "sample_rate": 0}).encode(),
        json.dumps({**HEADER, "tempo": 120}).encode(),
        json.dumps({**HEADER, "strips": {"mid": {"gain_db": "loud"}}}).encode(),
        json.dumps({**HEADER, "strips": {"mid": {"gain_db": 99.0}}}).encode(),
        json.dumps({**HEADER, "master": {"effects": [{"effect": "Nothing"}]}}).encode(),
        json.dumps({**HEADER, "master": {"effects": [{"effect": "Gain", "gain_db": "loud"}]}}).encode(),
    ],
)
def test_a_bad_header_is_one_sentence(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(header)
    with pytest.raises(PresetError) as caught:
        Automation.load(path)
    assert str(caught.value).startswith(f"{path}, line 1: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.jsonl"):
        with pytest.raises(PresetError, match="an automation must be a readable file, got"):
            Automation.load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_no_bytes_are_more_than_one_sentence(tmp_path: Path, junk: bytes, at: int) -> None:
    path = written(tmp_path / "session.jsonl", HEADER, LINE, LINE, LINE)
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        assert all(isinstance(change, Change) for change in Automation.load(path).changes)
    except PresetError as error:
        assert "\n" not in str(error)


def test_changes_are_brought_into_order_and_later_ones_of_a_frame_stay_later(tmp_path: Path) -> None:
    lines = [{**LINE, "frame": frame, "value": value} for value, frame in enumerate((9, 3, 3, 0))]
    loaded = Automation.load(written(tmp_path / "session.jsonl", HEADER, *lines))
    assert [(change.frame, change.value) for change in loaded.changes] == [(0, 3), (3, 1), (3, 2), (9, 0)]


def test_frames_follow_the_rate_and_the_start() -> None:
    automation = Automation(
        (Change(0, GAIN, -1.0), Change(48000, GAIN, -2.0), Change(48001, MUTE, True)), 48000
    )
    assert [change.frame for change in automation.at(48000)] == [0, 48000, 48001]
    assert [change.frame for change in automation.at(44100)] == [0, 44100, 44101]
    assert [change.frame for change in automation.at(96000, 0.5)] == [48000, 144000, 144002]
    assert [change.frame for change in automation.at(48000, -1.0)] == [-48000, 0, 1]


def test_moves_in_seconds_become_automation() -> None:
    automation = Automation.of_moves([(1.5, GAIN, -1.0), (0.25, MUTE, True)])
    assert [(change.frame, change.key) for change in automation.at(44100)] == [(11025, MUTE), (66150, GAIN)]
    assert automation.preset is None


def parameters() -> dict[Key, Parameter]:
    return board_parameters(board().strips, board().master)


def test_values_are_brought_into_range() -> None:
    automation = Automation((Change(0, GAIN, 99.0), Change(1, MUTE, 1.0), Change(2, MODE, 4)), 48000)
    assert [change.value for change in automation.fitted(parameters()).changes] == [24.0, True, "HPF24"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (Key("vocals", None, "gain_db"), 0.0, "must move what the board has, got 'gain_db' of 'vocals'"),
        (Key("mid", 4, "ratio"), 0.0, "must move what the board has, got 'ratio' of effect 5 of 'mid'"),
        (GAIN, "loud", "gain_db must be a number"),
        (MODE, "Nothing", "mode must be one of"),
    ],
)
def test_a_change_that_does_not_fit_names_file_and_line(
    tmp_path: Path, key: Key, value: object, words: str
) -> None:
    path = tmp_path / "session.jsonl"
    line = {"frame": 1, "strip": key.strip, "slot": key.slot, "name": key.name, "value": value}
    loaded = Automation.load(written(path, HEADER, LINE, line))
    with pytest.raises(PresetError) as caught:
        loaded.fitted(parameters())
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert words in str(caught.value)


def test_the_hash_tells_changes_apart() -> None:
    one = Automation((Change(1, GAIN, -1.0),), 48000)
    assert one.sha256 == Automation((Change(1, GAIN, -1.0, line=7),), 48000, name="other").sha256
    others = [
        Automation((Change(2, GAIN, -1.0),), 48000),
        Automation((Change(1, GAIN, -math.inf),), 48000),
        Automation((Change(1, MUTE, True),), 48000),
        Automation((Change(1, GAIN, -1.0),), 44100),
        Automation((), 48000),
    ]
    assert len({each.sha256 for each in (one, *others)}) == 6


def test_a_recording_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "song.jsonl").write_text("mine")
    with pytest.raises(PresetError, match="must go to a new file"):
        writer(tmp_path / "song.jsonl")
    assert (tmp_path / "song.jsonl").read_text() == "mine"
    with pytest.raises(PresetError, match="must be written"):
        writer(tmp_path / "missing" / "song.jsonl")


def test_what_is_no_change_is_not_written(tmp_path: Path) -> None:
    with writer(tmp_path / "song.jsonl") as recording:
        with pytest.raises(ValueError, match="a change must have"):
            recording.write(0, GAIN, math.nan)
        recording.write(1, GAIN, -1.0)
    assert len(Automation.load(tmp_path / "song.jsonl").changes) == 1


FULL_DISK = """
import resource
from pathlib import Path
from plugin_bridge.board.automation import Automation
from plugin_bridge.errors import PresetError
from tests.test_automation import GAIN, writer
recording, path = writer(Path("session.jsonl")), Path("session.jsonl")
recording.write(1, GAIN, -1.0)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, -1))
try:
    recording.write(2, GAIN, -1.0)
except PresetError as error:
    print(error)
print(path.stat().st_size - size)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
recording.write(3, GAIN, -1.0)
print([change.frame for change in Automation.load(path).changes])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_loses_one_line_only(tmp_path: Path) -> None:
    root = Path(plugin_bridge.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = "a recording must be written, got session.jsonl: File too large; choose another"
    assert ran.stdout.splitlines() == [said, "0", "[1, 3]"], ran.stderr
