"""Run the live processor between a DAW or device and its loudspeakers.

While it runs, OSC, a web browser, MIDI and Ardour can move it. Lines on standard input are commands too:
gain STRIP DB, pan STRIP VALUE, mute STRIP on|off, solo STRIP on|off, preset NAME, model NAME, save NAME,
bypass on|off, ping on|off, status, quit.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    _add_control(parser)


def _add_control(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("control").add_argument
    add("--no-osc", action="store_true", help="no OSC, neither UDP nor TCP nor OSCQuery")
    add(
        "--osc-port",
        type=int,
        default=9300,
        metavar="PORT",
        help="OSC over UDP, and OSCQuery over HTTP and WebSocket (default: 9300; 0: any free one)",
    )
    add("--tcp-port", type=int, default=9301, metavar="PORT", help="OSC over TCP (default: 9301)")
    add(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: this machine only)",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="who may send, as 192.168.1.20 or 192.168.1.0/24; may be given several times",
    )
    add("--no-mdns", action="store_true", help="do not announce OSC in the local network")
    add(
        "--midi",
        action="append",
        default=[],
        metavar="PORT",
        help="a part of a MIDI port's name, or 'virtual' for a port of our own; may be given several times",
    )
    add("--midi-map", default="", metavar="NAME|FILE", help="what MIDI moves (default: default)")
    add("--link", default="", metavar="ardour[:HOST:PORT]", help="tie the stems to the strips of an Ardour")
    add("--render-root", type=Path, metavar="DIR", help="let OSC start renders of files below this folder")
    add(
        "--record",
        type=Path,
        metavar="FILE",
        help="write every move of the board with its frame to a new file (.jsonl); the whole bypass is none",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until the audio ends, or until Ctrl-C, SIGTERM or `quit`; 1 where control cannot start."""
    import asyncio

    return asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> int:
    import asyncio
    import signal

    from plugin_bridge.cli.main import SOME_FAILED, complain
    from plugin_bridge.cli.serve_lines import listen
    from plugin_bridge.errors import DeviceError
    from plugin_bridge.server import Server
    from plugin_bridge.server.desks import Desks

    request = _request(arguments)
    wanted = _wanted(arguments)
    stopping = asyncio.Event()
    server = Server(request)
    desks = Desks(server, wanted)
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Windows' loop takes no handlers of its own.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
        try:
            await desks.start()
        except DeviceError as error:
            complain(str(error))
            return SOME_FAILED
        server.begin()
        _introduce(server, desks.doors)
        listening = asyncio.create_task(listen(server, stopping))
        reporter = _Reporter(server)

        def each_second() -> None:
            desks.listen()
            reporter.second()

        await server.run(each_second, stopping)
        listening.cancel()
        reporter.end()
    finally:
        await desks.close()
        server.close()
    return 0


def _request(arguments: argparse.Namespace) -> Any:
    from plugin_bridge.live.drivers.driver import AudioRequest
    from plugin_bridge.server import ServerRequest

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
    root = arguments.render_root
    if root is not None and not root.is_dir():
        raise ValueError(f"the render root must be a folder, got '{root}'")
    return ServerRequest(
        audio,
        arguments.model,
        arguments.preset,
        arguments.safety_ms,
        arguments.reserve_ms,
        arguments.largest_block,
        root,
        arguments.record,
    )


def _wanted(arguments: argparse.Namespace) -> Any:
    from plugin_bridge.server.desks import DesksRequest

    return DesksRequest(
        osc=not arguments.no_osc,
        osc_port=arguments.osc_port,
        tcp_port=arguments.tcp_port,
        bind=arguments.bind,
        allow=tuple(arguments.allow),
        announce=not arguments.no_mdns,
        midi=tuple(arguments.midi),
        midi_map=arguments.midi_map,
        link=arguments.link,
        name=arguments.name,
        jack_server=arguments.server,
    )


def _introduce(server: "Server", doors: list[str]) -> None:
    from plugin_bridge.live.priority import WORKER_PRIORITY, hint, may_raise_priority

    engine = server.engine
    print(f"{engine.plan.model} at {engine.sample_rate} Hz, blocks of {engine.block}; latency:", flush=True)
    for term, frames in engine.latency.terms(engine.sample_rate).items():
        print(f"  {term}: {frames}", flush=True)
    for door in doors:
        print(door, flush=True)
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
        self._server.tell_faults()
        self._tell_events()
        print(("\n" if self._terminal else "") + _line(self._server.status()), flush=True)

    def _tell_events(self) -> None:
        sentences = self._server.sentences
        while sentences:
            print(("\r" if self._terminal else "") + sentences.popleft(), flush=True)


def _line(status: dict[str, Any]) -> str:
    meters = " ".join(f"{name} {max(level):.0f}" for name, level in status["meters_dbfs"].items())
    return (
        f"{status['state']}  load {status['load']:.0%}  latency {status['latency']}  "
        f"own misses {status['own_misses']}  machine late {status['machine_late']}  "
        f"late blocks {status['late_blocks']}  dBFS {meters}"
    )
