"""One life of our client on a JACK server, from its opening to its end or the server's."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from plugin_bridge.errors import DeviceError
from plugin_bridge.live.drivers.driver import Connection
from plugin_bridge.live.drivers.jack_latency import LatencyReport
from plugin_bridge.live.drivers.jack_library import jack_library

if TYPE_CHECKING:
    import jack

_FREEWHEEL_PATIENCE_SECONDS = 8.0  # the server gives up on a freewheeling client after 10 s
_NAP_SECONDS = 0.0002

Wire = tuple[str, str]
"""A connection by name: one of our ports, without the client's name, and a foreign port, with it."""


class NameTaken(DeviceError):
    """Another client has our name."""


def called(server: str) -> str:
    """The name of the server that an empty name means."""
    return server or os.environ.get("JACK_DEFAULT_SERVER", "default")


def open_client(name: str, server: str) -> jack.Client:
    """A client of exactly this name on a running server; no server is ever started.

    Raises `DeviceError`.
    """
    library = jack_library()
    longest = library.client_name_size() - 1
    if not name or ":" in name or len(name.encode()) > longest:
        raise DeviceError(
            f"a JACK name must be 1 to {longest} bytes without ':', got '{name}'; choose another with --name"
        )
    try:
        client = library.Client(name, no_start_server=True, servername=server or None)
    except library.JackOpenError as error:
        raise DeviceError(
            f"the JACK server '{called(server)}' must be running, got none; start it, name another with "
            "--server, or use --audio portaudio"
        ) from error
    # Asked for an exact name, JACK 1.9 would say no more than that something is wrong.
    if client.name != name:
        client.close()
        raise NameTaken(
            f"the JACK name must be free, got '{name}', which is taken on the server '{called(server)}'; "
            "choose another with --name"
        )
    return client


class JackClient:
    """Our ports on a server, and the callbacks behind them.

    The public attributes are what the callbacks, which run in JACK's threads, leave for the outside to see.
    Raises `DeviceError` where the server is not there or the name is taken.
    """

    def __init__(self, name: str, server: str) -> None:
        self._client = open_client(name, server)
        self.sample_rate, self.block = int(self._client.samplerate), int(self._client.blocksize)
        self._frame_ns = 1e9 / self.sample_rate
        self.gone = self.started = False
        self.rewired = True
        self.xruns = self.failures = self.dry_exports = 0
        self.failure = ""
        self._freewheels = self._closes = False
        self._client.set_shutdown_callback(self._on_shutdown)

    def start(self, connection: Connection) -> None:
        """Make the ports and begin to call the engine. Raises `DeviceError` when the server refuses."""
        self._connection = connection
        try:
            self._register(connection)
            self._client.activate()
        except jack_library().JackError as error:
            raise DeviceError(f"the JACK server must accept our ports, got: {error}; restart it") from error
        self._latency.announce()
        self.started = True

    def _register(self, connection: Connection) -> None:
        client = self._client
        self._inputs = [client.inports.register(f"in_{side}") for side in "LR"]
        self._outputs = [
            client.outports.register(f"{row}_{side}") for row in connection.rows for side in "LR"
        ]
        self._on_blocksize(self.block)
        self._latency = LatencyReport(client, connection.latency)
        client.set_blocksize_callback(self._on_blocksize)
        client.set_xrun_callback(self._on_xrun)
        client.set_freewheel_callback(self._on_freewheel)
        client.set_port_connect_callback(self._on_wiring, only_available=False)
        client.set_port_registration_callback(self._on_wiring, only_available=False)
        client.set_process_callback(self._process)

    def close(self) -> None:
        """Leave the server, or what is left of it."""
        self._closes = True
        if not self.gone:
            self._client.deactivate()
        self._client.close()

    # --- wiring --------------------------------------------------------------------------------------------

    def wires(self) -> set[Wire] | None:
        """All connections of our ports; None when one went while we looked."""
        ports = [*self._client.inports, *self._client.outports]
        try:
            return {(port.shortname, other.name) for port in ports for other in port.connections}
        except jack_library().JackError:
            return None

    def wire(self, wire: Wire) -> bool:
        """Make a connection; False when there is no such port at the moment."""
        ours, theirs = f"{self._client.name}:{wire[0]}", wire[1]
        pair = (theirs, ours) if wire[0].startswith("in_") else (ours, theirs)
        try:
            self._client.connect(*pair)
        except jack_library().JackError:
            return False
        return True

    # --- callbacks -----------------------------------------------------------------------------------------

    def _process(self, frames: int) -> None:
        # JACK-Client never again calls a callback that has raised.
        try:
            self._play(frames)
        except Exception as error:  # noqa: BLE001
            self.failures += 1
            self.failure = f"{type(error).__name__}: {error}"
            for port in self._outputs:
                port.get_array().fill(0)

    def _play(self, frames: int) -> None:
        # JACK's own clock, which is smooth, says when the cycle began that we are called in, late or not.
        came_ns = time.monotonic_ns() - int(self._client.frames_since_cycle_start * self._frame_ns)
        if frames != self._block.shape[1]:
            self._on_blocksize(frames)
        for row, port in zip(self._block, self._inputs, strict=True):
            row[:] = port.get_array()
        if self._freewheels:
            self._await_worker(frames)
        for row, port in zip(self._connection.callback(self._block, came_ns), self._outputs, strict=True):
            port.get_array()[:] = row

    def _await_worker(self, frames: int) -> None:
        """Wait for the next block: without a clock nobody minds, and an export is never dry."""
        patience = time.monotonic() + _FREEWHEEL_PATIENCE_SECONDS
        while not self._connection.ready(frames) and not self._closes:
            if time.monotonic() > patience:
                self.dry_exports += 1
                return
            time.sleep(_NAP_SECONDS)

    def _on_blocksize(self, frames: int) -> None:
        self.block = frames
        self._block = np.zeros((2, frames), np.float32)

    def _on_xrun(self, delayed_microseconds: float) -> None:
        self.xruns += 1

    def _on_freewheel(self, starts: bool) -> None:
        self._freewheels = starts

    def _on_wiring(self, *what: Any) -> None:
        self.rewired = True

    def _on_shutdown(self, status: jack.Status, reason: str) -> None:
        self.gone = True
