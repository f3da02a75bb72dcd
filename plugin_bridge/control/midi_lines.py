"""Ports that stay open: found by name, opened again when they were unplugged, virtual where none is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import mido

from plugin_bridge.control.midi_system import MidiSystem, matching_port, plain_name
from plugin_bridge.errors import DeviceError

VIRTUAL = "virtual"
"""The name that asks for a port of our own, which other programs connect to."""
MOST_BYTES_A_LOOK = 8192
"""What is sent between two looks at most; half of what RtMidi's JACK client holds."""
_MOST_LOOKS_SKIPPED = 64
"""How long a system that refuses is left alone; its libraries complain on the terminal each time."""


class _Line:
    """One direction of one port: what is wished, and the client that is open."""

    def __init__(self, wanted: str, direction: str, make: Callable[[str], Any], client: str) -> None:
        self.wanted, self.direction = wanted, direction
        self._make, self._name = make, client
        self._client: Any = None
        self._waits = False
        self.port: str | None = None
        """The name of the open port; "" for a virtual one."""

    @property
    def open_client(self) -> Any:
        """The client, where its port is open."""
        return self._client if self.port is not None else None

    def look(self) -> list[str]:
        """Open, open again or give up the port; what there is to tell."""
        if self._client is None:
            self._client = self._make(self._name)
        if not self.wanted:
            if self.port is None:
                self._client.open_virtual_port(self.direction)
                self.port = ""
            return []
        ports = [port for port in self._client.get_ports() if not port.startswith(self._family)]
        if self.port is not None and self.port in ports:
            return []
        lost = self.port
        if lost is not None:
            # A new client, since one that was left inside a SysEx message hears nothing but its end.
            self.close()
            self._client = self._make(self._name)
        found = matching_port(self.wanted, ports)
        if found is not None:
            self._client.open_port(self._client.get_ports().index(found), name=self.direction)
            self.port = found
        return self._news(lost, found, ports)

    @property
    def _family(self) -> str:
        return self._name.rpartition("-")[0]

    def _news(self, lost: str | None, found: str | None, ports: list[str]) -> list[str]:
        if found is not None:
            back, self._waits = self._waits or lost is not None, False
            return [f"MIDI {self.direction}: '{plain_name(found)}' is {'back' if back else 'open'}"]
        if lost is not None:
            self._waits = True
            return [f"MIDI {self.direction}: '{plain_name(lost)}' is gone; waiting for it to come back"]
        if self._waits:
            return []
        self._waits = True
        known = ", ".join(map(plain_name, ports)) or "none"
        return [
            f"a MIDI port must have '{self.wanted}' in its name to be our {self.direction}put, "
            f"got {known}; waiting for it"
        ]

    def close(self) -> None:
        """Leave the system."""
        client, self._client, self.port = self._client, None, None
        if client is not None:
            with suppress(OSError, RuntimeError):  # of a device or a server that is gone
                client.close_port()
            client.delete()


class Lines:
    """Inputs and outputs for every port wished for; without any, or for "virtual", a port of our own.

    Raises `DeviceError` where virtual ports do not exist.
    """

    def __init__(
        self,
        system: MidiSystem,
        ports: tuple[str, ...],
        name: str = "plugin-bridge",
        listens_only: bool = False,
    ) -> None:
        if (not ports or VIRTUAL in ports) and not system.has_virtual_ports:
            raise DeviceError(
                "a MIDI port must be named on Windows, which has no virtual ports, got none; "
                "make one with loopMIDI and name it"
            )
        self._system = system
        wanted = ["" if port == VIRTUAL else port for port in dict.fromkeys(ports or (VIRTUAL,))]
        self._ins = [_Line(each, "in", system.input, f"{name}-midi-in") for each in wanted]
        self._outs = [
            _Line(each, "out", system.output, f"{name}-midi-out") for each in wanted if not listens_only
        ]
        self._life: tuple[str, ...] = ()
        self._said = ""
        self._budget = self._rest = 0
        self._patience = 1
        self.garbage = 0
        """Messages that are none."""
        self.opened = 0
        """How many outputs have been opened so far; grows when one comes back."""

    def look(self) -> list[str]:
        """See after every port; what there is to tell. To be called about twice a second."""
        self._budget = 0
        life = self._system.life()
        if self._life and life != self._life:
            self.close()
        if absent := self._system.absent():
            return self._once(f"MIDI is off: {absent}; it comes on by itself")
        if self._rest > 0:
            self._rest -= 1
            return []
        before = [line.port for line in self._outs]
        try:
            news = [sentence for line in (*self._ins, *self._outs) for sentence in line.look()]
        except (OSError, RuntimeError) as error:
            self.close()
            self._patience = self._rest = min(2 * self._patience, _MOST_LOOKS_SKIPPED)
            return self._once(f"MIDI is off: the system '{self._system.name}' must answer, got: {error}")
        self._life, self._budget, self._patience = life, MOST_BYTES_A_LOOK, 1
        after = [line.port for line in self._outs]
        self.opened += sum(now is not None and now != was for was, now in zip(before, after, strict=True))
        if self._said:
            self._said, news = "", ["MIDI is on", *news]
        return news

    def _once(self, sentence: str) -> list[str]:
        if sentence == self._said:
            return []
        self._said = sentence
        return [sentence]

    @property
    def has_output(self) -> bool:
        """Whether anything can be sent now."""
        return self._budget > 0 and any(line.open_client for line in self._outs)

    def messages(self, most: int) -> Iterator[tuple[str, Any]]:
        """Messages that have come in, as `mido.Message`s with the names of their ports."""
        for line in self._ins:
            client, port = line.open_client, line.port
            for _ in range(most if client else 0):
                got = client.get_message()
                if got is None:
                    break
                try:
                    yield plain_name(port or ""), mido.Message.from_bytes(got[0])
                except (ValueError, LookupError):
                    self.garbage += 1

    def send(self, message: Any, port: str = "") -> bool:
        """Send a message to the ports that have a name in theirs; whether it went out."""
        data = message.bytes()
        aimed = [
            line.open_client
            for line in self._outs
            if line.open_client and (not line.port or port.lower() in line.port.lower())
        ]
        if not aimed or self._budget < len(data) * len(aimed):
            return False
        self._budget -= len(data) * len(aimed)
        try:
            for client in aimed:
                client.send_message(data)
        except (OSError, RuntimeError):
            self._budget = 0  # the next look finds out why
            return False
        return True

    def close(self) -> None:
        """Close every port."""
        for line in (*self._ins, *self._outs):
            line.close()
        self._life, self._budget = (), 0
