"""OSC address patterns (`*`, `?`, `[a-z]`, `[!a-z]`, `{one,other}`) on a tree of existing addresses.

A pattern is applied part by part; against one name its time is linear in the pattern's length, whatever it
holds: a set of positions in the name is carried along as the bits of one integer, so nothing is ever tried
twice. OSC 1.0 specification, "OSC Message Dispatching and Pattern Matching".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Generic, TypeVar

WILD = frozenset("*?[{")

Target = TypeVar("Target")


def is_pattern(address: str) -> bool:
    """Whether an address holds anything but literal names.

    >>> is_pattern("/stem/*/gain"), is_pattern("/stem/vocals/gain")
    (True, False)
    """
    return not WILD.isdisjoint(address)


def matches(pattern: str, name: str) -> bool:
    """Whether one part of a pattern fits one name. Raises `ValueError` for brackets that do not close.

    >>> matches("{voc,ba}*[!a-f]", "vocals"), matches("*o*", "bass")
    (True, False)
    """
    return _fits(_compiled(pattern), _places(name), len(name))


Step = str | frozenset[str] | tuple[str, ...]
"""Of a pattern: a letter, "*" or "?" (as `_ANY_RUN`, `_ANY`), the letters of a class, or alternatives."""

_ANY_RUN, _ANY, _BUT = "", "any", "but"


def _compiled(pattern: str) -> list[Step]:
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign in "{[":
            close = pattern.find("}" if sign == "{" else "]", at)
            if close < 0:
                raise ValueError(f"a pattern must close every bracket, got '{pattern}'")
            inside = pattern[at + 1 : close]
            steps.append(tuple(dict.fromkeys(inside.split(","))) if sign == "{" else _class_of(inside))
            at = close
        else:
            steps.append({"*": _ANY_RUN, "?": _ANY}.get(sign, sign))
        at += 1
    return steps


def _class_of(listed: str) -> frozenset[str]:
    """The letters of a class; `_BUT` among them says that all others are meant."""
    letters = {_BUT} if listed.startswith("!") else set()
    signs, at = listed.removeprefix("!"), 0
    while at < len(signs):
        first, last = signs[at], signs[at]
        if signs[at + 1 : at + 2] == "-" and at + 2 < len(signs):
            last, at = signs[at + 2], at + 2
        # Names are ASCII, so a span through all of Unicode need not be written out.
        letters.update(map(chr, range(ord(first), min(ord(last), 127) + 1)))
        at += 1
    return frozenset(letters)


@lru_cache(maxsize=4096)
def _places(name: str) -> dict[str, int]:
    """Where each letter of a name stands, as bits."""
    places: dict[str, int] = {}
    for at, letter in enumerate(name):
        places[letter] = places.get(letter, 0) | 1 << at
    return places


def _fits(steps: list[Step], places: dict[str, int], length: int) -> bool:
    end = 1 << length
    reached = 1
    for step in steps:
        if not reached:
            return False
        if step == _ANY_RUN:
            reached = (end << 1) - (reached & -reached)  # every position from the first one reached
        elif step == _ANY:
            reached = (reached & (end - 1)) << 1
        elif isinstance(step, str):
            reached = (reached & places.get(step, 0)) << 1
        elif isinstance(step, frozenset):
            inside = sum(bits for letter, bits in places.items() if letter in step)
            reached = (reached & ((end - 1) & ~inside if _BUT in step else inside)) << 1
        else:
            reached = _after_any(step, places, reached)
    return bool(reached & end)


def _after_any(words: tuple[str, ...], places: dict[str, int], reached: int) -> int:
    after = 0
    for word in words:
        moved = reached
        for sign in word:
            moved = (moved & places.get(sign, 0)) << 1
        after |= moved
    return after


class Tree(Generic[Target]):
    """Addresses by their parts, so that a pattern looks at each name of a level once."""

    def __init__(self, targets: Iterable[tuple[str, Target]] = ()) -> None:
        self._below: dict[str, Tree[Target]] = {}
        self._target: Target | None = None
        for address, target in targets:
            self._add(address, target)

    def _add(self, address: str, target: Target) -> None:
        node = self
        for part in address.strip("/").split("/"):
            node = node._below.setdefault(part, Tree())
        node._target = target

    def matching(self, pattern: str) -> list[Target]:
        """What the addresses that fit a pattern stand for, each once, in the tree's order.

        Raises `ValueError` for brackets that do not close.
        """
        nodes = [self]
        for part in pattern.removeprefix("/").split("/"):
            if is_pattern(part):
                steps = _compiled(part)
                pairs = [pair for node in nodes for pair in node._below.items()]
                nodes = [below for name, below in pairs if _fits(steps, _places(name), len(name))]
            else:
                nodes = [node._below[part] for node in nodes if part in node._below]
        found = {id(node._target): node._target for node in nodes if node._target is not None}
        return list(found.values())

    def children(self, address: str) -> tuple[str, list[str]]:
        """The longest beginning of an address that exists, and the names that may follow it."""
        node, known = self, ""
        for part in address.strip("/").split("/"):
            if part not in node._below:
                break
            node, known = node._below[part], f"{known}/{part}"
        return known, list(node._below)
