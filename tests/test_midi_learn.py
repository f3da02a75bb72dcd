"""Learning: what was moved, and how it is entered in a map; and the commands around maps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mido
import pytest

from plugin_bridge.control.midi_learn import Learner, check_target, described, write_control
from plugin_bridge.control.midi_map import Control, load_map, shipped_maps_folder
from plugin_bridge.control.midi_page import midi_page
from tests.midi_desk import change, note

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's maps."""
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    return tmp_path / "midi"


def learned(*messages: Any, any_program: bool = False, after: float = 5.0) -> Control:
    """What is learned from messages, 10 ms apart."""
    learner = Learner("/stem/1/fader", any_program)
    for n, message in enumerate(messages):
        learner.hear(message, "box:MIDI 1", n / 100)
    assert learner.knows(after)
    return learner.control()


def source(control: Control) -> tuple[str, int | None, int | None, int | None]:
    return control.type, control.channel, control.number, control.touch


def bend(channel: int) -> mido.Message:
    return mido.Message("pitchwheel", channel=channel - 1, pitch=9)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([change(74, 5)], ("cc", 1, 74, None)),
        ([mido.Message("clock"), change(74, 5), change(75, 5)], ("cc", 1, 74, None)),
        ([change(7, 5), change(7, 6)], ("cc", 1, 7, None)),
        ([change(7, 5), change(39, 5)], ("cc14", 1, 7, None)),
        ([change(7, 5), mido.Message("control_change", channel=1, control=39)], ("cc", 1, 7, None)),
        ([note(36), note(36, 0)], ("note", 1, 36, None)),
        ([note(36, 0), change(74, 5)], ("cc", 1, 74, None)),
        ([note(106), bend(3)], ("pitchbend", 3, None, 106)),
        ([bend(3)], ("pitchbend", 3, None, None)),
        ([mido.Message("program_change", program=4)], ("program", 1, 5, None)),
        ([mido.Message("aftertouch", value=4)], ("aftertouch", 1, None, None)),
    ],
)
def test_the_first_move_tells_the_control(messages: list[Any], found: tuple[Any, ...]) -> None:
    control = learned(*messages)
    assert source(control) == found
    assert control.port == "box:MIDI 1"


def test_a_target_that_takes_numbers_is_given_every_program() -> None:
    control = learned(mido.Message("program_change", program=4), any_program=True)
    assert source(control) == ("program", 1, None, None)


def test_nothing_is_known_too_early() -> None:
    learner = Learner("/stem/1/fader")
    assert not learner.knows(99.0)
    learner.hear(change(7, 5), "", 0.0)
    assert not learner.knows(0.05)  # the fine half may still come
    assert learner.knows(0.2)
    held = Learner("/stem/1/fader")
    held.hear(note(104), "", 0.0)
    assert not held.knows(0.5)  # a hand on a fader, perhaps


def test_what_is_learned_is_entered_and_takes_the_place_of_what_was(maps: Path) -> None:
    first = Control(target="/stem/1/fader", type="cc", number=74, channel=1)
    path, replaced = write_control(first, "learned")
    assert (path, replaced) == (maps / "learned.toml", [])
    second = Control(target="/stem/2/fader", type="cc", number=75, channel=1)
    write_control(second, "learned")
    moved = Control(target="/stem/1/fader", type="pitchbend", channel=2)
    assert write_control(moved, "learned")[1] == [first]
    same = Control(target="/stem/1/pan", type="cc", number=75, channel=1)
    assert write_control(same, "learned")[1] == [second]
    assert load_map("learned").control == [moved, same]
    assert [each.name for each in maps.iterdir()] == ["learned.toml"]


def test_learning_into_a_shipped_map_makes_the_users_own_and_keeps_comments(maps: Path) -> None:
    control = Control(target="/stem/1/fader", type="cc", number=21, channel=1)
    replaced = write_control(control, "default")[1]
    assert [each.number for each in replaced] == [20, 21]
    shipped = load_map(shipped_maps_folder() / "default.toml").control
    assert load_map("default").control == [each for each in shipped if each not in replaced] + [control]
    ours = (shipped_maps_folder() / "default.toml").read_text("utf-8")
    assert (maps / "default.toml").read_text("utf-8").startswith(ours.partition("schema")[0])


def test_a_broken_map_is_not_written_over(maps: Path) -> None:
    maps.mkdir()
    (maps / "learned.toml").write_text("control = 3")
    with pytest.raises(ValueError, match=r"must have the known form, got .*learned\.toml"):
        write_control(Control(target="/a", type="cc", number=1), "learned")
    assert (maps / "learned.toml").read_text() == "control = 3"
    assert len(list(maps.iterdir())) == 1


def test_what_cannot_be_learned_is_refused_before_anything_is_moved(maps: Path) -> None:
    with pytest.raises(ValueError, match=r"name must match \[a-z0-9_-\]\+, got '../evil'"):
        check_target("/stem/1/fader", "../evil", None)
    with pytest.raises(ValueError, match="target must be an address such as /stem/1/fader, got 'fader'"):
        check_target("fader", "learned", None)
    with pytest.raises(ValueError, match=r"mode must be one of absolute, toggle, .*got 'wobbly'"):
        check_target("/stem/1/fader", "learned", "wobbly")
    with pytest.raises(ValueError, match="mode of note must be one of"):
        learner = Learner("/stem/1/fader")
        learner.hear(note(36), "", 0.0)
        learner.control("signed_bit")
    assert not maps.exists()


def test_a_folder_that_cannot_be_written_is_told(maps: Path) -> None:
    maps.write_text("a file where the folder should be")
    with pytest.raises(ValueError, match="must be written to a writable folder"):
        write_control(Control(target="/a", type="cc", number=1), "learned")


def test_controls_are_described_in_words() -> None:
    assert described(Control(target="/a", type="pitchbend", channel=2, port="box")) == (
        "pitch bend on channel 2 of 'box'"
    )


def run(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLUGIN_BRIDGE_DATA": str(data)}
    command = [sys.executable, "-m", "plugin_bridge", "midi", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_maps_are_listed_shown_and_checked(tmp_path: Path) -> None:
    assert [line.split()[0] for line in run("maps", "list", data=tmp_path).stdout.splitlines()] == [
        "default",
        "mackie-control",
    ]
    shown = run("maps", "show", "default", data=tmp_path).stdout
    (tmp_path / "mine.toml").write_text(shown)
    checked = run("maps", "check", str(tmp_path / "mine.toml"), data=tmp_path)
    assert checked.returncode == 0
    assert "39 controls move /stem/1/fader, " in checked.stdout
    assert run("page", data=tmp_path).stdout == midi_page()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("maps", "check", "bad.toml"), "unknown field `colour`"),
        (("maps", "show", "mackie"), "did you mean 'mackie-control'?"),
        (("learn", "fader"), "target must be an address such as /stem/1/fader, got 'fader'"),
        (("learn", "/stem/1/fadr"), "target must be an address that can be moved, got '/stem/1/fadr'"),
        (("learn", "/latency"), "target must be an address that can be moved, got '/latency'"),
        (("list", "--midi-system", "casio"), "the MIDI system must be one of"),
        (("list", "--midi-system", "jack", "--server", "nobody"), "MIDI must have a running JACK server"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text('control = [{ type = "cc", number = 1, target = "/a", colour = 3 }]')
    done = run(*words, data=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
