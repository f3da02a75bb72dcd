"""The table of a running server: finding addresses, setting them, and having commands carried out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.address_space import leaf as view
from plugin_bridge.control.address_space.actions import ACTIONS
from plugin_bridge.control.address_space.figures import Traffic
from plugin_bridge.control.address_space.leaf import Argument, Arguments, Leaf
from plugin_bridge.control.address_space.table import STATE, table
from plugin_bridge.control.commands import Commands, Event, Moved, PresetNamed, Rebuilt, Switched
from plugin_bridge.control.osc.pattern import Tree
from plugin_bridge.errors import UnknownAddress

Move = tuple[Key, Value]
_CACHED_PATTERNS = 256
_MOST_CANDIDATES = 12


class AddressSpace:
    """The addresses of what plays now; another model or preset makes them anew.

    `leaves` holds them by path. `traffic` is counted by the OSC server.
    """

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.traffic = Traffic()
        self._ears: list[Callable[[Event], None]] = []
        self._build()
        self._deafen = commands.watch(self._hear)

    def close(self) -> None:
        """Hear the server no more."""
        self._deafen()

    def _build(self) -> None:
        self.leaves = table(self.commands.sources, self.commands.parameters, self.commands, self.traffic)
        self._by_path = dict(self.leaves)
        for leaf in self.leaves.values():
            for path in leaf.aliases:
                self._by_path.setdefault(path, leaf)
        self._tree = Tree(self._by_path.items())
        self._by_name = Tree(self.leaves.items())
        self._matched: dict[str, list[Leaf]] = {}
        self._by_key: dict[Key, list[Leaf]] = {}
        for leaf in self.leaves.values():
            if leaf.key is not None and leaf.readable:
                self._by_key.setdefault(leaf.key, []).append(leaf)

    def watch(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Be told every event, after the addresses are made anew; call what is returned to hear no more."""
        self._ears.append(hear)
        return lambda: self._ears.remove(hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Rebuilt):
            self._build()
        for hear in list(self._ears):
            hear(event)

    def touched(self, event: Event) -> list[Leaf]:
        """The addresses whose value an event changes."""
        match event:
            case Moved():
                return self._by_key.get(event.key, [])
            case Switched():
                return [leaf for leaf in self.leaves.values() if leaf.command == event.name]
            case PresetNamed():
                return [self.leaves["/preset/current"]]
            case Rebuilt():
                return self.state()
        return []

    def state(self) -> list[Leaf]:
        """Every address that holds part of the state."""
        return [leaf for leaf in self.leaves.values() if leaf.topic == STATE]

    def find(self, path: str) -> Leaf:
        """The address of a path; stems may go by number. Raises `UnknownAddress`, with candidates."""
        leaf = self._by_path.get(path)
        if leaf is None:
            known, names = self._tree.children(path)
            shown = ", ".join(names[:_MOST_CANDIDATES]) + (", ..." if len(names) > _MOST_CANDIDATES else "")
            below = f"below {known or '/'} there is {shown}" if names else f"nothing is below {known}"
            raise UnknownAddress(f"an address must exist, got '{path[:100]}'; {below}")
        return leaf

    def matching(self, pattern: str) -> list[Leaf]:
        """What an OSC pattern reaches: values, switches and figures, but nothing that acts once.

        It reaches stems by name, and by number where it asks for numbers: else "all but the vocals" would
        reach them by their number. Raises `UnknownAddress` where it reaches nothing, `ValueError` where it is
        none.
        """
        found = self._matched.get(pattern)
        if found is None:
            stem = "".join(pattern.split("/")[2:3])
            numbered = not stem.strip("?") or any(sign.isdigit() for sign in stem)
            reached = (self._tree if numbered else self._by_name).matching(pattern)
            found = [leaf for leaf in reached if leaf.readable or leaf.key is not None]
            if len(self._matched) < _CACHED_PATTERNS:
                self._matched[pattern] = found
        if not found:
            raise UnknownAddress(f"a pattern must reach an address that exists, got '{pattern[:100]}'")
        return found

    def moves(
        self, leaf: Leaf, arguments: Arguments, before: Mapping[Key, Value] | None = None
    ) -> tuple[list[Move], Arguments]:
        """What arguments move, and these arguments as the address shows them.

        `before` holds moves of the same instant that come earlier. Raises `TypeError` for another number or
        type of arguments, `ValueError` for a number that is none or an unknown choice.
        """
        if leaf.command in view.TRIGGERS:
            return (self._triggered(leaf, before or {}) if pressed(leaf, arguments) else []), arguments
        argument = the_one(leaf, arguments)
        if leaf.key is None:
            return [], (int(view.switch_of(argument)),)
        value, shown = leaf.canonical(argument)
        return [(leaf.key, value)], (shown,)

    def _triggered(self, leaf: Leaf, before: Mapping[Key, Value]) -> list[Move]:
        if leaf.key is not None:
            now = before.get(leaf.key, self.commands.values[leaf.key])
            return [(leaf.key, not now)]
        return [(key, False) for key in self.commands.parameters if key.slot is None and key.name == "solo"]

    def set(self, leaf: Leaf, arguments: Arguments, seconds: float | None = None) -> Arguments:
        """Move what an address holds, at once or at a time; what it then shows. Raises as `moves`."""
        moves, shown = self.moves(leaf, arguments)
        if leaf.command in view.ENGINE_SWITCHES:
            self.switch(str(leaf.command), bool(shown[0]), seconds)
        elif moves:
            self.commands.move(moves, seconds)
        return shown

    def switch(self, name: str, on: bool, seconds: float | None = None) -> None:
        """Move a switch of the engine, at once or by this loop at a time."""
        turn = {"bypass": self.commands.set_bypass, "ping_mode": self.commands.set_ping_mode}[name]
        wait = 0.0 if seconds is None else seconds - time.time()
        if wait > 0.0:
            asyncio.get_running_loop().call_later(wait, turn, on)
        else:
            turn(on)

    async def perform(self, leaf: Leaf, arguments: Arguments) -> Arguments:
        """Have a command carried out; done when it is, with its results.

        Raises `TypeError` and `ValueError` for arguments that it does not take, `UnknownName` for what does
        not exist, `Forbidden` for what may not be, and what `Commands` raises.
        """
        if leaf.command not in ACTIONS:
            raise TypeError(f"an address must be a command, got {leaf.path}")
        if leaf.is_trigger and not pressed(leaf, arguments):
            return ()
        return await ACTIONS[leaf.command](self.commands, arguments)


def pressed(leaf: Leaf, arguments: Arguments) -> bool:
    """Whether a trigger is pressed: no argument, or one that is on; a release is not."""
    return view.switch_of(the_one(leaf, arguments)) if arguments else True


def the_one(leaf: Leaf, arguments: Arguments) -> Argument:
    """The only argument. Raises `TypeError` for more or fewer."""
    if len(arguments) != 1:
        raise TypeError(f"{leaf.path} must get one argument, got {len(arguments)}")
    return arguments[0]
