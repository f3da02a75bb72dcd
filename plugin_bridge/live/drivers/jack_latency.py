"""Our latency as JACK sees it, so that a host lines us up by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin_bridge.live.drivers.jack_library import jack_library, latency_library

if TYPE_CHECKING:
    import jack

_CAPTURE = 0


class LatencyReport:
    """Answers JACK whenever it asks how late our outputs are, for as long as the client lives.

    Make it before the client is activated. `frames` are how much later the outputs are than the inputs. Where
    a host that plays to us also listens to us, a block comes on top: JACK runs clients one after another, so
    what returns to a host is a cycle late, and JACK itself tells nobody.
    """

    def __init__(self, client: jack.Client, frames: int) -> None:
        self._view, self._library = latency_library()
        self._client, self._frames = client, frames
        self._pointer = self._view.cast("void *", client._ptr)
        self._callback = self._view.callback("latency_callback", self._answer)  # JACK holds no reference
        self._library.jack_set_latency_callback(self._pointer, self._callback, self._view.NULL)

    def announce(self) -> None:
        """Let JACK ask everybody anew. Not to be called from a callback of JACK."""
        self._library.jack_recompute_total_latencies(self._pointer)

    def _answer(self, mode: int, argument: object) -> None:
        # Capture: how long ago the sound came in, which grows from our inputs to our outputs. Playback: how
        # long until it is heard, which grows from our outputs to our inputs.
        inputs, outputs = list(self._client.inports), list(self._client.outports)
        frames = self._frames + (self._client.blocksize if _hosts(inputs) & _hosts(outputs) else 0)
        here, there = (inputs, outputs) if mode == _CAPTURE else (outputs, inputs)
        ranges = [self._range(port, mode) for port in here]
        total = self._view.new("latency_range *")
        total.min = min((least for least, _ in ranges), default=0) + frames
        total.max = max((most for _, most in ranges), default=0) + frames
        for port in there:
            self._library.jack_port_set_latency_range(self._view.cast("void *", port._ptr), mode, total)

    def _range(self, port: jack.OwnPort, mode: int) -> tuple[int, int]:
        found = self._view.new("latency_range *")
        self._library.jack_port_get_latency_range(self._view.cast("void *", port._ptr), mode, found)
        return int(found.min), int(found.max)


def _hosts(ports: list[Any]) -> set[str]:
    """The clients that ports are connected to; a sound card is none, it runs before and after all others."""
    try:
        others = [other for port in ports for other in port.connections]
    except jack_library().JackError:
        return set()  # a wire went while we looked, and JACK asks again
    return {other.name.partition(":")[0] for other in others if not other.is_physical}
