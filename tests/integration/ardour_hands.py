"""An Ardour without a display whose OSC surface is on, and hands on its strips, for tests."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from plugin_bridge.board.parameter_tree import Value
from tests.integration.ardour_session import Ardour

_RATE = 44100
_PATIENCE_SECONDS = 30.0

# Ardour's console runs control surfaces as its windows do, where the settings enable them.
_CONFIG_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour>
  <Config><Option name="osc-port" value="{port}"/></Config>
  <ControlProtocols><Protocol name="Open Sound Control (OSC)" active="1"/></ControlProtocols>
</Ardour>
"""
_CONTROLS = {"gain_db": "gain", "pan": "pan_azimuth", "mute": "mute", "solo": "solo"}


class _Ardour(Ardour):
    """One that can crash."""

    def kill(self) -> None:
        """End without a word."""
        self._process.kill()
        self.__exit__(None, None, None)


class Session:
    """A session that Ardour has open, on no sound card; `hand` moves its strips as the engineer does.

    The last of its strips is a bus, the others are tracks.
    """

    def __init__(self, home: Path, strips: tuple[str, ...], port: int) -> None:
        self.folder, self.port = home / "song", port
        for version in (7, 8, 9):
            settings = home / f".config/ardour{version}"
            settings.mkdir(parents=True)
            (settings / "config").write_text(_CONFIG_XML.format(port=port))
        self._home = home
        *tracks, bus = strips
        with Ardour(home) as ardour:
            ardour.create(self.folder, _RATE, tuple(tracks))
            ardour.load(self.folder)
            order = "ARDOUR.PresentationInfo.Flag.AudioBus, ARDOUR.PresentationInfo.max_order"
            ardour.run(f'Session:new_audio_route(2, 2, nil, 1, "{bus}", {order})')
            ardour.save()
        self._ardour: _Ardour | None = None

    def open(self) -> None:
        """Start Ardour with the session."""
        self._ardour = _Ardour(self._home)
        self._ardour.load(self.folder)

    def leave(self) -> None:
        """End Ardour in good order."""
        if self._ardour is not None:
            self._ardour.__exit__(None, None, None)
            self._ardour = None

    def kill(self) -> None:
        """End Ardour as a crash does."""
        assert self._ardour is not None
        self._ardour.kill()
        self._ardour = None

    async def lua(self, line: str) -> str:
        """Run a line of Lua while our own loop goes on."""
        assert self._ardour is not None
        return await asyncio.to_thread(self._ardour.run, line)

    async def hand(self, strip: str, parameter: str, value: Value) -> None:
        """Move one control of a strip in Ardour, given as we count: dB, -1 to 1, on or off."""
        number = float(value)
        if parameter == "gain_db":
            number = 10.0 ** (number / 20.0)
        elif parameter == "pan":
            number = (number + 1.0) / 2.0  # inside, Ardour counts from the left
        control = f'Session:route_by_name("{strip}"):{_CONTROLS[parameter]}_control()'
        await self.lua(f"Session:set_control({control}, {number!r}, PBD.GroupControlDisposition.NoGroup)")

    async def value(self, strip: str, parameter: str) -> float:
        """Where a control of a strip stands in Ardour, as we count."""
        control = f'Session:route_by_name("{strip}"):{_CONTROLS[parameter]}_control()'
        number = float(await self.lua(f"return {control}:get_value()"))
        if parameter == "gain_db":
            return 20.0 * math.log10(number) if number else -math.inf
        return number * 2.0 - 1.0 if parameter == "pan" else number


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def close(one: Value, other: Value) -> bool:
    """Whether two values differ by no more than Ardour's 32-bit floats do."""
    return float(one) == float(other) or abs(float(one) - float(other)) < 2e-4


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds; fail, saying what did not happen, when it never does."""
    end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < end, f"within {_PATIENCE_SECONDS:g} s: {what}"
        await asyncio.sleep(0.02)
