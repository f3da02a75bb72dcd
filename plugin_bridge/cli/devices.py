"""List the sound devices and JACK servers that `serve` can use."""

import argparse
import sys
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `devices`."""
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.add_argument("--server", default="", metavar="NAME", help="the JACK server to look at")


def run(arguments: argparse.Namespace) -> int:
    """Print the list; what is missing on this machine is a line of it, not a failure."""
    found = {"jack": _jack(arguments.server), "portaudio": _portaudio()}
    if arguments.json:
        import json

        json.dump(found, sys.stdout, indent=2)
        print()
        return 0
    for line in [*_jack_lines(found["jack"]), *_portaudio_lines(found["portaudio"])]:
        print(line)
    return 0


def _jack(server: str) -> dict[str, Any]:
    from plugin_bridge.errors import DeviceError
    from plugin_bridge.live.drivers.jack_client import called
    from plugin_bridge.live.drivers.listing import jack_server, jack_server_names

    name = called(server)
    others = [other for other in jack_server_names() if other != name]
    try:
        rate, block = jack_server(server)
    except DeviceError as error:
        return {"server": name, "running": False, "reason": str(error), "others": others}
    return {"server": name, "running": True, "sample_rate": rate, "block": block, "others": others}


def _portaudio() -> dict[str, Any]:
    from dataclasses import asdict

    from plugin_bridge.errors import DeviceError
    from plugin_bridge.live.drivers.listing import portaudio_devices

    try:
        return {"devices": [asdict(device) for device in portaudio_devices()]}
    except DeviceError as error:
        return {"devices": [], "reason": str(error)}


def _jack_lines(jack: dict[str, Any]) -> list[str]:
    others = [f"JACK server '{name}': name it with --server to look at it" for name in jack["others"]]
    if not jack["running"]:
        return [f"JACK: {jack['reason']}", *others]
    figures = f"{jack['sample_rate']} Hz, blocks of {jack['block']} frames"
    return [f"JACK server '{jack['server']}': {figures}", *others]


def _portaudio_lines(portaudio: dict[str, Any]) -> list[str]:
    if "reason" in portaudio:
        return [f"PortAudio: {portaudio['reason']}"]
    if not portaudio["devices"]:
        return ["PortAudio: no devices"]
    return [f"PortAudio device {_portaudio_line(device)}" for device in portaudio["devices"]]


def _portaudio_line(device: dict[str, Any]) -> str:
    usual = [way for way in ("input", "output") if device[f"default_{way}"]]
    words = [
        f"{device['inputs']} in",
        f"{device['outputs']} out",
        f"{device['sample_rate']} Hz",
        *([f"usual {' and '.join(usual)}"] if usual else []),
    ]
    return f"{device['index']}: {device['name']}, {device['host']} ({', '.join(words)})"
