"""A WAV file, written: plain RIFF while it fits, RF64 from the first byte too many.

The file starts with a `JUNK` chunk of the size of `ds64`, so that becoming RF64 changes the header only
(EBU Tech 3306 v1.1, 4). Metadata goes before `data`, because some facilities reject a trailing `bext`.
soundfile cannot write `bext` or `cue` and floors float to PCM; hence an own writer of some hundred lines.
"""

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from plugin_bridge.render.encoding import Encoding, Samples

RIFF_LIMIT_BYTES = 2**32 - 1
"""The largest size that a RIFF header can state."""

_IN_DS64 = 0xFFFFFFFF
_PCM, _FLOAT = 1, 3


class WavWriter:
    """Writes one WAV or RF64 file to an open binary file, which stays the caller's to close.

    `chunks` are `(name, payload)` pairs placed before the samples. `riff_limit_bytes` is the size from
    which the file becomes RF64; tests lower it.
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        sample_rate: int,
        channels: int,
        encoding: Encoding,
        chunks: Sequence[tuple[bytes, bytes]] = (),
        riff_limit_bytes: int = RIFF_LIMIT_BYTES,
    ) -> None:
        self._file = file
        self._sample_rate = sample_rate
        self._channels = channels
        self._encoding = encoding
        self._metadata = b"".join(_chunk(name, payload) for name, payload in chunks)
        self._riff_limit_bytes = riff_limit_bytes
        self._data_bytes = 0
        self._head_bytes = len(self._assemble(b"RIFF", 0, (b"JUNK", bytes(28)), 0, 0)) - 8
        file.write(self._header())

    def write(self, samples: Samples) -> None:
        """Append samples. Shape: `(channels, frames)`, of the encoding's type."""
        packed = self._encoding.pack(samples)
        self._file.write(packed)
        self._data_bytes += len(packed)

    def close(self) -> None:
        """State the true sizes in the header; the file is whole from here on."""
        if self._data_bytes % 2:
            self._file.write(b"\0")
        self._file.seek(0)
        self._file.write(self._header())
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def _header(self) -> bytes:
        """Everything before the samples; of one length, whatever the sizes are."""
        frames = self._data_bytes // (self._channels * self._encoding.bytes_per_sample)
        riff_bytes = self._head_bytes + self._data_bytes + self._data_bytes % 2
        if riff_bytes <= self._riff_limit_bytes:
            return self._assemble(b"RIFF", riff_bytes, (b"JUNK", bytes(28)), frames, self._data_bytes)
        sizes = struct.pack("<QQQI", riff_bytes, self._data_bytes, frames, 0)
        return self._assemble(b"RF64", _IN_DS64, (b"ds64", sizes), _IN_DS64, _IN_DS64)

    def _assemble(
        self, name: bytes, riff_bytes: int, first: tuple[bytes, bytes], frames: int, data_bytes: int
    ) -> bytes:
        # `fact` is asked for with every format but PCM.
        fact = _chunk(b"fact", struct.pack("<I", frames)) if self._encoding.is_float else b""
        head = struct.pack("<4sI4s", name, riff_bytes, b"WAVE") + _chunk(*first) + self._format() + fact
        return head + self._metadata + struct.pack("<4sI", b"data", data_bytes)

    def _format(self) -> bytes:
        width = self._encoding.bytes_per_sample
        payload = struct.pack(
            "<HHIIHH",
            _FLOAT if self._encoding.is_float else _PCM,
            self._channels,
            self._sample_rate,
            self._sample_rate * self._channels * width,
            self._channels * width,
            8 * width,
        )
        return _chunk(b"fmt ", payload + (b"\0\0" if self._encoding.is_float else b""))


def _chunk(name: bytes, payload: bytes) -> bytes:
    # libsndfile 1.2 forgets the pad byte of an odd chunk in RF64 and finds no samples. Text chunks end in
    # zeros anyway, so the pad is counted in.
    payload += b"\0" * (len(payload) % 2)
    return struct.pack("<4sI", name, len(payload)) + payload
