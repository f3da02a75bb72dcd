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
SENDERS = 200
SOURCES = ("low", "mid", "high")
LOADING = ("/load", "/next", "/prev", "/save", "/start")
"""What would write presets or load models is left to the tests."""


def datagrams(serve: Serve, asker: Asker, seed: int) -> float:
    """Send all datagrams; after every few of them a sound question must be answered.

    They come from many senders, lest the limit of one keeps most of them out. Gives the memory, in MiB, of
    the control process after the first fifth, by when its bounded logs are full.
    """
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.strip import Strip

    parameters = board_parameters({source: Strip() for source in SOURCES}, Strip())
    paths = [path for path in table(SOURCES, parameters) if not path.endswith(LOADING)]
    maker, filled = Maker(seed, paths), 0.0
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SENDERS)]
    for turn in range(DATAGRAMS // PER_TURN):
        for _ in range(PER_TURN):
            senders[turn % SENDERS].sendto(maker.packet(), ("127.0.0.1", serve.port))
        asker.ask("/stem/low/name")
        if turn == DATAGRAMS // PER_TURN // 5:
            filled = serve.memory_mib()
    for sender in senders:
        sender.close()
    return filled


def run() -> Table:
    """A million datagrams, then a hundred thousand requests and frames."""
    seed = int(os.environ.get("PLUGIN_BRIDGE_SEED", "0"))
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with served("--audio", "paced", "--block", "256") as serve:
        asker = Asker(serve.port)
        time.sleep(2.0)
        before = serve.memory_mib()
        filled = datagrams(serve, asker, seed)
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
            (
                "memory, by the first fifth of the datagrams (bounded logs fill)",
                f"{filled - before:+.1f} MiB",
            ),
            ("memory, by the other datagrams", f"{after_datagrams - filled:+.1f} MiB"),
            ("memory, by requests and frames", f"{after_frames - after_datagrams:+.1f} MiB"),
            ("lines in its log", str(serve.log_lines)),
        ),
        note=f"Model `bands`, paced driver, blocks of 256; seed {seed}, {SENDERS} senders, "
        f"{(time.monotonic() - began) / 60:.0f} minutes. Cut and bit-flipped messages, bundles nested 400 "
        "deep, blobs of 60 kB, wrong and unknown types, arrays, NaN, star bombs, time tags near and far; "
        "broken requests and frames, foreign origins. After each "
        f"{PER_TURN} datagrams a question was answered. Memory is the control process's. "
        f"{machine('python-osc', 'aiohttp')}",
    )
