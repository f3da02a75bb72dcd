"""The address space as OSCQuery shows it: a tree of nodes with attributes, in JSON's own types."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_bridge.control.address_space import Leaf

Json = dict[str, Any]

UNITS = {"dB": "gain.db", "ms": "time.ms", "s": "time.second", "Hz": "time.hz", "frames": "time.samples"}
"""Our units in OSCQuery's words; those that it has none for are left out."""

NO_VALUE_TAGS = "TFNI"
"""Types that carry nothing besides their tag: null in JSON."""


@dataclass
class Node:
    """A place in the tree: a leaf, a container, or both (`/model` has a value and `/model/list`)."""

    path: str
    leaf: Leaf | None = None
    children: dict[str, Node] = field(default_factory=dict)

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children.values():
            yield from child.walk()


class Tree:
    """The nodes of some leaves, found by path or by any of the leaves' aliases."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self.root = Node("/")
        self._nodes = {"/": self.root}
        for leaf in leaves:
            self._at(leaf.path).leaf = leaf
            for alias in leaf.aliases:
                self._alias(alias, leaf.path)

    def _at(self, path: str) -> Node:
        node = self._nodes.get(path)
        if node is None:
            parent, _, name = path.rpartition("/")
            node = self._nodes[path] = Node(path)
            self._at(parent or "/").children[name] = node
        return node

    def _alias(self, alias: str, path: str) -> None:
        """Let the alias lead to the node, and what is above it to what is above that."""
        while alias.count("/") == path.count("/") and alias != path:
            self._nodes.setdefault(alias, self._nodes[path])
            alias, path = alias.rpartition("/")[0], path.rpartition("/")[0]

    def find(self, path: str) -> Node | None:
        """The node of a path or alias, a slash at its end forgiven; None where there is none."""
        return self._nodes.get(path if path == "/" else path.removesuffix("/"))

    def shapes(self) -> dict[str, tuple[object, ...]]:
        """What stays at every node while values move, by path: what a client has cached."""
        return {node.path: _shape(node.leaf) for node in self.root.walk()}


def _shape(leaf: Leaf | None) -> tuple[object, ...]:
    if leaf is None:
        return ()
    bounds = (leaf.lowest, leaf.highest, leaf.choices, leaf.unit)
    return (leaf.types, leaf.readable, leaf.writable, leaf.description, *bounds)


def differences(before: Tree, after: Tree) -> list[tuple[str, str]]:
    """What OSCQuery says of a tree that took another's place: commands, each with a path.

    Of what went or came, only the topmost nodes; at last that all below the root has changed, since values
    are others everywhere.
    """
    old, new = before.shapes(), after.shapes()
    gone = [path for path in old if path not in new and _parent(path) in new]
    come = [path for path in new if path not in old and _parent(path) in old]
    turned = [path for path in new if path in old and old[path] != new[path]]
    return [
        *(("PATH_REMOVED", path) for path in gone),
        *(("PATH_ADDED", path) for path in come),
        *(("PATH_CHANGED", path) for path in turned if path != "/"),
        ("PATH_CHANGED", "/"),
    ]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def pieces(node: Node) -> Iterator[str]:
    """A node with all below it as JSON, node by node: a large board's takes a while."""
    own = to_json(_given(node, ATTRIBUTES))
    if not node.children:
        yield own
        return
    yield own[:-1] + ', "CONTENTS": {'
    for number, (name, child) in enumerate(node.children.items()):
        yield f"{', ' if number else ''}{json.dumps(name)}: "
        yield from pieces(child)
    yield "}}"


def describe(node: Node) -> Json:
    """All attributes that a node has, with everything below it."""
    described: Json = json.loads("".join(pieces(node)))
    return described


def to_json(value: Json) -> str:
    """JSON without infinity and NaN, which JSON does not have."""
    return json.dumps(value, allow_nan=False)


