"""What every layout draws from: the leaves of the table, sorted by strips and by what they do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plugin_bridge.control.address_space.leaf import FADER, GAIN, TEXT, Leaf, View

MASTER = "master"


@dataclass(frozen=True)
class StripLeaves:
    """The leaves of one strip that a surface has a control for; the master has no `solo`."""

    name: str
    fader: Leaf
    gain: Leaf
    gain_text: Leaf
    pan: Leaf
    mute: Leaf
    solo: Leaf | None
    vu: Leaf | None


@dataclass(frozen=True)
class Sheet:
    """Strips in order, the master last; the presets, and what concerns the whole board by its command."""

    strips: tuple[StripLeaves, ...]
    presets: tuple[str, ...]
    commands: dict[str, Leaf]
    paths: frozenset[str]

    @classmethod
    def of(cls, leaves: Iterable[Leaf], sources: Sequence[str], presets: Sequence[str]) -> Sheet:
        """Sort the leaves of a table, which must hold the strips of the sources."""
        every = list(leaves)
        return cls(
            strips=tuple(_strip(name, every) for name in (*sources, MASTER)),
            presets=tuple(presets),
            commands={leaf.command: leaf for leaf in every if leaf.command and leaf.key is None},
            paths=frozenset(leaf.path for leaf in every),
        )


def _strip(strip: str, leaves: list[Leaf]) -> StripLeaves:
    own = [leaf for leaf in leaves if leaf.key and leaf.key.strip == strip and leaf.key.slot is None]

    def level(view: View) -> Leaf:
        return next(leaf for leaf in own if leaf.view is view)

    def held(name: str) -> Leaf | None:
        return next((leaf for leaf in own if leaf.key and leaf.key.name == name and leaf.readable), None)

    fader, pan, mute = level(FADER), held("pan"), held("mute")
    assert pan is not None and mute is not None
    beside = fader.path.rpartition("/")[0]
    vu = next((leaf for leaf in leaves if leaf.path == f"{beside}/vu"), None)
    return StripLeaves(strip, fader, level(GAIN), level(TEXT), pan, mute, held("solo"), vu)
