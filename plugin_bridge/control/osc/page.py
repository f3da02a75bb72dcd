"""The page on OSC, `docs/osc.md`: how it is spoken, and the whole table of addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from plugin_bridge.control.address_space import METERS, Leaf
from plugin_bridge.control.layouts import touchosc
from plugin_bridge.control.osc import codec, dispatch, peers, server, subscribers, tcp

_PROSE = Path(__file__).with_suffix(".md")
_STEM_TITLE, _EFFECT_TITLE = "A stem", "An effect, here a Compressor in the first slot"
_TITLES = (
    ("/stem/<stem>/fx/list", _STEM_TITLE),
    ("/stem/<stem>/fx/", _EFFECT_TITLE),
    ("/stem/", _STEM_TITLE),
    ("/master/", "The master"),
    ("/meter/", "Meters"),
    ("/model", "Models and presets"),
    ("/preset", "Models and presets"),
    ("/render/start", "Renders"),
    ("/render/cancel", "Renders"),
)
_SESSION = {"subscribe", "unsubscribe", "refresh", "sync"}


def osc_page(leaves: Iterable[Leaf], stem: str) -> str:
    """The whole page, as Markdown; the rows of one stem stand for all."""
    text = _PROSE.read_text("utf-8")
    for name, value in _figures().items():
        text = text.replace(f"<!-- {name} -->", f"{value:g}" if isinstance(value, float) else str(value))
    return text.replace("<!-- tables -->\n", _tables([_for_all(leaf, stem) for leaf in leaves]))


def _figures() -> dict[str, int | float]:
    return {
        "udp_port": server.UDP_PORT,
        "tcp_port": server.TCP_PORT,
        "ttl": subscribers.TTL_SECONDS,
        "longest_ttl": subscribers.LONGEST_TTL_SECONDS,
        "fastest": subscribers.FASTEST_HZ,
        "meter_rate": subscribers.METER_HZ,
        "subscribers": subscribers.MOST_SUBSCRIBERS,
        "horizon": dispatch.HORIZON_SECONDS,
        "packet_bytes": codec.LARGEST_PACKET,
        "messages": codec.MOST_MESSAGES,
        "arguments": codec.MOST_ARGUMENTS,
        "deepest": codec.DEEPEST,
        "rate": peers.MESSAGES_PER_SECOND,
        "part_seconds": tcp.PART_SECONDS,
        "silent_minutes": tcp.SILENT_SECONDS / 60,
        "touchosc_port": touchosc.RECEIVE_PORT,
    }


def _for_all(leaf: Leaf, stem: str) -> Leaf:
    for before in (f"/stem/{stem}/", f"/meter/{stem}"):
        if leaf.path.startswith(before):
            return replace(leaf, path=leaf.path.replace(stem, "<stem>", 1))
    return leaf


def _tables(leaves: list[Leaf]) -> str:
    groups: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault(_title(leaf), []).append(leaf)
    head = "| address | arguments | | range | default | |\n|---|---|---|---|---|---|"
    sections = [f"### {title}\n\n{head}\n" + "\n".join(map(_row, rows)) for title, rows in groups.items()]
    return "\n\n".join(sections) + "\n"


def _title(leaf: Leaf) -> str:
    if not (leaf.readable or leaf.writable):
        return "What we send"
    if leaf.command in _SESSION:
        return "You and we"
    found = (title for beginning, title in _TITLES if leaf.path.startswith(beginning))
    return next(found, "The whole processor")


def _row(leaf: Leaf) -> str:
    default = "" if leaf.default is None else shown(leaf.default)
    cells = [f"`{leaf.path}`", arguments(leaf), access(leaf), span(leaf), default, leaf.description]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def arguments(leaf: Leaf) -> str:
    """Its type tags, with their names where it has several.

    >>> arguments(Leaf("/x", "is", "", names=("number", "name")))
    'i number, s name'
    """
    if not leaf.names:
        return leaf.types
    return ", ".join(f"{tag} {name}" for tag, name in zip(leaf.types, leaf.names, strict=False))


def access(leaf: Leaf) -> str:
    """What can be done with it, in words."""
    words = ["ask"] if leaf.readable else []
    if leaf.writable:
        words.append("set" if leaf.readable else "do")
    if leaf.topic:
        words.append("told with meters" if leaf.topic == METERS else "told")
    return ", ".join(words) or "sent"


def span(leaf: Leaf) -> str:
    """Its range with its unit, or its choices.

    >>> span(Leaf("/x", "f", "", "dB", -90.0, 24.0))
    '-90 to 24 dB'
    """
    if leaf.choices:
        return ", ".join(leaf.choices)
    if leaf.lowest is None or leaf.highest is None:
        return leaf.unit
    return f"{leaf.lowest:g} to {leaf.highest:g} {leaf.unit}".rstrip()


def shown(value: object) -> str:
    """A value without digits that mean nothing."""
    return f"{value:g}" if isinstance(value, float) else str(value)