def attribute(node: Node, name: str) -> Json | None:
    """One attribute, `{}` for one that the node lacks, None for a value that cannot be read.

    Raises `KeyError` for one that OSCQuery does not know.
    """
    if name in OTHER_ATTRIBUTES:
        return {}
    if name == "CONTENTS":
        return {name: describe(node)[name]} if node.children else {}
    give = ATTRIBUTES[name]
    if name == "VALUE" and node.leaf is not None and not node.leaf.readable:
        return None
    return _given(node, {name: give})


def _given(node: Node, attributes: dict[str, Callable[[Node], Any]]) -> Json:
    found = ((name, give(node)) for name, give in attributes.items())
    return {name: value for name, value in found if value is not None}


def _access(node: Node) -> int:
    return int(node.leaf.readable) + 2 * int(node.leaf.writable) if node.leaf else 0


def tags_of(leaf: Leaf) -> str:
    """A tag for each argument that a leaf holds now: lists have as many as there is to list."""
    if leaf.key is not None or not leaf.readable:
        return leaf.types
    held = len(leaf.arguments())
    if held <= len(leaf.types):
        return leaf.types[:held] if held else leaf.types
    return (leaf.types * held)[:held] if leaf.row else leaf.types + leaf.types[-1] * (held - len(leaf.types))


def _value(node: Node) -> list[Any] | None:
    if node.leaf is None or not node.leaf.readable:
        return None
    return [plain(argument) for argument in node.leaf.arguments()]


def plain(argument: object) -> float | int | str | bool | None:
    """An OSC argument as JSON may hold it: there is no infinity, no NaN and no blob in JSON."""
    if isinstance(argument, bool | int | str):
        return argument
    return argument if isinstance(argument, float) and math.isfinite(argument) else None


def _range(node: Node) -> list[Json] | None:
    ranges = [_range_of(node.leaf, tag) for tag in tags_of(node.leaf)] if node.leaf else []
    return ranges if any(ranges) else None


def _range_of(leaf: Leaf, tag: str) -> Json:
    if tag == "s":
        return {"VALS": list(leaf.choices)} if leaf.choices else {}
    if tag in NO_VALUE_TAGS or leaf.lowest is None or leaf.highest is None:
        return {}
    ends = {"MIN": leaf.lowest, "MAX": leaf.highest}
    whole = int if tag in "ih" else float
    return {name: whole(end) for name, end in ends.items() if math.isfinite(end)}


def _unit(node: Node) -> list[str] | None:
    unit = UNITS.get(node.leaf.unit) if node.leaf else None
    return [unit] * len(tags_of(node.leaf)) if unit and node.leaf else None


def _clip_mode(node: Node) -> list[str] | None:
    """Numbers out of range are brought into it, and the number that counts is sent back."""
    if node.leaf is None or not node.leaf.writable or not _range(node):
        return None
    return ["none" if tag == "s" else "both" for tag in tags_of(node.leaf)]


ATTRIBUTES: dict[str, Callable[[Node], Any]] = {
    "FULL_PATH": lambda node: node.path,
    "DESCRIPTION": lambda node: node.leaf.description if node.leaf else None,
    "TYPE": lambda node: tags_of(node.leaf) if node.leaf else None,
    "ACCESS": _access,
    "VALUE": _value,
    "RANGE": _range,
    "UNIT": _unit,
    "CLIPMODE": _clip_mode,
}
"""What a node may have besides CONTENTS, each with the function that gives it, or None where it has none."""

OTHER_ATTRIBUTES = frozenset({"CRITICAL", "EXTENDED_TYPE", "HTML", "OVERLOADS", "TAGS"})
"""What OSCQuery knows besides, and no node here has."""

EXTENSIONS = {
    **{name: name in ATTRIBUTES for name in sorted({*ATTRIBUTES, *OTHER_ATTRIBUTES} - {"FULL_PATH"})},
    "LISTEN": True,
    "IGNORE": True,
    "PATH_CHANGED": True,
    "PATH_ADDED": True,
    "PATH_REMOVED": True,
    "PATH_RENAMED": False,
    "OSC_STREAMING": True,
    "HTML": False,
}
"""What HOST_INFO says of optional attributes and commands."""
