"""The page on MIDI, `docs/midi.md`: how to connect a device, and every shipped map as a table."""

from __future__ import annotations

from pathlib import Path

from plugin_bridge.control.midi_learn import described
from plugin_bridge.control.midi_map import Control, MidiMap, load_map, shipped_maps_folder

_PROSE = Path(__file__).with_suffix(".md")
_PLACE = "<!-- maps -->\n"


def midi_page() -> str:
    """The whole page, as Markdown."""
    maps = [load_map(path) for path in sorted(shipped_maps_folder().glob("*.toml"))]
    return _PROSE.read_text("utf-8").replace(_PLACE, "\n".join(map(_section, maps)) + "\n")


def _section(midi_map: MidiMap) -> str:
    about = midi_map.description[:1].upper() + midi_map.description[1:]
    rows = "\n".join(map(_row, midi_map.control))
    head = "| control | moves | how | feedback |\n|---|---|---|---|"
    return f"### {midi_map.name}\n\n{about}.\n\n{head}\n{rows}\n"


def _row(control: Control) -> str:
    return f"| {described(control)} | `{control.target}` | {_how(control)} | {_feedback(control)} |"


def _how(control: Control) -> str:
    if control.argument is not None:
        return f"a press sends {control.argument}"
    if control.is_relative:
        return f"{control.how.replace('_', ' ')}, steps of {control.step:g}"
    if control.type == "program":
        return "by number" if control.number is None else "press"
    words = {"absolute": "place", "toggle": "press"}.get(control.how, control.how)
    return f"{words}, picks up" if control.picks_up else words


def _feedback(control: Control) -> str:
    if not control.feedback:
        return ""
    if control.ring is not None:
        return f"ring, CC {control.ring}"
    if control.how != "absolute":
        return "lamp"
    return f"motor; touch is note {control.touch}" if control.touch is not None else "its place"
