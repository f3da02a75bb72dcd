"""Which sound devices and JACK servers there are, and which one a name means."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugin_bridge.errors import DeviceError


@dataclass(frozen=True)
class Device:
    """A sound device as PortAudio knows it: its number, name and host API, channels, and usual rate in Hz."""

    index: int
    name: str
    host: str
    inputs: int
    outputs: int
    sample_rate: int
    default_input: bool = False
    default_output: bool = False

    def __str__(self) -> str:
        return f"{self.index}: {self.name}, {self.host} ({self.inputs} in, {self.outputs} out)"


def portaudio_library() -> Any:
    """The module of sounddevice, which looks for devices as it is loaded.

    Raises `DeviceError` where it or PortAudio is missing.
    """
    if sys.platform == "win32":
        os.environ.setdefault("SD_ENABLE_ASIO", "1")
    try:
        import sounddevice
    except ImportError as error:
        raise DeviceError(
            f"PortAudio must have its Python library, got: {error}; run pip install 'plugin-bridge[live]'"
        ) from error
    except OSError as error:
        raise DeviceError(
            "the PortAudio library must be installed, got none; install it "
            "(on Debian and Ubuntu: apt install libportaudio2)"
        ) from error
    return sounddevice


def portaudio_devices() -> list[Device]:
    """All sound devices. Raises `DeviceError` where PortAudio is missing."""
    library = portaudio_library()
    hosts = [host["name"] for host in library.query_hostapis()]
    default_input, default_output = library.default.device
    return [
        Device(
            index=index,
            name=found["name"],
            host=hosts[found["hostapi"]],
            inputs=found["max_input_channels"],
            outputs=found["max_output_channels"],
            sample_rate=round(found["default_samplerate"]),
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, found in enumerate(library.query_devices())
    ]


def chosen(devices: list[Device], wanted: str, way: str) -> Device:
    """The stereo device for a way, "input" or "output": by number, by name or part of it, or the usual one.

    Raises `DeviceError`, which lists the candidates, where none or several are meant.

    >>> devices = [Device(0, "Mic", "ALSA", 1, 0, 48000), Device(1, "Scarlett", "ALSA", 2, 4, 48000)]
    >>> chosen(devices, "scar", "input").index
    1
    """
    able = [device for device in devices if (device.inputs if way == "input" else device.outputs) >= 2]
    called = wanted or "the usual one"
    for meant in _readings(able, wanted, way):
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise DeviceError(f"the {way} device must be one, got '{called}', which fits {_named(meant)}")
    remedy = f"candidates: {_named(able)}" if able else "none has them: is one plugged in, and free?"
    raise DeviceError(f"the {way} device must have 2 {way}s, got '{called}'; {remedy}")


def _readings(able: list[Device], wanted: str, way: str) -> list[list[Device]]:
    """What a name may mean, the likeliest first."""
    if not wanted:
        usual = [
            device for device in able if (device.default_input if way == "input" else device.default_output)
        ]
        return [usual, able[:1]]
    if wanted.isdecimal():
        return [[device for device in able if device.index == int(wanted)]]
    word = wanted.casefold()
    return [
        [
            device
            for device in able
            if word in (device.name.casefold(), f"{device.name}, {device.host}".casefold())
        ],
        [device for device in able if word in f"{device.name}, {device.host}".casefold()],
    ]


def _named(devices: list[Device]) -> str:
    return "; ".join(str(device) for device in devices)


def jack_server(server: str = "") -> tuple[int, int]:
    """A running JACK server's rate in Hz and block in frames; the usual one's where no name is given.

    Raises `DeviceError` where it is not there.
    """
    from plugin_bridge.live.drivers.jack_client import open_client

    client = open_client(f"plugin-bridge-look-{os.getpid()}", server)
    try:
        return int(client.samplerate), int(client.blocksize)
    finally:
        client.close()


def jack_server_names() -> list[str]:
    """The names of our user's JACK servers, from their sockets; none of them is joined for it."""
    if not hasattr(os, "getuid"):
        return []
    socket = re.compile(rf"jack_(.+)_{os.getuid()}_0")
    found = (socket.fullmatch(path.name) for path in Path("/dev/shm").glob("jack_*") if path.is_socket())
    return sorted(match.group(1) for match in found if match)
