"""An Open Stage Control session (JSON): a strip of widgets for every stem and the master, and the presets.

It is opened by `open-stage-control --load FILE --send HOST:PORT`, or from its own menu. A script in the root
widget renews the subscription, so that the widgets follow what others move.
"""

from __future__ import annotations

import json
from typing import Any

from plugin_bridge.control.address_space import Leaf
from plugin_bridge.control.layouts.sheet import Sheet, StripLeaves

Widget = dict[str, Any]

SESSION_VERSION = "1.25.0"
"""The program's version whose form this is; later ones read it."""

RENEW_MS = 4000
"""Less than half of a lease, so that a lost datagram does not end it."""


def open_stage_control(sheet: Sheet) -> bytes:
    """The file's content."""
    strips = _panel("strips", "horizontal", [_strip(strip) for strip in sheet.strips])
    root = {
        "type": "root",
        "id": "root",
        "comments": "start with --send HOST:PORT of plugin-bridge",
        "layout": "vertical",
        "onCreate": _script(sheet),
        "widgets": [strips, _board(sheet), *_presets(sheet)],
        "tabs": [],
    }
    session = {
        "createdWith": "Open Stage Control",
        "version": SESSION_VERSION,
        "type": "session",
        "content": root,
    }
    return (json.dumps(session, indent=2, allow_nan=False) + "\n").encode("utf-8")


def _script(sheet: Sheet) -> str:
    """Its own script language: ask for changes, again and again, since a lease ends."""
    subscribe = f"send('{sheet.commands['subscribe'].path}', 'all')"
    return f"{subscribe}\nsetInterval('renew', () => {{ {subscribe} }}, {RENEW_MS})"


def _panel(name: str, layout: str, widgets: list[Widget], **options: Any) -> Widget:
    return {
        "type": "panel",
        "id": name,
        "layout": layout,
        "bypass": True,
        "expand": True,
        "widgets": widgets,
        "tabs": [],
        **options,
    }


def _strip(strip: StripLeaves) -> Widget:
    level = [_fader(strip.fader)]
    if strip.vu is not None:
        level.insert(0, _meter(strip.vu))
    switches = [_toggle(leaf, word) for leaf, word in ((strip.mute, "M"), (strip.solo, "S")) if leaf]
    return _panel(
        f"strip {strip.name}",
        "vertical",
        [
            _text(f"name {strip.name}", value=strip.name),
            _panel(f"level {strip.name}", "horizontal", level),
            _text(
                strip.gain_text.path, address=strip.gain_text.path, value=str(strip.gain_text.default or "")
            ),
            _knob(strip.pan),
            _panel(f"switches {strip.name}", "horizontal", switches, expand=False, height=60),
        ],
    )


def _board(sheet: Sheet) -> Widget:
    """What concerns the whole board."""
    words = {"previous_preset": "< preset", "next_preset": "preset >", "clear_solo": "clear solo"}
    presses = [_press(sheet.commands[command], word, 1, "i") for command, word in words.items()]
    switch = _toggle(sheet.commands["bypass"], "bypass")
    return _panel("board", "horizontal", [*presses, switch], expand=False, height=60)


def _presets(sheet: Sheet) -> list[Widget]:
    if not sheet.presets:
        return []
    load = sheet.commands["load_preset"]
    buttons = [_press(load, name, name, "s") for name in sheet.presets]
    return [_panel("presets", "horizontal", buttons, expand=False, height=60)]


def _widget(kind: str, leaf: Leaf, tags: str, **options: Any) -> Widget:
    return {
        "type": kind,
        "id": leaf.path,
        "address": leaf.path,
        "preArgs": "",
        "typeTags": tags,
        "target": "",
        "expand": True,
        **options,
    }


def _fader(leaf: Leaf) -> Widget:
    return _widget(
        "fader", leaf, "f", range={"min": 0, "max": 1}, default=leaf.position(), decimals=4, doubleTap=True
    )


def _meter(leaf: Leaf) -> Widget:
    """A fader that no hand moves; `bypass` keeps it from sending what it was told."""
    return _widget(
        "fader", leaf, "f", range={"min": 0, "max": 1}, interaction=False, bypass=True, design="compact"
    )


def _knob(leaf: Leaf) -> Widget:
    return _widget(
        "knob",
        leaf,
        "f",
        range={"min": 0, "max": 1},
        default=leaf.position(),
        origin=0.5,
        doubleTap=True,
        decimals=4,
        expand=False,
        height=80,
    )


def _toggle(leaf: Leaf, word: str) -> Widget:
    default = int(leaf.position() >= 0.5)
    return _widget("button", leaf, "i", mode="toggle", label=word, on=1, off=0, default=default, decimals=0)


def _press(leaf: Leaf, word: str, argument: int | str, tags: str) -> Widget:
    """A button that acts when it is pressed, and sends nothing when it is let go."""
    widget = _widget("button", leaf, tags, mode="tap", label=word, on=argument, off=0)
    return widget | {"id": f"press {word}"}


def _text(name: str, value: str, address: str = "") -> Widget:
    """A word, or what comes in at an address."""
    return {
        "type": "text",
        "id": name,
        "value": value,
        "default": value,
        "address": address or "auto",
        "bypass": not address,
        "expand": False,
        "height": 30,
    }
