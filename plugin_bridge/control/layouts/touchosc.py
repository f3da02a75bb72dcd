"""A TouchOSC layout (`.tosc`): a strip of controls for every stem and the master, and the presets.

The file is XML, compressed with zlib. A script in it renews the subscription, so that the controls follow
what others move. Over UDP that reaches an app that hears where it sends from; the button `feedback`
subscribes the port that it receives at. The connection (our address and ports) is set up in TouchOSC itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin_bridge.control.address_space import Leaf
from plugin_bridge.control.layouts.sheet import Sheet, StripLeaves
from plugin_bridge.control.osc.subscribers import METER_HZ
from plugin_bridge.errors import DeviceError

if TYPE_CHECKING:
    from py2tosc import Control, OscMessage

SIZE = (0, 0, 1024, 700)
RENEW_MS = 4000
"""Less than half of a lease, so that a lost datagram does not end it."""

RECEIVE_PORT = 9312
"""Where TouchOSC is told to receive, in its connection's settings."""
FEEDBACK_SECONDS = 3600

FADER_COLOR, MUTE_COLOR, SOLO_COLOR = "#4c9a8f", "#c8553d", "#e9c46a"
PRESET_COLOR, VU_COLOR = "#577590", "#90be6d"
MOST_PRESET_COLUMNS = 8
WORD_SIZE = 16


def touchosc(sheet: Sheet) -> bytes:
    """The file's content. Raises `DeviceError` where py2tosc is not installed."""
    try:
        from py2tosc import Document, ui
    except ImportError as error:
        raise DeviceError(
            "a TouchOSC layout must have the py2tosc library, got none; pip install 'plugin-bridge[live]'"
        ) from error
    strips = ui.row(*(_strip(strip) for strip in sheet.strips), gap=8, name="strips")
    rows = [strips, _transport(sheet), *_presets(sheet)]
    heights = [8.0, 1.0, 0.6 * (1 + (len(sheet.presets) - 1) // MOST_PRESET_COLUMNS)][: len(rows)]
    root = ui.column(*rows, sizes=heights, gap=8, pad=8, frame=SIZE, name="plugin-bridge")
    root.script = _script(sheet)
    document = Document(root=root)
    document.resolve()
    return _compressed(document.dumps(validate=True))


def _compressed(xml: str) -> bytes:
    import zlib

    return zlib.compress(xml.encode("utf-8"))


def _script(sheet: Sheet) -> str:
    """Lua that TouchOSC runs: it asks for changes, again and again, since a lease ends."""
    subscribe = sheet.commands["subscribe"].path
    return (
        "local renewed = -1e9\n"
        "function update()\n"
        f"  if getMillis() - renewed > {RENEW_MS} then\n"
        "    renewed = getMillis()\n"
        f"    sendOSC('{subscribe}', 'all')\n"
        "  end\n"
        "end\n"
    )


def _strip(strip: StripLeaves) -> Control:
    from py2tosc import ui

    switches = [_toggle(strip.mute, "M", MUTE_COLOR)]
    if strip.solo is not None:
        switches.append(_toggle(strip.solo, "S", SOLO_COLOR))
    level = [_level(strip.fader, FADER_COLOR)]
    if strip.vu is not None:
        level.insert(0, _meter(strip.vu))
    return ui.column(
        _caption(strip.name),
        ui.row(*level, sizes=[1.0, 3.0][-len(level) :], gap=4, name=f"{strip.name} level"),
        _gain_text(strip.gain_text),
        _level(strip.pan, FADER_COLOR, across=True),
        ui.row(*switches, gap=4, name=f"{strip.name} switches"),
        sizes=[1.0, 8.0, 1.0, 1.2, 1.2],
        gap=4,
        name=strip.name,
    )


def _transport(sheet: Sheet) -> Control:
    """What concerns the whole board."""
    from py2tosc import ui

    words = {"previous_preset": "< preset", "next_preset": "preset >", "clear_solo": "clear solo"}
    presses = [_press(sheet.commands[command], word) for command, word in words.items()]
    asking = ("all", FEEDBACK_SECONDS, METER_HZ, RECEIVE_PORT)
    feedback = _press(sheet.commands["subscribe"], "feedback", *asking, color=VU_COLOR)
    bypass = _toggle(sheet.commands["bypass"], "bypass", MUTE_COLOR)
    return ui.row(*presses, bypass, feedback, gap=8, name="board")


def _presets(sheet: Sheet) -> list[Control]:
    from py2tosc import ui

    if not sheet.presets:
        return []
    load = sheet.commands["load_preset"]
    buttons = [_press(load, name, name, color=PRESET_COLOR) for name in sheet.presets]
    return [ui.tiles(*buttons, columns=min(len(buttons), MOST_PRESET_COLUMNS), gap=4, name="presets")]


def _bound(leaf: Leaf, *arguments: Any, **options: Any) -> OscMessage:
    from py2tosc import ui

    address = leaf.path.replace("{", "{{").replace("}", "}}")
    return ui.osc(address, args=arguments or None, **options)


def _level(leaf: Leaf, color: str, across: bool = False) -> Control:
    from py2tosc import Orientation, fader

    # A fader that faces north grows upwards, one that faces east to the right.
    facing = Orientation.EAST if across else Orientation.NORTH
    control = fader(name=leaf.path, messages=[_bound(leaf)], color=color, orientation=facing, centered=across)
    _start_at(control, leaf.position())
    return control


def _meter(leaf: Leaf) -> Control:
    from py2tosc import fader

    heard = _bound(leaf, send=False)
    return fader(name=leaf.path, messages=[heard], color=VU_COLOR, interactive=False, cursor=False)


def _toggle(leaf: Leaf, word: str, color: str) -> Control:
    from py2tosc import ButtonType, Conversion, button, ui

    whole = ui.value("x", conversion=Conversion.INTEGER)
    control = button(
        name=leaf.path, messages=[_bound(leaf, whole)], color=color, button_type=ButtonType.TOGGLE_PRESS
    )
    _start_at(control, leaf.position())
    return ui.labelled(control, word, size=WORD_SIZE)


def _press(leaf: Leaf, word: str, *arguments: str | int, color: str = FADER_COLOR) -> Control:
    """A button that sends its arguments, or 1, when it is pressed, and nothing when it is let go."""
    from py2tosc import button, ui

    message = _bound(leaf, *map(_constant, arguments or (1,)), on="RISE", receive=False)
    name = " ".join([leaf.path, *map(str, arguments)])
    return ui.labelled(button(name=name, messages=[message], color=color), word, size=WORD_SIZE)


def _constant(argument: str | int) -> Any:
    from py2tosc import Conversion, ui

    if isinstance(argument, str):
        return ui.const(argument)
    return ui.const(str(argument), conversion=Conversion.INTEGER)


def _gain_text(leaf: Leaf) -> Control:
    from py2tosc import Conversion, label, ui

    heard = _bound(leaf, ui.value("text", conversion=Conversion.STRING), send=False, var="text")
    control = label(name=leaf.path, messages=[heard], background=False, outline=False, text_size=WORD_SIZE)
    _start_at(control, str(leaf.arguments()[0]), key="text")
    return control


def _caption(word: str) -> Control:
    from py2tosc import label

    control = label(name=f"caption {word}", background=False, outline=False, text_size=18)
    _start_at(control, word, key="text")
    return control


def _start_at(control: Control, value: float | str, key: str = "x") -> None:
    held = control.value(key)
    assert held is not None
    held.default = value
