"""What commands do, apart from moving parameters: models, presets and renders."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from plugin_bridge.control.address_space.leaf import Arguments
from plugin_bridge.control.commands import Commands
from plugin_bridge.errors import ModelError, PresetError, UnknownAddress

_NAME = re.compile(r"[a-z0-9_-]+")


class UnknownName(UnknownAddress):
    """A model, preset or job of this name does not exist."""


class Forbidden(ValueError):
    """Something that may not be asked for over the wire."""


def name_of(what: str, arguments: Arguments) -> str:
    """The only argument, a name. Raises `TypeError` for anything else, `Forbidden` for a path."""
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise TypeError(f"a {what} must be given by its name, got {_shown(arguments)}")
    if not _NAME.fullmatch(arguments[0]):
        raise Forbidden(f"a {what}'s name must match [a-z0-9_-]+, got {_shown(arguments[0])}")
    return arguments[0]


def known_name(what: str, names: Sequence[str], arguments: Arguments) -> str:
    """A name, or a number from 1, of what exists. Raises as `name_of`, and `UnknownName`."""
    if len(arguments) == 1 and type(arguments[0]) is int:
        number = arguments[0]
        if not 1 <= number <= len(names):
            raise UnknownName(f"a {what}'s number must be 1 to {len(names)}, got {number}")
        return names[number - 1]
    name = name_of(what, arguments)
    if name not in names:
        raise UnknownName(f"a {what} must be one of {', '.join(names)}, got '{name}'")
    return name


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


async def _load_model(commands: Commands, arguments: Arguments) -> Arguments:
    name = known_name("model", commands.models(), arguments)
    await commands.load_model(name)
    return (name, int(commands.latency()["total"]))


async def _load_preset(commands: Commands, arguments: Arguments) -> Arguments:
    name = known_name("preset", commands.presets(), arguments)
    await commands.load_preset(name)
    return (name,)


async def _save_preset(commands: Commands, arguments: Arguments) -> Arguments:
    name = name_of("preset", arguments)
    await commands.save_preset(name)
    return (name,)


async def _next_preset(commands: Commands, arguments: Arguments) -> Arguments:
    return await _step(commands, 1)


async def _previous_preset(commands: Commands, arguments: Arguments) -> Arguments:
    return await _step(commands, -1)


async def _step(commands: Commands, step: int) -> Arguments:
    """Go over to the nearest preset on one side that can play: no pedal gets past a broken one by itself."""
    names = commands.presets()
    if not names:
        raise UnknownName("a preset must exist, got none; save one first")
    now = commands.preset[0]
    start = names.index(now) if now in names else (-1 if step > 0 else 0)
    refusals: list[PresetError | ModelError] = []
    for steps in range(1, len(names) + 1):
        name = names[(start + step * steps) % len(names)]
        if refusals and name == now:
            break
        try:
            await commands.load_preset(name)
        except (PresetError, ModelError) as error:
            refusals.append(error)
        else:
            return (name,)
    raise refusals[0]


async def _start_render(commands: Commands, arguments: Arguments) -> Arguments:
    if len(arguments) not in (1, 2) or not all(isinstance(each, str) for each in arguments):
        raise TypeError(f"a render must get an input and a preset by name, got {_shown(arguments)}")
    preset = known_name("preset", commands.presets(), arguments[1:]) if arguments[1:] else ""
    try:
        return (await commands.start_render(str(arguments[0]), preset),)
    except ValueError as error:
        raise Forbidden(str(error)) from error


async def _cancel_render(commands: Commands, arguments: Arguments) -> Arguments:
    job = name_of("job", arguments)
    try:
        commands.cancel_render(job)
    except UnknownAddress as error:
        raise UnknownName(str(error)) from error
    return (job,)


ACTIONS: dict[str | None, Callable[[Commands, Arguments], Awaitable[Arguments]]] = {
    "load_model": _load_model,
    "load_preset": _load_preset,
    "save_preset": _save_preset,
    "next_preset": _next_preset,
    "previous_preset": _previous_preset,
    "start_render": _start_render,
    "cancel_render": _cancel_render,
}
