"""Malformed and hostile packets for a running engine, by the makers of the tests' fuzzers."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from benchmarks._served import Asker, Serve, served
from benchmarks.tables import Table, machine
from plugin_bridge.control.address_space import table
from tests.osc_fuzz import Maker
from tests.oscquery_fuzz import fuzz

name = "control_fuzz"

DATAGRAMS = 1_000_000
FRAMES = 100_000
PER_TURN = 100
SOURCES = ("low", "mid", "high")
LOADING = ("/load", "/next", "/prev", "/save", "/start")
"""What would write presets or load models is left to the tests."""


def datagrams(serve: Serve, asker: Asker, seed: int) -> None:
    """Send all datagrams; after every few of them a sound question must be answered."""
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.strip import Strip

    parameters = board_parameters({source: Strip() for source in SOURCES}, Strip())
    paths = [path for path in table(SOURCES, parameters) if not path.endswith(LOADING)]
    maker, out = Maker(seed, paths), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setblocking(False)
    for _ in range(DATAGRAMS // PER_TURN):
        for _ in range(PER_TURN):
            out.sendto(maker.packet(), ("127.0.0.1", serve.port))
        asker.ask("/stem/low/name")


def run() -> Table:
    """A million datagrams, then a hundred thousand requests and frames."""
    seed = int(os.environ.get("PLUGIN_BRIDGE_SEED", "0"))
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with served("--audio", "paced", "--block", "256") as serve:
        asker = Asker(serve.port)
        time.sleep(2.0)
        before = serve.memory_mib()
        datagrams(serve, asker, seed)
        after_datagrams = serve.memory_mib()
        outcome = asyncio.run(fuzz(FRAMES, seed, serve.http_port))
        after_frames = serve.memory_mib()
        answers = asker.ask("/traffic")[0]
        asker.close()
    return Table(
        title="A running engine under fuzz",
        columns=("what", "figure"),
        rows=(
            ("malformed or hostile datagrams", f"{DATAGRAMS:,}"),
            (
                "of them counted as no OSC, and dropped by the rate limit",
                f"{answers[1]:,} and {answers[3]:,}",
            ),
            ("HTTP requests and WebSocket frames", f"{outcome.sent:,}"),
            ("still answers OSC and HTTP", "yes" if outcome.still_answers else "NO"),
            ("own misses of the audio engine meanwhile", str(serve.own_misses)),
            ("memory of the control process, by datagrams", f"{after_datagrams - before:+.1f} MiB"),
            (
                "memory of the control process, by requests and frames",
                f"{after_frames - after_datagrams:+.1f} MiB",
            ),
            ("lines in its log", str(serve.log_lines)),
        ),
        note=f"Model `bands`, paced driver, blocks of 256; seed {seed}, "
        f"{(time.monotonic() - began) / 60:.0f} minutes. Cut and bit-flipped messages, bundles nested 400 "
        "deep, blobs of 60 kB, wrong and unknown types, arrays, NaN, star bombs, time tags near and far; broken "
        f"requests and frames, foreign origins. After each {PER_TURN} datagrams a question was answered. "
        f"{machine('python-osc', 'aiohttp')}",
    )
