"""The table itself: every address of a board, in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from plugin_bridge.board.parameter_tree import Key, Parameter
from plugin_bridge.control.address_space import leaf as view
from plugin_bridge.control.address_space.figures import (
    Traffic,
    effects_of,
    latency_of,
    level_of,
    preset_of,
    status_of,
    stems_of,
    version,
    vu_of,
)
from plugin_bridge.control.address_space.leaf import Arguments, Leaf, Travel, View
from plugin_bridge.control.commands import Commands

STATE, METERS = "state", "meters"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+~-]")
STATUS_NAMES = (
    *("running", "load", "peak", "xruns", "dropped"),
    *("sr_nominal", "sr_actual", "block", "device", "model"),
)
_WHAT = {"mute": "mute", "solo": "solo in place", "mix": "dry (0) to wet (1)", "bypass": "bypass"}


def part_of(name: str) -> str:
    """A name as part of an address: what OSC reserves, and what is not ASCII, becomes `_`.

    >>> part_of("Mix [dry/wet]")
    'Mix__dry_wet_'
    """
    return _UNSAFE.sub("_", name) or "_"


def table(
    sources: Sequence[str],
    parameters: Mapping[Key, Parameter],
    commands: Commands | None = None,
    traffic: Traffic | None = None,
) -> dict[str, Leaf]:
    """Every address of a board by its path; without `commands` parameters hold their defaults."""
    leaves: dict[str, Leaf] = {}
    for each in _Rows(sources, parameters, commands, traffic or Traffic()).every():
        path = each.path
        if path in leaves:  # two names that became one
            path = next(f"{path}_{n}" for n in range(2, len(leaves) + 3) if f"{path}_{n}" not in leaves)
        leaves[path] = replace(each, path=path) if path != each.path else each
    return leaves


class _Rows:
    """The rows of the table, from the board down to what is only sent."""

    def __init__(
        self,
        sources: Sequence[str],
        parameters: Mapping[Key, Parameter],
        commands: Commands | None,
        traffic: Traffic,
    ) -> None:
        self.sources, self.parameters = sources, parameters
        self.commands, self.traffic = commands, traffic
        self.by_strip: dict[str, list[Parameter]] = {strip: [] for strip in (*sources, "master")}
        for parameter in parameters.values():
            if parameter.key.strip in self.by_strip:
                self.by_strip[parameter.key.strip].append(parameter)

    def every(self) -> Iterator[Leaf]:
        """All rows."""
        yield self.told(
            "/stem/list", "i" + "s" * len(self.sources), "how many stems there are, and their names", stems_of
        )
        for number, source in enumerate(self.sources, 1):
            yield from self.stem(f"/stem/{part_of(source)}", f"/stem/{number}", source)
        yield from self.strip("/master", None, "master")
        yield from self.meters()
        yield from self.engine()
        yield from self.models_and_presets()
        yield from DOINGS
        yield from NOTICES

    def stem(self, base: str, alias: str, source: str) -> Iterator[Leaf]:
        """What one stem has."""
        yield self.told(
            f"{base}/name", "s", "the stem's name", lambda _: (source,), aliases=(f"{alias}/name",)
        )
        yield from self.strip(base, alias, source)
        yield self.told(
            f"{base}/vu",
            "f",
            "its peak level on a meter's scale, 0 at -60 dBFS and 1 at full scale",
            partial(vu_of, source),
            topic=METERS,
            lowest=0.0,
            highest=1.0,
            aliases=(f"{alias}/vu",),
        )

    def strip(self, base: str, alias: str | None, strip: str) -> Iterator[Leaf]:
        """A strip's own parameters, then its effects'."""
        for parameter in self.by_strip[strip]:
            slot, name = parameter.key.slot, part_of(parameter.key.name)
            below = [name] if slot is None else ["fx", str(slot + 1), name]
            for row in self.parameter("/".join([base, *below]), parameter):
                extra = (row.path.replace(base, alias, 1),) if alias else ()
                yield replace(row, aliases=extra)
        aliases = (f"{alias}/fx/list",) if alias else ()
        yield self.told(
            f"{base}/fx/list",
            "isi",
            "the effects: a message for each slot, then an empty one at fx/list/end",
            lambda commands: effects_of(strip, commands),
            topic="",
            names=("slot", "effect", "bypass"),
            row=3,
            aliases=aliases,
        )

    def parameter(self, path: str, parameter: Parameter) -> Iterator[Leaf]:
        """The addresses of one parameter."""
        name = parameter.key.name
        of = f" of {parameter.effect}" if parameter.effect else ""
        if parameter.key.slot is None and name == "gain_db":
            yield from self.gain(path.removesuffix("_db"), parameter)
        elif parameter.key.slot is None and name == "pan":
            yield self.moved(
                path, "f", "balance: 0 left, 0.5 centre, 1 right", parameter, view.PAN, Travel(0, 1)
            )
        elif parameter.kind == "switch":
            yield from self.switch(path, f"{_WHAT.get(name, name)}{of}: 1 on, 0 off", parameter)
        else:
            fixed = "; fixed, since it would change the latency" if parameter.changes_delay else ""
            yield from self.native(path, f"{_WHAT.get(name, name)}{of}{fixed}", parameter)

    def gain(self, path: str, parameter: Parameter) -> Iterator[Leaf]:
        """A level in its three forms."""
        fader = path.removesuffix("gain") + "fader"
        text = "level as a fader: 0.75 is 0 dB, 1 is +10 dB, 0 is silence"
        yield self.moved(fader, "f", text, parameter, view.FADER, Travel(0, 1))
        travel = Travel(view.QUIETEST_DB, view.LOUDEST_DB)
        text = "level in dB; -90 and less is silence"
        yield self.moved(path, "f", text, parameter, view.GAIN, travel, unit="dB")
        shown = self.moved(f"{path}/str", "s", "level as text", parameter, view.TEXT, None)
        yield replace(shown, writable=False)

    def switch(self, path: str, text: str, parameter: Parameter) -> Iterator[Leaf]:
        """A switch and its toggle."""
        yield self.moved(path, "i", text, parameter, view.SWITCH, Travel(0, 1))
        yield Leaf(
            f"{path}/toggle",
            "i",
            "turns it over; 0, as sent on release, is ignored",
            lowest=0,
            highest=1,
            writable=True,
            key=parameter.key,
            command=view.TOGGLE,
            parameter=parameter,
        )

    def native(self, path: str, text: str, parameter: Parameter) -> Iterator[Leaf]:
        """A number or a choice in its own unit, and as a place of 0 to 1."""
        travel = Travel.of(parameter)
        if parameter.choices:
            shown = view.choice_view(parameter.choices)
            yield self.moved(path, "s", f"{text}, by name or number from 1", parameter, shown, travel)
        else:
            yield self.moved(path, "f", text, parameter, view.NUMBER, travel, unit=parameter.unit)
        if parameter.key.slot is None:
            return  # a strip's own numbers are 0 to 1 already
        place = view.norm_view(travel)
        yield self.moved(f"{path}/norm", "f", f"{text}, as 0 to 1", parameter, place, Travel(0, 1))

    def moved(
        self,
        path: str,
        types: str,
        text: str,
        parameter: Parameter,
        shown: View,
        travel: Travel | None,
        unit: str = "",
    ) -> Leaf:
        """An address of a parameter."""
        commands, key = self.commands, parameter.key
        default = shown.show(parameter.default)
        bounded = travel is not None and not travel.choices
        return Leaf(
            path,
            types,
            text,
            unit,
            travel.lowest if bounded and travel else None,
            travel.highest if bounded and travel else None,
            travel.choices if travel else (),
            default,
            readable=True,
            writable=not parameter.changes_delay,
            key=key,
            topic=STATE,
            view=shown,
            travel=travel,
            parameter=parameter,
            read=(lambda: (default,))
            if commands is None
            else (lambda: (shown.show(commands.values.get(key, parameter.default)),)),
        )

    def told(
        self, path: str, types: str, text: str, read: Callable[[Commands], Arguments], **more: Any
    ) -> Leaf:
        """An address that can only be asked."""
        commands = self.commands
        known = (lambda: ()) if commands is None else (lambda: read(commands))
        return Leaf(path, types, text, readable=True, read=known, **{"topic": STATE, **more})

    def meters(self) -> Iterator[Leaf]:
        """Levels of the input, the master and the stems."""
        for name in ("in", "master", *self.sources):
            yield self.told(
                f"/meter/{part_of(name)}",
                "ffff",
                "levels, not below -120",
                partial(level_of, name),
                unit="dBFS",
                topic=METERS,
                names=("peak_left", "peak_right", "rms_left", "rms_right"),
            )

    def engine(self) -> Iterator[Leaf]:
        """Switches and figures of the whole processor."""
        yield self.engine_switch("/bypass", "the delayed mix plays instead of the board; the latency stays")
        yield self.engine_switch("/ping_mode", "the delayed mix passes for a host's latency ping")
        yield Leaf(
            "/solo/clear", "i", "no stem is solo; 0 is ignored", writable=True, command=view.CLEAR_SOLO
        )
        yield self.told(
            "/latency",
            "ifiii",
            "how late the sound comes out: altogether in samples and in ms, and its main parts in samples",
            latency_of,
            names=("samples", "ms", "io", "pipeline", "model"),
        )
        yield self.told(
            "/status",
            "iffiiddiss",
            "figures of the engine: load and its peak as shares of a hop, missed and late blocks, rates",
            status_of,
            topic="",
            answer="/status.reply",
            names=STATUS_NAMES,
        )
        traffic = self.traffic
        yield self.told(
            "/traffic",
            "hhhhh",
            "messages taken, packets that are no OSC, unknown addresses, messages over a sender's limit, and "
            "packets of senders that are not let in",
            lambda _: tuple(vars(traffic).values()),
            topic="",
            names=tuple(vars(traffic)),
        )
        yield self.told(
            "/version",
            "siisi",
            "name, version and the version of this table",
            lambda _: version(),
            topic="",
            answer="/version.reply",
            names=("name", "major", "minor", "patch", "protocol"),
        )

    def engine_switch(self, path: str, text: str) -> Leaf:
        """A switch of the whole engine."""
        name, commands = path.strip("/"), self.commands
        read = (lambda: (0,)) if commands is None else (lambda: (int(getattr(commands, name)),))
        return Leaf(
            path,
            "i",
            f"{text}: 1 on, 0 off",
            lowest=0,
            highest=1,
            default=0,
            readable=True,
            writable=True,
            command=name,
            topic=STATE,
            travel=Travel(0, 1),
            read=read,
        )

    def models_and_presets(self) -> Iterator[Leaf]:
        """What plays, and what else could."""
        yield self.told("/model", "s", "the model that plays", lambda commands: (commands.model,))
        yield self.told("/model/list", "s", "models that can play", lambda c: tuple(c.models()), topic="")
        yield does("/model/load", "s", "load_model", "go over to a model, by name or number from 1")
        yield self.told(
            "/preset/current",
            "isi",
            "the preset that plays (number 0 and no name for none), and whether it was moved away from",
            preset_of,
            names=("number", "name", "dirty"),
        )
        yield self.told("/preset/list", "s", "presets there are", lambda c: tuple(c.presets()), topic="")
        yield does("/preset/load", "s", "load_preset", "go over to a preset, by name or number from 1")
        yield does("/preset/save", "s", "save_preset", "save what plays as a preset of yours")
        yield does(
            "/preset/next", "i", "next_preset", "go over to the next preset that can play; 0 is ignored"
        )
        yield does(
            "/preset/prev", "i", "previous_preset", "go over to the one before that can play; 0 is ignored"
        )


def does(path: str, types: str, command: str, text: str, *names: str, **more: Any) -> Leaf:
    """An address that does something, and answers when it is done."""
    return Leaf(path, types, text, writable=True, command=command, names=names, **more)


def says(path: str, types: str, text: str, *names: str) -> Leaf:
    """An address that is only ever sent, by us."""
    return Leaf(path, types, text, names=names)


DOINGS = (
    does(
        "/render/start",
        "ss",
        "start_render",
        "render a file below the render root with a preset; answers with the job's name",
        "input",
        "preset",
    ),
    does("/render/cancel", "s", "cancel_render", "end a render job", "job"),
    does(
        "/subscribe",
        "siii",
        "subscribe",
        "be sent all, state, meters or numbers (state with stems by number) for so many seconds (10, at most "
        "3600), meters so often a second (10, at most 20), to another port of the same machine; send it "
        "again before the time is up",
        "topic",
        "ttl_seconds",
        "rate_hz",
        "reply_port",
    ),
    does("/unsubscribe", "s", "unsubscribe", "be sent all, state, meters or numbers no more", "topic"),
    does("/refresh", "i", "refresh", "be sent the whole state again; 0 is ignored"),
    does("/sync", "i", "sync", "answers /synced with the number when all before it is done", "number"),
)
"""What is done by whoever asks, not by the board."""

NOTICES = (
    says("/done", "s", "a command is carried out; its results follow its address", "address"),
    says("/fail", "sss", "a command is refused", "address", "code", "message"),
    says("/late", "f", "a bundle came in after its time, and was applied at once", "seconds"),
    says("/synced", "i", "all before /sync is done", "number"),
    says("/status.reply", "iffiiddiss", "the answer to /status"),
    says("/version.reply", "siisi", "the answer to /version"),
    says("/render/progress", "sfss", "how far a render job is", "job", "share", "stage", "message"),
    says("/error", "ss", "something went wrong by itself", "code", "message"),
    says("/heartbeat", "i", "once a second to every subscriber; counts up", "count"),
)
"""What we send without being asked for it by the same address."""
