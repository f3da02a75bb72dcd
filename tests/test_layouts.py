"""Layouts and pattern files, parsed again: every address in them is one of the table's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import py2tosc
import pytest

from plugin_bridge.board.preset import Preset
from plugin_bridge.control.address_space import table
from plugin_bridge.control.layouts.open_stage_control import open_stage_control
from plugin_bridge.control.layouts.reaper import reaper
from plugin_bridge.control.layouts.sheet import Sheet
from plugin_bridge.control.layouts.touchosc import touchosc
from plugin_bridge.errors import DeviceError
from tests.control_desk import SOURCES, parameters_of

ROOT = Path(__file__).resolve().parent.parent
LEAVES = table(SOURCES, parameters_of(SOURCES))
ADDRESSES = {path for leaf in LEAVES.values() for path in (leaf.path, *leaf.aliases)}
PRESETS = ("karaoke", "drumless")
SHEET = Sheet.of(LEAVES.values(), SOURCES, PRESETS)
STRIPS = (*(f"/stem/{source}" for source in SOURCES), "/master")
LEVELS = {f"{strip}/{name}" for strip in STRIPS for name in ("fader", "pan", "mute")}
SOLOS = {f"/stem/{source}/solo" for source in SOURCES}
METERS = {f"/stem/{source}/vu" for source in SOURCES}


def nodes_of(content: bytes) -> list[ET.Element]:
    """The controls in a .tosc: raw zlib, then XML."""
    root = ET.fromstring(zlib.decompress(content))
    assert root.tag == "lexml"
    return list(root.iter("node"))


def sent_by(node: ET.Element) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of each of a control's OSC messages, and what else the message says."""
    for message in node.findall("messages/osc"):
        parts = message.findall("path/partial")
        assert all(part.findtext("type") == "CONSTANT" for part in parts)
        address = "".join(part.findtext("value") or "" for part in parts)
        argument = message.find("arguments/partial")
        assert argument is not None
        said = {child.tag: child.text or "" for child in message if not len(child)}
        said |= {child.tag: child.text or "" for child in argument}
        yield address, said


def property_of(node: ET.Element, key: str) -> str | None:
    return next(
        (
            each.findtext("value")
            for each in node.findall("properties/property")
            if each.findtext("key") == key
        ),
        None,
    )


def test_a_touchosc_layout_moves_every_strip_and_no_address_that_does_not_exist() -> None:
    sent = [(address, said) for node in nodes_of(touchosc(SHEET)) for address, said in sent_by(node)]
    addresses = {address for address, _ in sent}
    assert addresses <= ADDRESSES
    assert LEVELS | SOLOS | METERS | {"/preset/load", "/bypass"} <= addresses
    loads = {said["value"] for address, said in sent if address == "/preset/load"}
    assert loads == set(PRESETS)
    for address, said in sent:
        writable = LEAVES[address].writable
        assert said["send"] == str(int(writable)), f"{address} may not be set"


def arguments_of(node: ET.Element) -> list[tuple[str, str]]:
    """The type tag and the constant (empty for a control's own value) of each argument of a message."""
    tags = {"FLOAT": "f", "INTEGER": "i", "STRING": "s"}
    partials = node.findall("messages/osc/arguments/partial")
    return [(tags[each.findtext("conversion") or ""], each.findtext("value") or "") for each in partials]


def test_touchosc_sends_the_types_of_the_table() -> None:
    for node in nodes_of(touchosc(SHEET)):
        for address, _ in sent_by(node):
            assert "".join(tag for tag, _ in arguments_of(node)) == LEAVES[address].types


def test_a_button_of_touchosc_subscribes_the_port_that_it_receives_at() -> None:
    nodes = nodes_of(touchosc(SHEET))
    (asked,) = [arguments_of(node) for node in nodes if "/subscribe" in dict(sent_by(node))]
    assert asked == [("s", "all"), ("i", "3600"), ("i", "10"), ("i", "9312")]
    assert "receive port 9312" in (ROOT / "docs" / "osc.md").read_text("utf-8")


def test_a_touchosc_layout_is_one_that_its_library_finds_no_fault_with(tmp_path: Path) -> None:
    (tmp_path / "a.tosc").write_bytes(touchosc(SHEET))
    document = py2tosc.load(tmp_path / "a.tosc")
    assert document.validate() == []
    inside = [control for control in document.walk() if control.get("frame") is not None]
    assert all(control.frame.w > 4 and control.frame.h > 4 for control in inside), "a control without a size"


def test_touchosc_renews_its_subscription() -> None:
    scripts = [property_of(node, "script") for node in nodes_of(touchosc(SHEET))]
    (script,) = [script for script in scripts if script]
    assert set(re.findall(r"sendOSC\('([^']+)'", script)) == {"/subscribe"} <= ADDRESSES


