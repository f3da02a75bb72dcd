"""What addresses tell that is no parameter: levels, lists and counters, as OSC arguments."""

from __future__ import annotations

from dataclasses import dataclass

from plugin_bridge import __version__
from plugin_bridge.control.address_space.leaf import Argument, Arguments
from plugin_bridge.control.commands import Commands, Level

PROTOCOL = 1
"""The version of the table's form; it grows when an address changes its meaning."""

SILENCE = Level(-120.0, -120.0, -120.0, -120.0)
"""What is told of a row that the engine has no levels of yet, as while models change."""

_VU_SPAN_DB = 60.0


@dataclass
class Traffic:
    """What has come in over OSC since the start."""

    messages: int = 0
    malformed: int = 0
    unknown: int = 0
    limited: int = 0
    denied: int = 0


def vu(level: Level) -> float:
    """The louder peak on a scale of 0 at -60 dBFS to 1 at full scale."""
    peak = max(level.peak_left, level.peak_right)
    return min(max((peak + _VU_SPAN_DB) / _VU_SPAN_DB, 0.0), 1.0)


def vu_of(name: str, commands: Commands) -> Arguments:
    """A row's place on a meter."""
    return (vu(commands.levels().get(name, SILENCE)),)


def level_of(name: str, commands: Commands) -> Arguments:
    """The four levels of a row."""
    return tuple(commands.levels().get(name, SILENCE))


def stems_of(commands: Commands) -> Arguments:
    """How many stems, and their names."""
    return (len(commands.sources), *commands.sources)


def effects_of(strip: str, commands: Commands) -> Arguments:
    """Number from 1, name and bypass of each effect of a strip, one after the other."""
    switches = [each for each in commands.parameters.values() if each.key.strip == strip]
    found: list[Argument] = []
    for each in switches:
        if each.key.slot is not None and each.key.name == "bypass":
            found += [each.key.slot + 1, each.effect, int(bool(commands.values[each.key]))]
    return tuple(found)


def latency_of(commands: Commands) -> Arguments:
    """The total in samples and ms, then in samples the device's, the pipeline's and the model's part."""
    terms = commands.latency()
    total = int(terms["total"])
    io, model = int(terms.get("io", 0)), int(terms.get("model", terms.get("stream", 0)))
    return (total, 1000.0 * total / commands.sample_rate, io, total - io - model, model)


def status_of(commands: Commands) -> Arguments:
    """The figures of `/status.reply`."""
    status = commands.status()
    hop_ms = float(status.get("hop_ms", 0.0))
    return (
        int(status.get("state") == "running"),
        float(status.get("load", 0.0)),
        float(status.get("worker_worst_ms", 0.0)) / hop_ms if hop_ms else 0.0,
        int(status.get("own_misses", 0)) + int(status.get("machine_late", 0)),
        int(status.get("late_blocks", 0)),
        float(commands.sample_rate),
        float(status.get("actual_sample_rate", commands.sample_rate)),
        int(status.get("block", 0)),
        str(status.get("device", "")),
        commands.model,
    )


def version() -> Arguments:
    """Name, major, minor, patch and the table's version."""
    major, minor, patch = __version__.split(".", 2)
    return ("plugin-bridge", int(major), int(minor), patch, PROTOCOL)


def preset_of(commands: Commands) -> Arguments:
    """Number from 1 (0 for none), name, and whether it was moved away from."""
    name, dirty = commands.preset
    names = commands.presets()
    return (names.index(name) + 1 if name in names else 0, name, int(dirty))
