"""Check whether this machine can run the live processor well, and propose settings."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TRIAL_SECONDS = 5.0
_WELL, _NOTE, _BAD = "ok", "note", "bad"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it stands, and what to do about it."""

    what: str
    state: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plugin-bridge doctor`."""
    parser.add_argument("--model", metavar="NAME", help="the model to try; see plugin-bridge models list")
    parser.add_argument("--block", type=int, default=256, metavar="FRAMES", help="host block (default: 256)")
    parser.add_argument(
        "--sample-rate", type=int, default=44100, metavar="HZ", help="host rate (default: 44100)"
    )
    parser.add_argument("--server", default="", metavar="NAME", help="the JACK server's name")
    parser.add_argument("--no-trial", action="store_true", help="leave out the trial of five seconds")


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; 1 if one of them is bad."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _priority,
        _memory_lock,
        _governor,
        lambda: _jack(arguments.server),
        _portaudio,
    ]
    if not arguments.no_trial:
        checks.append(lambda: _trial(arguments.model, arguments.block, arguments.sample_rate))
    bad = False
    for check in checks:
        for finding in check():
            print(f"{finding.state:<5} {finding.what}: {finding.text}", flush=True)
            bad = bad or finding.state == _BAD
    return int(bad)


def _priority() -> Iterator[Finding]:
    from plugin_bridge.live.priority import WORKER_PRIORITY, hint, may_raise_priority

    if may_raise_priority(WORKER_PRIORITY):
        yield Finding("real-time priority", _WELL, "allowed")
    else:
        yield Finding("real-time priority", _NOTE, f"not allowed; {hint()}")


def _memory_lock() -> Iterator[Finding]:
    from plugin_bridge.live.priority import locked_memory_limit

    limit = locked_memory_limit()
    if limit is None:
        yield Finding("memory lock", _NOTE, "this system has none that we know of")
    elif limit < 0:
        yield Finding("memory lock", _WELL, "without limit")
    else:
        mebibytes = limit / 2**20
        yield Finding(
            "memory lock", _NOTE, f"limited to {mebibytes:.0f} MiB; set 'memlock unlimited' for your user"
        )


def _governor() -> Iterator[Finding]:
    files = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = {file.read_text().strip() for file in files}
    if not governors:
        yield Finding(
            "CPU governor", _NOTE, "the system does not say; a fixed full speed gives the steadiest hops"
        )
    elif governors == {"performance"}:
        yield Finding("CPU governor", _WELL, "performance")
    else:
        names = ", ".join(sorted(governors))
        yield Finding(
            "CPU governor", _NOTE, f"{names}; 'cpupower frequency-set -g performance' keeps clocks up"
        )


def _jack(server: str) -> Iterator[Finding]:
    from plugin_bridge.errors import DeviceError
    from plugin_bridge.live.drivers.listing import jack_server

    try:
        rate, block = jack_server(server)
    except DeviceError as error:
        yield Finding("JACK", _NOTE, str(error))
        return
    yield Finding("JACK", _WELL, f"{rate} Hz, blocks of {block} ({1000 * block / rate:.1f} ms)")


def _portaudio() -> Iterator[Finding]:
    from plugin_bridge.errors import DeviceError
    from plugin_bridge.live.drivers.listing import portaudio_devices

    try:
        devices = portaudio_devices()
    except DeviceError as error:
        yield Finding("PortAudio", _NOTE, str(error))
        return
    yield Finding(
        "PortAudio", _WELL if devices else _NOTE, f"{len(devices)} devices; see plugin-bridge devices"
    )


def _trial(model: str | None, block: int, sample_rate: int) -> Iterator[Finding]:
    """Five seconds of noise through the model, in time, without a device."""
    import time

    from plugin_bridge.live.drivers.driver import AudioRequest
    from plugin_bridge.server import Server, ServerRequest

    # Twice as much safety as a first guess, so that what is measured is the worker and not its misses.
    audio = AudioRequest("paced", block=block, sample_rate=sample_rate)
    server = Server(ServerRequest(audio, model, safety_ms=20))
    try:
        server.begin()
        begin = time.monotonic()
        while time.monotonic() - begin < TRIAL_SECONDS:
            server.engine.tick()
            time.sleep(0.02)
        status = server.status()
    finally:
        server.close()
    yield from _advice(status, block, sample_rate)


def _advice(status: dict[str, object], block: int, sample_rate: int) -> Iterator[Finding]:
    p50, p99, worst, hop = (
        float(str(status[key])) for key in ("worker_p50_ms", "worker_p99_ms", "worker_worst_ms", "hop_ms")
    )
    times = f"{p50:.2f} ms p50, {p99:.2f} ms p99, {worst:.2f} ms worst of a hop of {hop:.2f} ms"
    name = f"trial of {status['model']}"
    if int(str(status["own_misses"])):
        yield Finding(
            name,
            _BAD,
            f"{status['own_misses']} hops took longer than they last: {times}; choose a lighter model",
        )
        return
    late = int(str(status["machine_late"]))
    state = _WELL if not late and p99 < 0.7 * hop else _NOTE
    yield Finding(name, state, f"{times}; {late} hops were late for the machine's sake")
    safety_ms = max(2.0, 1.5 * worst)
    yield Finding(
        "advice",
        state,
        f"block {block} at {sample_rate} Hz with --safety-ms {safety_ms:.1f} "
        f"({round(safety_ms * sample_rate / 1000)} frames)",
    )
