"""Run the live processor between a DAW or device and its loudspeakers.

While it runs, lines on standard input are commands: gain STRIP DB, pan STRIP VALUE, mute STRIP on|off,
solo STRIP on|off, preset NAME, model NAME, bypass on|off, ping on|off, status, quit.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import asyncio

    from plugin_bridge.server import Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plugin-bridge serve`."""
    add = parser.add_argument
    add("--audio", default="jack", metavar="jack|portaudio|paced|file", help="where audio comes from")
    add("--model", metavar="NAME", help="see plugin-bridge models list")
    add("--preset", metavar="NAME", help="see plugin-bridge presets list")
    add("--name", default="plugin-bridge", metavar="NAME", help="the JACK client's name")
    add("--server", default="", metavar="NAME", help="the JACK server's name")
    add("--device", default="", metavar="NAME", help="a PortAudio device's name or number")
    add("--block", type=int, default=0, metavar="FRAMES", help="block size, where the device does not decide")
    add("--sample-rate", type=int, default=0, metavar="HZ", help="rate, where the device does not decide")
    add("--input", default="", metavar="FILE", help="what the paced and file drivers play (default: noise)")
    add("--output", default="", metavar="FILE", help="where they record main and stems")
    add(
        "--seconds", type=float, default=0.0, metavar="S", help="how long the noise lasts (default: for ever)"
    )
    add(
        "--safety-ms",
        type=float,
        default=0.0,
        metavar="MS",
        help="time a worker may be late (default: measured)",
    )
    add("--reserve-ms", type=float, default=0.0, metavar="MS", help="latency kept free for other boards")
    add("--largest-block", type=int, default=0, metavar="FRAMES", help="the largest host block to plan for")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the audio ends, or until Ctrl-C, SIGTERM or `quit`."""
    import asyncio

    return asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> int:
    import asyncio
    import signal

    from plugin_bridge.live.drivers.driver import AudioRequest
    from plugin_bridge.server import Server

    audio = AudioRequest(
        arguments.audio,
        arguments.name,
        arguments.device,
        arguments.server,
        arguments.block,
        arguments.sample_rate,
        arguments.input,
        arguments.output,
        arguments.seconds,
    )
    stopping = asyncio.Event()
    server = Server(
        audio,
        arguments.model,
        arguments.preset,
        safety_ms=arguments.safety_ms,
        reserve_ms=arguments.reserve_ms,
        largest_block=arguments.largest_block,
    )
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        _introduce(server)
        listening = asyncio.create_task(_listen(server, stopping))
        reporter = _Reporter(server)
        await server.run(reporter.second, stopping)
        listening.cancel()
        reporter.end()
    finally:
        server.close()
    return 0


def _introduce(server: "Server") -> None:
    from plugin_bridge.live.priority import WORKER_PRIORITY, hint, may_raise_priority

    engine = server.engine
    print(f"{engine.plan.model} at {engine.sample_rate} Hz, blocks of {engine.block}; latency:", flush=True)
    for term, frames in engine.latency.terms(engine.sample_rate).items():
        print(f"  {term}: {frames}", flush=True)
    if not may_raise_priority(WORKER_PRIORITY):
        print(f"note: {hint()}", flush=True)


class _Reporter:
    """Tells what happened at once, and how it goes: a line in place on a terminal, else every 10 s."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._terminal = sys.stdout.isatty()
        self._seconds = 0

    def second(self) -> None:
        """A second has passed."""
        self._tell_events()
        if self._terminal:
            print(f"\r{_line(self._server.status())[:160]:<160}", end="", flush=True)
        elif self._seconds % 10 == 0:
            print(_line(self._server.status()), flush=True)
        self._seconds += 1

    def end(self) -> None:
        """The engine is about to stop."""
        self._tell_events()
        print(("\n" if self._terminal else "") + _line(self._server.status()), flush=True)

    def _tell_events(self) -> None:
        events = self._server.engine.events
        while events:
            print(("\r" if self._terminal else "") + events.popleft(), flush=True)


def _line(status: dict[str, Any]) -> str:
    meters = " ".join(f"{name} {max(level):.0f}" for name, level in status["meters_dbfs"].items())
    return (
        f"{status['state']}  load {status['load']:.0%}  latency {status['latency']}  "
        f"own misses {status['own_misses']}  machine late {status['machine_late']}  "
        f"late blocks {status['late_blocks']}  dBFS {meters}"
    )


async def _listen(server: "Server", stopping: "asyncio.Event") -> None:
    """Obey standard input until it ends."""
    import asyncio

    if not _can_be_waited_for(sys.stdin):
        return  # no standard input to listen to, as under a service manager
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = line.decode(errors="replace").split()
        if words[:1] == ["quit"]:
            stopping.set()
        elif words:
            print(obey(server, words), flush=True)


def _can_be_waited_for(stream: TextIO | None) -> bool:
    """Whether lines may come in later: a terminal, a pipe or a socket, not a file or /dev/null."""
    import os
    import stat

    try:
        mode = os.fstat(stream.fileno()).st_mode if stream else 0
    except (OSError, ValueError):  # closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or bool(stream and stream.isatty())


def obey(server: "Server", words: list[str]) -> str:
    """Carry out one command and say so, or say in one sentence why not."""
    from plugin_bridge.errors import PluginBridgeError

    try:
        return _obeyed(server, words)
    except (PluginBridgeError, ValueError, TypeError) as error:
        return f"refused: {error}"


def _obeyed(server: "Server", words: list[str]) -> str:
    match words:
        case ["gain", strip, gain_db]:
            server.set_gain(strip, float(gain_db))
        case ["pan", strip, pan]:
            server.set_pan(strip, float(pan))
        case ["mute", strip, ("on" | "off") as mute]:
            server.set_mute(strip, mute == "on")
        case ["solo", strip, ("on" | "off") as solo]:
            server.set_solo(strip, solo == "on")
        case ["preset", name]:
            server.load_preset(name)
        case ["model", name]:
            server.load_model(name)
        case [("bypass" | "ping"), ("on" | "off") as bypass]:
            server.set_bypass(bypass == "on")
        case ["status"]:
            import json

            return json.dumps(server.status())
        case _:
            raise ValueError(
                f"a command must be a known one, got '{' '.join(words)}'; see plugin-bridge serve --help"
            )
    return f"done: {' '.join(words)}"
