"""The broadcast extension chunk of a WAV file (EBU Tech 3285 v2)."""

import struct
from dataclasses import dataclass, replace
from typing import Self

_FIXED = struct.Struct("<256s32s32s10s8sQH64s5h180x")
_LOUDNESS_UNSET = 0x7FFF


@dataclass(frozen=True)
class Bext:
    """What a `bext` chunk says of a recording; `time_reference` is in frames since midnight.

    Texts stay bytes: the chunk knows no encoding, and what is carried over must not change.
    """

    description: bytes
    originator: bytes
    originator_reference: bytes
    origination_date: bytes
    origination_time: bytes
    time_reference: int
    coding_history: bytes

    @classmethod
    def parse(cls, payload: bytes) -> Self | None:
        """Read a chunk's payload, of version 0, 1 or 2; None when it is too short to be one."""
        if len(payload) < _FIXED.size:
            return None
        fields = _FIXED.unpack_from(payload)
        description, originator, reference, date, time = (text.rstrip(b"\0") for text in fields[:5])
        history = payload[_FIXED.size :].rstrip(b"\0")
        return cls(description, originator, reference, date, time, fields[5], history)

    def at_rate(self, sample_rate: int, source_rate: int) -> Self:
        """The same moment of the day, counted in frames of another rate."""
        scaled = (2 * self.time_reference * sample_rate + source_rate) // (2 * source_rate)
        return replace(self, time_reference=scaled)

    def with_history(self, line: str) -> Self:
        """One more line of coding history (EBU R 98)."""
        history = self.coding_history
        if history and not history.endswith(b"\r\n"):
            history += b"\r\n"
        return replace(self, coding_history=history + line.encode("ascii", "replace") + b"\r\n")

    def payload(self) -> bytes:
        """The chunk, in version 2.

        A stem is other material than the mix: it gets no UMID, and its loudness is stated as unset
        (0x7FFF), not as the mix's.
        """
        return (
            _FIXED.pack(
                self.description,
                self.originator,
                self.originator_reference,
                self.origination_date,
                self.origination_time,
                min(self.time_reference, 2**64 - 1),
                2,
                bytes(64),
                *[_LOUDNESS_UNSET] * 5,
            )
            + self.coding_history
        )
