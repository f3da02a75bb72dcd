"""A host that plays into the engine and listens to it: JACK is told the whole way round, to the frame."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.live import protocol
from plugin_bridge.live.drivers.driver import AudioRequest
from plugin_bridge.live.engine import Engine, EngineRequest
from tests.integration.jack_clients import Client
from tests.integration.jack_server import JackServer, await_that, jack_server, needs_jackd

__all__ = ["jack_server"]
pytestmark = [pytest.mark.integration, needs_jackd]


class Host(Client):
    """Sends an impulse when told to, and counts the frames until it is back."""

    def __init__(self, server: JackServer) -> None:
        super().__init__(server, "host")
        self._send = self.jack.outports.register("send")
        self._back = self.jack.inports.register("back")
        self._frames = -1
        self.sends, self.round_trip = False, -1
        self.jack.set_process_callback(self._process)

    def _process(self, frames: int) -> None:
        out, back = self._send.get_array(), self._back.get_array()
        out.fill(0)
        if self.sends and self._frames < 0:
            out[0], self._frames = 1.0, 0
        if self._frames >= 0 and self.round_trip < 0:
            if np.any(np.abs(back) > 0.5):
                self.round_trip = self._frames + int(np.argmax(np.abs(back)))
            self._frames += frames


@pytest.mark.parametrize("first", ["send", "back"])
def test_what_comes_back_is_as_late_as_jack_says(jack_server: JackServer, first: str) -> None:
    wires = {"send": ("host:send", "engine:in_L"), "back": ("engine:main_L", "host:back")}
    audio = AudioRequest("jack", name="engine", server=jack_server.name)
    engine = Engine(EngineRequest(audio, protocol.BoardPlan("bands"), safety_ms=30.0))
    try:
        await_that(lambda: engine.status()["callbacks"] > 0, "the engine is called")
        with Host(jack_server) as host:
            for name in sorted(wires, key=lambda name: name != first):
                host.jack.connect(*wires[name])
            told = engine.latency.total + jack_server.block
            await_that(lambda: added(jack_server) == told, "JACK is told")
            host.sends = True
            await_that(lambda: host.round_trip >= 0, "the impulse is back")
            assert host.round_trip == told
            host.jack.disconnect(*wires["send"])
            await_that(lambda: added(jack_server) == engine.latency.total, "JACK is told of the end")
    finally:
        engine.stop()


def added(server: JackServer) -> int:
    """How many frames JACK says are between the engine's input and its output."""
    lines = server.ports("-l")
    at = [lines.index(port) for port in ("engine:in_L", "engine:main_L")]
    told = [next(line for line in lines[start:] if "capture latency" in line) for start in at]
    before, after = (int(line.split()[-3]) for line in told)
    return after - before