def widgets_of(widget: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield widget
    for below in (*widget.get("widgets", ()), *widget.get("tabs", ())):
        yield from widgets_of(below)


def session_of(content: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    session: dict[str, Any] = json.loads(content, parse_constant=refuse)
    return session


def test_an_open_stage_control_session_has_the_form_it_is_loaded_by() -> None:
    session = session_of(open_stage_control(SHEET))
    assert session["type"] == "session"
    assert session["createdWith"] == "Open Stage Control"
    assert session["content"]["type"] == "root"
    widgets = list(widgets_of(session["content"]))
    names = [widget["id"] for widget in widgets]
    assert len(names) == len(set(names)), "widgets of one id would be one widget"
    assert {widget["type"] for widget in widgets} <= {"root", "panel", "fader", "knob", "button", "text"}


def test_an_open_stage_control_session_has_the_addresses_types_and_ranges_of_the_table() -> None:
    widgets = list(widgets_of(session_of(open_stage_control(SHEET))["content"]))
    bound = [widget for widget in widgets if widget.get("address", "auto") != "auto"]
    addresses = {widget["address"] for widget in bound}
    assert addresses <= ADDRESSES
    assert LEVELS | SOLOS | METERS | {"/preset/load", "/bypass"} <= addresses
    assert {widget["on"] for widget in bound if widget["address"] == "/preset/load"} == set(PRESETS)
    for widget in bound:
        leaf = LEAVES[widget["address"]]
        if "typeTags" in widget:
            assert widget["typeTags"] == leaf.types
        if "range" in widget:
            assert widget["range"] == {"min": leaf.lowest, "max": leaf.highest}
        assert leaf.writable or widget.get("bypass", False) or widget["type"] == "text"


def test_open_stage_control_renews_its_subscription() -> None:
    script = session_of(open_stage_control(SHEET))["content"]["onCreate"]
    assert set(re.findall(r"send\('([^']+)'", script)) == {"/subscribe"} <= ADDRESSES
    assert "setInterval" in script


PATTERN_LINE = re.compile(
    r"(?P<action>[A-Z][A-Z0-9_]*)(?: (?P<flag>[nfbtrsi])(?P<path>/[^ ]*)| (?P<word>[A-Z0-9]+))"
)


def actions_of(content: bytes) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """What a pattern file sets, and its actions with flag and pattern."""
    settings, actions = {}, {}
    for line in content.decode("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        said = PATTERN_LINE.fullmatch(line)
        assert said, f"no line of a pattern file: {line!r}"
        if said["path"]:
            actions[said["action"]] = (said["flag"], said["path"])
        else:
            settings[said["action"]] = said["word"]
    return settings, actions


def test_a_reaper_pattern_ties_tracks_to_stems_by_number() -> None:
    settings, actions = actions_of(reaper(SHEET))
    assert settings["DEVICE_TRACK_COUNT"] == str(len(SOURCES))
    assert set(actions) == {"TRACK_VOLUME", "TRACK_PAN", "TRACK_MUTE", "TRACK_SOLO"}
    by_alias = {alias: leaf for leaf in LEAVES.values() for alias in leaf.aliases}
    for flag, pattern in actions.values():
        assert pattern.count("@") == 1
        for number, source in enumerate(SOURCES, 1):
            leaf = by_alias[pattern.replace("@", str(number))]
            assert leaf.key is not None
            assert leaf.key.strip == source
            assert leaf.writable
            assert {"f": "dB", "n": "", "b": ""}[flag] == leaf.unit
            assert {"f": "f", "n": "f", "b": "i"}[flag] == leaf.types


@pytest.mark.parametrize("draw", [touchosc, open_stage_control, reaper])
def test_a_board_without_presets_and_with_other_stems_has_a_layout(draw: Any) -> None:
    sources = ("left", "right")
    leaves = table(sources, parameters_of(sources))
    content = draw(Sheet.of(leaves.values(), sources, ()))
    assert b"vocals" not in (zlib.decompress(content) if draw is touchosc else content)


def command(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plugin_bridge", "layout", *words],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_command_writes_all_three_for_a_shipped_preset(tmp_path: Path) -> None:
    for kind, name in (
        ("touchosc", "plugin-bridge.tosc"),
        ("open-stage-control", "plugin-bridge.json"),
        ("reaper", "plugin-bridge.ReaperOSC"),
    ):
        done = command(kind, "--preset", "karaoke", folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"{name}: ")
        assert (tmp_path / name).stat().st_size > 0
    assert len(list(tmp_path.iterdir())) == 3, "nothing written aside stays"
    addresses = {
        address
        for node in nodes_of((tmp_path / "plugin-bridge.tosc").read_bytes())
        for address, _ in sent_by(node)
    }
    assert "/stem/vocals/fader" in addresses
    session = session_of((tmp_path / "plugin-bridge.json").read_bytes())
    presets = {
        widget["on"] for widget in widgets_of(session["content"]) if widget.get("address") == "/preset/load"
    }
    assert presets == set(Preset.names())


def test_a_file_that_exists_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "mine.ReaperOSC"
    target.write_text("precious")
    done = command("reaper", "-o", target.name, folder=tmp_path)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert target.read_text() == "precious"
    assert command("reaper", "-o", target.name, "--force", folder=tmp_path).returncode == 0
    assert "TRACK_VOLUME" in target.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("touchosc", "-o", "a.json"), "must end in .tosc"),
        (("reaper", "--preset", "nonsense"), "nonsense"),
        (("reaper", "--model", "nonsense"), "nonsense"),
        (("touchosc", "-o", "nowhere/a.tosc"), "writable folder"),
        (("nonsense",), "nonsense"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = command(*words, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py2tosc", None)
    with pytest.raises(DeviceError, match=r"pip install 'plugin-bridge\[live\]'"):
        touchosc(SHEET)
