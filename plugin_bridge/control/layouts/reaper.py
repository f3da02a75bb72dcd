"""A pattern file (`.ReaperOSC`) that ties REAPER's first tracks to our stems, by number.

Levels go in dB, since a normalised fader of REAPER's follows another law than ours. Its master is left
alone: our master moves what REAPER's master hears already.
"""

from __future__ import annotations

from plugin_bridge.control.address_space import Leaf
from plugin_bridge.control.layouts.sheet import MASTER, Sheet

_COUNTS = ("SEND", "RECEIVE", "FX", "FX_PARAM", "FX_INST_PARAM", "MARKER", "REGION")

_HEADER = """\
# plugin-bridge: tracks 1 to {count} of REAPER move {names}.
# Preferences > Control/OSC/web > Add > OSC; mode: configure device IP+local port;
# device port: plugin-bridge's OSC port; pattern config: this file, in REAPER's OSC folder.
# Use tracks that do not play the stems themselves: their faders would count twice.
"""


def reaper(sheet: Sheet) -> bytes:
    """The file's content."""
    stems = [strip for strip in sheet.strips if strip.name != MASTER]
    first = stems[0]
    # flags: f the value itself (dB for a volume), n 0 to 1, b 0 or 1
    actions = [
        ("TRACK_VOLUME", "f", first.gain),
        ("TRACK_PAN", "n", first.pan),
        ("TRACK_MUTE", "b", first.mute),
    ]
    if first.solo is not None:
        actions.append(("TRACK_SOLO", "b", first.solo))
    lines = [
        f"DEVICE_TRACK_COUNT {len(stems)}",
        *(f"DEVICE_{what}_COUNT 0" for what in _COUNTS),
        "",
        "REAPER_TRACK_FOLLOWS REAPER",
        "DEVICE_TRACK_FOLLOWS DEVICE",
        "DEVICE_TRACK_BANK_FOLLOWS DEVICE",
        "DEVICE_FX_FOLLOWS DEVICE",
        "",
        *(f"{action} {flag}{_by_number(leaf)}" for action, flag, leaf in actions),
    ]
    header = _HEADER.format(count=len(stems), names=", ".join(stem.name for stem in stems))
    return (header + "\n" + "\n".join(lines) + "\n").encode("utf-8")


def _by_number(leaf: Leaf) -> str:
    """The address of the first stem with its number as REAPER's `@`."""
    for alias in leaf.aliases:
        before, number, behind = alias.partition("/1/")
        if number:
            return f"{before}/@/{behind}"
    raise ValueError(f"a stem must have an address with its number, got {leaf.path}")
