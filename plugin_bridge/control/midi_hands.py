"""From gestures to moves of the board: pick-up, toggles, endless encoders, presses that are commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plugin_bridge.control.address_space import AddressSpace, Arguments, Leaf
from plugin_bridge.control.midi_input import Gesture
from plugin_bridge.control.midi_map import Control
from plugin_bridge.errors import PluginBridgeError, UnknownAddress

_NEAR = 1.5 / 127
"""A fader this near to its target holds it: a step and a half of a 7-bit controller."""
_SAME = 1e-5
"""Two places nearer than this are one; what float32 makes of a value moves it less."""


@dataclass
class _Grip:
    """What is known of a control: whether it holds its target, where it was, how it left its target."""

    holds: bool = False
    was: float | None = None
    wanted: float = 0.0
    left: float | None = None


class Hands:
    """Moves an address space by gestures.

    `perform` is called for presses that are commands, `tell` with a sentence for what people should know.
    """

    def __init__(
        self,
        space: AddressSpace,
        perform: Callable[[Leaf, Arguments], None],
        tell: Callable[[str], None],
    ) -> None:
        self._space, self._perform, self._tell = space, perform, tell
        self._grips: dict[int, tuple[Control, _Grip]] = {}
        self._told: set[str] = set()

    def act(self, gesture: Gesture) -> None:
        """Do what a gesture means; what cannot be done is told once."""
        control = gesture.control
        try:
            leaf = self._space.find(control.target)
            self._act(gesture, control, leaf)
        except (PluginBridgeError, ValueError, TypeError) as error:
            self.tell_once(f"{control.target}: {error}")

    def tell_once(self, sentence: str) -> None:
        """Say something unless it was said before."""
        if sentence not in self._told:
            self._told.add(sentence)
            self._tell(sentence)

    def missing(self, controls: Iterable[Control]) -> list[str]:
        """Targets that the present board lacks."""
        found = []
        for control in controls:
            try:
                self._space.find(control.target)
            except UnknownAddress:
                found.append(control.target)
        return list(dict.fromkeys(found))

    def let_go(self) -> None:
        """Another board plays: no fader holds its target any more."""
        self._grips.clear()

    def _act(self, gesture: Gesture, control: Control, leaf: Leaf) -> None:
        if gesture.kind == "program":
            self._send(leaf, (int(gesture.amount),))
        elif gesture.kind == "press" and control.argument is not None:
            self._send(leaf, (control.argument,))
        elif gesture.kind in ("press", "release") and leaf.travel is None:
            if gesture.kind == "press":
                self._send(leaf, (1,) if leaf.is_settable else ())
        elif gesture.kind in ("press", "release"):
            self._switch(control, leaf, gesture.kind == "press")
        elif gesture.kind == "turn":
            self._turn(control, leaf, gesture.amount)
        elif gesture.kind == "place":
            self._place(control, leaf, control.travel(gesture.amount))

    def _send(self, leaf: Leaf, arguments: Arguments) -> None:
        if leaf.is_settable:
            self._space.set(leaf, arguments)
        else:
            self._perform(leaf, arguments)

    def _set(self, leaf: Leaf, position: float) -> None:
        self._space.set(leaf, (leaf.at_position(position),))

    def _switch(self, control: Control, leaf: Leaf, down: bool) -> None:
        if control.how == "momentary":
            self._set(leaf, control.highest if down else control.lowest)
        elif down:
            now = leaf.position()
            is_low = abs(now - control.lowest) < abs(now - control.highest)
            self._set(leaf, control.highest if is_low else control.lowest)

    def _grip(self, control: Control) -> _Grip:
        return self._grips.setdefault(id(control), (control, _Grip()))[1]

    def _turn(self, control: Control, leaf: Leaf, clicks: float) -> None:
        """A step from where the target is; steps too small for a switch or a choice add up."""
        grip, now = self._grip(control), leaf.position()
        undisturbed = grip.left is not None and abs(now - grip.left) < _SAME
        step = clicks * control.step * (1 if control.highest > control.lowest else -1)
        ends = sorted((control.lowest, control.highest))
        grip.wanted = min(max((grip.wanted if undisturbed else now) + step, ends[0]), ends[1])
        self._set(leaf, grip.wanted)
        grip.left = leaf.position()

    def _place(self, control: Control, leaf: Leaf, at: float) -> None:
        grip = self._grip(control)
        if control.picks_up and not self._takes_hold(grip, leaf.position(), at):
            grip.was = at
            return
        self._set(leaf, at)
        grip.holds, grip.was, grip.left = True, at, leaf.position()

    @staticmethod
    def _takes_hold(grip: _Grip, now: float, at: float) -> bool:
        """Whether a fader at a place may move its target, which is elsewhere `now`."""
        if grip.holds and grip.left is not None and abs(now - grip.left) < _SAME:
            return True
        grip.holds = False
        passed = grip.was is not None and (grip.was - now) * (at - now) <= 0
        return passed or abs(at - now) <= _NEAR
