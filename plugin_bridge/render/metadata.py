"""What a source says about itself, and which of it a stem's file can carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from plugin_bridge.render import markers as cue
from plugin_bridge.render import tags
from plugin_bridge.render.bext import Bext
from plugin_bridge.render.riff import Form, read_form

# Chunks that describe the coding or the layout of the samples; they have nothing to be carried.
_STRUCTURE = {
    *(b"fmt ", b"fact", b"data", b"JUNK", b"junk", b"PAD ", b"FLLR", b"ds64", b"PEAK", b"bext", b"cue "),
    *(b"LIST", b"COMM", b"SSND", b"FVER", b"MARK", b"NAME", b"AUTH", b"(c) ", b"ANNO", b"minf", b"elm1"),
}


@dataclass(frozen=True)
class Metadata:
    """Broadcast extension, markers and tags of a source, and the names of what was not understood."""

    bext: Bext | None = None
    markers: tuple[cue.Marker, ...] = ()
    info: tags.Info = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def at_rate(self, sample_rate: int, source_rate: int) -> Self:
        """The same moments, counted in frames of another rate."""
        if sample_rate == source_rate:
            return self
        return replace(
            self,
            bext=self.bext and self.bext.at_rate(sample_rate, source_rate),
            markers=tuple(marker.at_rate(sample_rate, source_rate) for marker in self.markers),
        )

    def for_wav(self, history: str) -> tuple[list[tuple[bytes, bytes]], tuple[str, ...]]:
        """Chunks for a WAV file, `bext` first, and the names of what it cannot carry.

        `history` is the line that the stem adds to the coding history.
        """
        info, lost = (self.info, ()) if self.info else tags.info_of_tags(self.tags)
        fitting = [marker for marker in self.markers if marker.fits]
        chunks = [(b"bext", self.bext.with_history(history).payload())] if self.bext else []
        chunks += cue.wav_chunks(fitting) + tags.wav_chunks(info)
        beyond = ("cue beyond frame 2^32",) if len(fitting) < len(self.markers) else ()
        return chunks, (*self.unread, *lost, *beyond)

    def for_flac(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """libsndfile's tags for a FLAC file, and the names of what it cannot carry."""
        found, lost = tags.tags_of_info(self.info) if self.info else (dict(self.tags), ())
        without_room = (("bext",) if self.bext else ()) + (("cue",) if self.markers else ())
        return found, (*self.unread, *without_room, *lost)


def read_metadata(path: Path, libsndfile_tags: Mapping[str, str]) -> Metadata:
    """Everything that can be carried, from WAV and AIFF chunks or from libsndfile's tags."""
    form = read_form(path)
    if form is None:
        return Metadata(tags=libsndfile_tags)
    unread = tuple(dict.fromkeys(_printable(c.name) for c in form.chunks if c.name not in _STRUCTURE))
    if form.kind != b"WAVE":
        mark = form.find(b"MARK")
        found = cue.markers_of_aiff(form.payload(mark)) if mark else ()
        return Metadata(markers=found, tags=libsndfile_tags, unread=unread)
    lists = [form.payload(chunk) for chunk in form.chunks if chunk.name == b"LIST"]
    return Metadata(
        bext=_bext(form),
        markers=_markers(form, lists),
        info=tags.info_of_wav(lists, form.byte_order),
        tags=libsndfile_tags,
        unread=unread,
    )


def _bext(form: Form) -> Bext | None:
    chunk = form.find(b"bext")
    return Bext.parse(form.payload(chunk)) if chunk else None


def _markers(form: Form, lists: list[bytes]) -> tuple[cue.Marker, ...]:
    chunk = form.find(b"cue ")
    return cue.markers_of_wav(form.payload(chunk), lists, form.byte_order) if chunk else ()


def _printable(name: bytes) -> str:
    return name.decode("ascii", "replace").strip()
