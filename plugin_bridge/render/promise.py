"""What a file's own header promises, so that a file cut in the middle is never rendered in silence.

libsndfile reads a cut WAV, AIFF, W64 or Ogg file as a shorter one without a word. FLAC and MP3 state
their frames, and the reader counts them.
"""

import os
import struct
from pathlib import Path

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.riff import Chunk, Form, read_form

_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_LARGEST_OGG_PAGE = 65307


def check_whole(path: Path) -> None:
    """Raise `AudioFileError` when a file ends before its header says so."""
    form = read_form(path)
    if form is not None:
        _check_form(form)
        return
    with path.open("rb") as file:
        start = file.read(16)
    if start == _W64_RIFF:
        _check_w64(path)
    elif start[:4] == b"OggS":
        _check_ogg(path)


def cut(path: Path, found: object, promised: object, unit: str = "frames") -> AudioFileError:
    """The error of a file that ends early."""
    return AudioFileError(
        f"{path} must be whole, got {found} of the {promised} {unit} its header promises; "
        "copy or export it again"
    )


def states_mp3_length(path: Path) -> bool:
    """Whether an MP3's first frame is a Xing or Info tag, which states the number of frames."""
    with path.open("rb") as file:
        start = file.read(10)
        if start[:3] == b"ID3":  # its size has seven bits a byte
            size = sum(byte << (7 * place) for place, byte in enumerate(reversed(start[6:10])))
            file.seek(10 + size)
        else:
            file.seek(0)
        first_frame = file.read(2048)
    return b"Xing" in first_frame or b"Info" in first_frame


def _check_form(form: Form) -> None:
    samples = form.find(b"data" if form.kind == b"WAVE" else b"SSND")
    if samples is None:
        return
    found = form.length - samples.start
    if form.kind == b"WAVE" and samples.size == 0 and _holds_unstated_samples(form, samples):
        raise AudioFileError(
            f"{form.path} must state its length, got a header of 0 bytes before {found} bytes of samples; "
            "the recording was not finished, repair its header first"
        )
    if samples.size <= found or _is_open_ended(samples.size):
        return
    bytes_per_frame = _bytes_per_frame(form)
    before = 0 if form.kind == b"WAVE" else 8  # SSND begins with an offset and a block size
    if bytes_per_frame:
        promised = (samples.size - before) // bytes_per_frame
        raise cut(form.path, max(0, found - before) // bytes_per_frame, promised)
    raise cut(form.path, found, samples.size, "bytes")


def _holds_unstated_samples(form: Form, samples: Chunk) -> bool:
    """Whether bytes follow an empty `data` chunk that are no chunks."""
    last = form.chunks[-1]
    end = last.start + last.size + last.size % 2
    return end < form.length


def _is_open_ended(size: int) -> bool:
    """Whether a 32-bit size is what programs write that stream to a pipe (ffmpeg, SoX)."""
    return 0xFFFFF000 <= size <= 0xFFFFFFFF or 0x7FFFF000 <= size <= 0x7FFFFFFF


def _bytes_per_frame(form: Form) -> int:
    """Bytes of one frame of PCM or float WAV and plain AIFF, 0 for what is compressed."""
    if form.kind == b"WAVE":
        chunk = form.find(b"fmt ")
        payload = form.payload(chunk) if chunk else b""
        if len(payload) < 16:
            return 0
        format_tag, _, _, _, block_align = struct.unpack_from(f"{form.byte_order}HHIIH", payload)
        return int(block_align) if format_tag in (1, 3, 0xFFFE) else 0
    chunk = form.find(b"COMM")
    payload = form.payload(chunk) if chunk else b""
    if form.kind != b"AIFF" or len(payload) < 8:
        return 0
    channels, _, bits = struct.unpack_from(">HIH", payload)
    return int(channels * ((bits + 7) // 8))


def _check_w64(path: Path) -> None:
    """Sizes of Sony Wave64 are 64 bits wide and count the 24 bytes of their own header."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        at = 40
        while at + 24 <= length:
            file.seek(at)
            name, size = struct.unpack("<16sQ", file.read(24))
            if name == _W64_DATA and at + size > length:
                raise cut(path, length - at - 24, size - 24, "bytes")
            at += max(24, (size + 7) // 8 * 8)


def _check_ogg(path: Path) -> None:
    """The last page of a whole Ogg stream has the end-of-stream flag and all its segments (RFC 3533, 6)."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _LARGEST_OGG_PAGE))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    is_whole = len(page) >= 27 + len(segments) + sum(segments)
    if not segments or not is_whole or not page[5] & 4:
        raise AudioFileError(
            f"{path} must be whole, got an Ogg stream without its last page; copy or export it again"
        )
