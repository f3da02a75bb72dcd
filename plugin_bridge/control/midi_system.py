"""The machine's MIDI: its ports by name, and clients of them, by python-rtmidi.

Two habits of RtMidi shape this file. Its calls keep Python's lock, and its JACK output waits for ever for
room once the JACK server is gone, so nothing is sent to a server that was not seen lately. And with JACK
its callbacks run in the real-time thread of the audio graph, which must never wait for Python; so messages
are fetched from RtMidi's own queue instead.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from plugin_bridge.errors import DeviceError

QUEUE_MESSAGES = 8192
"""What RtMidi keeps for us between two looks; what comes in beyond is lost, and RtMidi says so."""

_APIS = {
    "alsa": "API_LINUX_ALSA",
    "jack": "API_UNIX_JACK",
    "coremidi": "API_MACOSX_CORE",
    "windows": "API_WINDOWS_MM",
}
_USUAL = {"darwin": "coremidi", "win32": "windows"}
_ALSA_NUMBERS = re.compile(r" \d+:\d+$")
_SEQUENCER, _SOCKETS = Path("/dev/snd/seq"), Path("/proc/net/unix")
_LISTENING = 0x10000
_ALWAYS = ("always",)


def plain_name(port: str) -> str:
    """A port's name without ALSA's numbers, which change with every plugging.

    >>> plain_name("nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0")
    'nanoKONTROL2:nanoKONTROL2 MIDI 1'
    """
    return _ALSA_NUMBERS.sub("", port)


def matching_port(wanted: str, ports: list[str]) -> str | None:
    """The port of a name, or the first that has it as a part; upper and lower case are one.

    >>> matching_port("nano", ["Midi Through:0 14:0", "nanoKONTROL2:MIDI 1 20:0"])
    'nanoKONTROL2:MIDI 1 20:0'
    """
    by_name = {plain_name(port).lower(): port for port in reversed(ports)}
    if wanted.lower() in by_name:
        return by_name[wanted.lower()]
    return next((port for port in ports if wanted.lower() in plain_name(port).lower()), None)


class MidiSystem:
    """One of the machine's MIDI systems: `alsa`, `jack`, `coremidi`, `windows`, or "" for the usual one.

    `server` is JACK's, by default the one of the environment. Raises `DeviceError` where python-rtmidi is
    missing or does not know the system.
    """

    def __init__(self, name: str = "", server: str = "") -> None:
        self.name = name or _USUAL.get(sys.platform, "alsa")
        self.server = server or os.environ.get("JACK_DEFAULT_SERVER", "") or "default"
        self._rtmidi = _imported()
        known = [
            each
            for each, attribute in _APIS.items()
            if getattr(self._rtmidi, attribute) in self._rtmidi.get_compiled_api()
        ]
        if self.name not in known:
            raise DeviceError(f"the MIDI system must be one of {', '.join(known)}, got '{self.name}'")
        self._api = getattr(self._rtmidi, _APIS[self.name])

    @property
    def has_virtual_ports(self) -> bool:
        """Whether other programs can be offered a port of ours."""
        return self.name != "windows"

    def absent(self) -> str:
        """Why this system cannot be used at present, as a sentence; "" where it can."""
        if self.name == "alsa" and not _SEQUENCER.exists():
            return (
                f"MIDI must have ALSA's sequencer, got no {_SEQUENCER}; "
                "load it with 'modprobe snd-seq', or take JACK's: --midi-system jack, in a map "
                'system = "jack"'
            )
        if self.name == "jack" and not self.life():
            return f"MIDI must have a running JACK server '{self.server}', got none; start it"
        return ""

    def life(self) -> tuple[str, ...]:
        """What tells one life of the JACK server from the next; empty where it does not run.

        The listening sockets of the server, as the kernel numbers them: asking JACK itself would need a
        client, and an old client goes on seeing the ports of a server that is dead.
        """
        if self.name != "jack":
            return _ALWAYS
        try:
            sockets = _SOCKETS.read_text("utf-8", "replace").splitlines()[1:]
        except OSError:  # not Linux, or hidden from us: opening a client tells
            return _ALWAYS
        ours = re.compile(rf"/(jack_{re.escape(self.server)}_\d+_\d+|pipewire-0)$")
        found = []
        for line in sockets:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & _LISTENING and ours.search(fields[7]):
                found.append(fields[6])
        return tuple(sorted(found))

    def input(self, client: str) -> Any:
        """A client that takes messages in, `rtmidi.MidiIn`. Raises `OSError` where the system refuses."""
        with self._chosen_server():
            taken = self._rtmidi.MidiIn(self._api, name=client, queue_size_limit=QUEUE_MESSAGES)
        taken.ignore_types(sysex=True, timing=True, active_sense=True)
        return taken

    def output(self, client: str) -> Any:
        """A client that sends messages out, `rtmidi.MidiOut`. Raises `OSError` where the system refuses."""
        with self._chosen_server():
            return self._rtmidi.MidiOut(self._api, name=client)

    @contextmanager
    def _chosen_server(self) -> Iterator[None]:
        """JACK's library takes the server's name from the environment only."""
        before = os.environ.get("JACK_DEFAULT_SERVER")
        os.environ["JACK_DEFAULT_SERVER"] = self.server
        try:
            yield
        finally:
            if before is None:
                del os.environ["JACK_DEFAULT_SERVER"]
            else:
                os.environ["JACK_DEFAULT_SERVER"] = before


def port_names(system: MidiSystem) -> tuple[list[str], list[str]]:
    """Names of the ports that send to us, and of those that we can send to.

    Raises `DeviceError` where the system is not there.
    """
    if absent := system.absent():
        raise DeviceError(absent)
    found = []
    for make in (system.input, system.output):
        try:
            client = make("plugin-bridge-midi-list")
        except OSError as error:
            raise DeviceError(f"the MIDI system '{system.name}' must answer, got: {error}") from error
        own = ("plugin-bridge-midi-list", "RtMidi")
        found.append([port for port in client.get_ports() if not port.startswith(own)])
        client.delete()
    return found[0], found[1]


def _imported() -> ModuleType:
    try:
        import rtmidi
    except ImportError as error:
        raise DeviceError(
            "MIDI needs python-rtmidi, which is not installed; pip install 'plugin-bridge[live]'"
        ) from error
    module: ModuleType = rtmidi
    return module
