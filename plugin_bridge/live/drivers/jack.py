"""JACK, and PipeWire that speaks it: named ports, our latency reported, and a server that may come and go."""

import math
import sys
import time

from plugin_bridge.errors import DeviceError
from plugin_bridge.live.drivers.driver import AudioRequest, Connection
from plugin_bridge.live.drivers.jack_client import JackClient, NameTaken, Wire
from plugin_bridge.live.drivers.tally import Tally
from plugin_bridge.live.notice import Notice

_RETRY_SECONDS = 0.5
_REMEMBERED_SECONDS = 2.0
_SWITCH_SECONDS = 0.0005


class JackDriver:
    """A client of a JACK server, and a new one whenever the server comes back.

    Raises `DeviceError` where the server is not there or the name is taken.
    """

    finished = False

    def __init__(self, request: AudioRequest) -> None:
        self._request = request
        self._client: JackClient | None = JackClient(request.name, request.server)
        self.sample_rate, self.block = self._client.sample_rate, self._client.block
        self._connection: Connection | None = None
        self._wires: dict[Wire, float] = {}
        self._missing: set[Wire] = set()
        self._tried_at = -math.inf
        self._said = ""

    def start(self, connection: Connection) -> None:
        """Make the ports and begin to call the engine. Raises `DeviceError` when the server refuses."""
        # A callback waits for whichever of our threads runs Python; no longer than this.
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._connection = connection
        if self._client is not None and not self._client.gone:
            self._begin(self._client)

    def stop(self) -> None:
        """Leave the server."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def events(self) -> list[str]:
        """What happened since the last call; also where a server that is gone is looked for."""
        if self._client is None:
            return self._look_for_server()
        if self._client.gone:
            return self._lose_server(self._client)
        if not self._client.started:
            return []
        self._follow_wires(self._client)
        return [
            *self._xruns.report(self._client.xruns),
            *self._dry.report(self._client.dry_exports),
            *self._failures.report(self._client.failures, self._client.failure),
        ]

    def _begin(self, client: JackClient) -> None:
        assert self._connection is not None
        self._xruns = Tally("{count} xruns: JACK was late, in this or another client", "xruns")
        self._dry = Tally("{count} blocks of an export are dry: the worker gave nothing for seconds", "dry")
        failed = "{count} audio callbacks failed and played silence, the last with {detail}"
        self._failures = Tally(failed, "callback_failed")
        client.start(self._connection)

    # --- a server that comes and goes ----------------------------------------------------------------------

    def _lose_server(self, client: JackClient) -> list[str]:
        now = time.monotonic()
        self._missing |= {wire for wire, until in self._wires.items() if until > now}
        self._wires = {}
        client.close()
        self._client = None
        return [Notice("the JACK server is gone; waiting for it to come back", "device_lost")]

    def _look_for_server(self) -> list[str]:
        now = time.monotonic()
        if now < self._tried_at + _RETRY_SECONDS:
            return []
        self._tried_at = now
        try:
            client = JackClient(self._request.name, self._request.server)
        except NameTaken as error:
            return self._once(str(error))
        except DeviceError:
            return []
        self._client = client  # at a wrong rate too: it tells when this server goes
        if client.sample_rate != self.sample_rate:
            return self._once(
                f"the JACK server must run at {self.sample_rate} Hz as before, got "
                f"{client.sample_rate} Hz; restart plugin-bridge, or the server at {self.sample_rate} Hz"
            )
        try:
            self._begin(client)
        except DeviceError as error:
            client.close()
            self._client = None
            return self._once(str(error))
        self._said = ""
        return [Notice("the JACK server is back", "device_back")]

    def _once(self, sentence: str) -> list[str]:
        if sentence == self._said:
            return []
        self._said = sentence
        return [sentence]

    def _follow_wires(self, client: JackClient) -> None:
        """Remember how we are connected, and connect what was so before the server went."""
        if not client.rewired:
            return
        client.rewired = False
        wires = client.wires()
        if wires is None:
            client.rewired = True
            return
        self._missing = {wire for wire in self._missing if wire not in wires and not client.wire(wire)}
        # A server that goes takes the connections first: those that went just now are still remembered.
        now = time.monotonic()
        going = {
            wire: min(until, now + _REMEMBERED_SECONDS)
            for wire, until in self._wires.items()
            if until > now and wire not in wires
        }
        self._wires = going | dict.fromkeys(wires, math.inf)
