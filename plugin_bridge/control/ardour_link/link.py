"""The link to a running Ardour: found, listened to, written to, and found again when it went away.

Ardour sends the state of every strip when asked to, then each change. Of two hands that move one control at
once, the one whose move Ardour has last wins on both sides, as Ardour reports every move it has.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Value
from plugin_bridge.control.ardour_link.pace import Pace
from plugin_bridge.control.ardour_link.strips import BY_ADDRESS, BY_PARAMETER, CONTROLS, Strip, tie
from plugin_bridge.control.ardour_link.surface import ArdourRequest, Surface
from plugin_bridge.control.commands import Commands, Event, Moved, Rebuilt
from plugin_bridge.errors import PluginBridgeError

_TRY_SECONDS = 1.0
_TRIES_UNTIL_TOLD = 3
_GONE_SECONDS = 3.5
_SEND_SECONDS = 0.05
_MOST_STRIPS = 9999

_WHERE_IT_MAY_BE = (
    "must answer, got nothing yet; open a session there, with Open Sound Control enabled among its control "
    "surfaces"
)

# Before its session closes or a strip goes, Ardour reports the strip as silent and centred, and only among
# that that it has no name any more. What is heard waits until such a run must be over.
_HOLD_SECONDS = 0.03


class ArdourLink:
    """Ties one strip of Ardour to each stem: fader, pan, mute and solo, both ways.

    Strips are found by the stems' names, else by number; see `tie`. Gains go over in dB, exactly, clipped
    to what the other side can do. When the link is made, or made again, Ardour's values are taken over: the
    session is the engineer's document. After a preset or model was loaded here, its values go to Ardour.

    A tied strip is a remote control. Where its own audio is that stem, its fader counts twice. Ardour has
    one way to answer each machine: ours is to the port that asks, so other surfaces on this machine must
    not be set to a fixed port.

    `report` is told in one line when the link is made, changes, and is lost.
    """

    def __init__(self, commands: Commands, request: ArdourRequest, report: Callable[[str], None]) -> None:
        self._commands = commands
        self._report = report
        self._surface = Surface(request, self._hear)
        self._looking: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._sends: Pace[tuple[str, str]] = Pace(self._send_value, _SEND_SECONDS)
        self._linked = False
        self._strips: dict[int, Strip] = {}
        self._listed: dict[int, str] = {}
        self._listed_before: dict[int, str] = {}
        self._last_named = 0
        self._ties: dict[str, int] = {}
        self._tied_names: dict[str, str] = {}
        self._told: dict[str, str] | None = None
        self._moved: set[tuple[int, str]] = set()
        self._held: asyncio.TimerHandle | None = None

    @property
    def ties(self) -> dict[str, str]:
        """The names of the strips that the stems are tied to; none while Ardour is away."""
        return dict(self._tied_names)

    async def start(self) -> None:
        """Begin to look for Ardour; it need not be there. Raises `DeviceError` for a host unknown."""
        await self._surface.start()
        self._unwatch = self._commands.watch(self._hear_event)
        self._looking = asyncio.create_task(self._look_after())

    async def close(self) -> None:
        """Take leave of Ardour. May be called twice."""
        self._unwatch()
        self._unwatch = lambda: None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._linked:
            self._surface.leave()
        self._forget()
        self._sends.close()
        self._surface.close()

    # Being there, and away.

    async def _look_after(self) -> None:
        for tries in itertools.count():
            silent = self._surface.silent_seconds() > _GONE_SECONDS
            if self._linked and silent:
                self._forget()
                self._tell("has gone; its strips are taken up again when it is back")
            if tries == _TRIES_UNTIL_TOLD and not self._linked:
                self._tell(_WHERE_IT_MAY_BE if silent else "has no tracks or buses yet; they are waited for")
            if not self._linked:
                self._listed = {}
                self._surface.look()
            await asyncio.sleep(_TRY_SECONDS)

    def _tell(self, what: str) -> None:
        self._report(f"Ardour at {self._surface.where} {what}")

    def _forget(self) -> None:
        self._linked = False
        self._strips.clear()
        self._listed_before = {}
        self._ties, self._tied_names, self._told = {}, {}, None
        self._moved.clear()
        self._release()

    # From Ardour.

    def _hear(self, address: str, arguments: Sequence[Any]) -> None:
        match (address, *arguments):
            case ("/reply", "end_route_list", *_):
                self._end_list()
            case ("/reply", str(), str(name), _, _, _, _, int(number), *_) if 0 < number <= _MOST_STRIPS:
                self._listed[number] = name
            case ("/strip/list",):
                self._end_names()
            case ("/strip/name", int(number), str(name)) if 0 < number <= _MOST_STRIPS:
                self._hear_name(number, name)
            case (_, int(number), float(value)) if address in BY_ADDRESS:
                # Whole numbers are not values but Ardour's way to say that it did not understand.
                self._hear_value(number, address, value)

    def _hear_name(self, number: int, name: str) -> None:
        self._last_named = number
        if not name.strip():
            self._strips.pop(number, None)
        elif number in self._strips:
            self._strips[number].name = name
        else:
            self._strips[number] = Strip(name)
        self._hold(anew=True)

    def _hear_value(self, number: int, address: str, value: float) -> None:
        control, strip = BY_ADDRESS[address], self._strips.get(number)
        if strip is not None and math.isfinite(value) and strip.hear(control, value):
            self._moved.add((number, control.parameter))
            self._hold()

    def _end_list(self) -> None:
        """Make the link when the same strips are there twice: a session that loads has others by then."""
        listed, before = self._listed, self._listed_before
        self._listed, self._listed_before = {}, listed
        if not self._linked and listed and listed == before:
            self._strips = {number: Strip(name) for number, name in listed.items()}
            self._linked = True
            self._surface.listen()
            self._hold(anew=True)

    def _end_names(self) -> None:
        # Strips came, went or moved, and Ardour has just reported all there are, the last one last.
        for gone in [number for number in self._strips if number > self._last_named]:
            del self._strips[gone]
        self._hold(anew=True)

    def _hold(self, anew: bool = False) -> None:
        # Names come in runs, each before its strip's values: what they mean together is known at the end.
        if anew:
            self._release()
        if self._held is None and self._linked:
            self._held = asyncio.get_running_loop().call_later(_HOLD_SECONDS, self._apply)

    def _release(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _apply(self) -> None:
        """Bring the ties up to date, and the stems to where Ardour has moved its strips."""
        self._held = None
        fresh = self._tie()
        moves = [
            (Key(source, None, parameter), BY_PARAMETER[parameter].to_stem(value))
            for source, number in self._ties.items()
            for parameter, value in self._strips[number].values.items()
            if source in fresh or (number, parameter) in self._moved
        ]
        self._moved.clear()
        values = self._commands.values
        moves = [(key, value) for key, value in moves if key in values and self._differ(key, value)]
        try:
            if moves:
                self._commands.move(moves)
        except PluginBridgeError as error:
            self._tell(f"moved what could not be moved here: {error}")

    def _differ(self, key: Key, value: Value) -> bool:
        # In Ardour's terms: a gain above what its faders reach stands there at their top, and stays here.
        control = BY_PARAMETER[key.name]
        return not control.agree(control.to_ardour(value), control.to_ardour(self._commands.values[key]))

    def _tie(self) -> set[str]:
        """Tie strips to stems; the stems that have another strip than before."""
        names = {number: strip.name for number, strip in self._strips.items()}
        self._ties = tie(names, self._commands.sources)
        tied = {source: names[number] for source, number in self._ties.items()}
        fresh = {source for source, name in tied.items() if self._tied_names.get(source) != name}
        self._tied_names = tied
        if tied != self._told:
            self._told = tied
            self._tell(_described(tied, self._commands.sources))
        return fresh

    # To Ardour.

    def _hear_event(self, event: Event) -> None:
        if not self._linked:
            return
        if isinstance(event, Moved):
            if event.key.slot is None and event.key.name in BY_PARAMETER and event.key.strip in self._ties:
                self._sends.want((event.key.strip, event.key.name))
        elif isinstance(event, Rebuilt):
            self._tie()
            for source in self._ties:
                for control in CONTROLS:
                    self._sends.want((source, control.parameter))

    def _send_value(self, tied: tuple[str, str]) -> None:
        source, parameter = tied
        number, target = self._ties.get(source), self._commands.values.get(Key(source, None, parameter))
        if number is None or target is None:
            return
        strip = self._strips.get(number)
        if strip is None or strip.name != self._tied_names[source]:
            self._sends.want(tied)  # another strip has the number now: once the ties are right again
            return
        control = BY_PARAMETER[parameter]
        value, known = control.to_ardour(target), strip.values.get(parameter)
        if known is None or control.agree(known, value):
            return
        # What Ardour reported and we have not taken yet is older than this.
        self._moved.discard((number, parameter))
        strip.send(control, value)
        self._surface.send(control.address, number, value)


def _described(tied: Mapping[str, str], sources: Sequence[str]) -> str:
    if not tied:
        return f"is linked, but has no strip for {', '.join(sources)}"
    pairs = ", ".join(f"{source} to its strip '{name}'" for source, name in tied.items())
    missing = [source for source in sources if source not in tied]
    return f"is linked: {pairs}" + (f"; no strip for {', '.join(missing)}" if missing else "")
