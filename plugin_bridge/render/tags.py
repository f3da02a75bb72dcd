"""Title, artist and the like: `LIST INFO` of WAV on one side, libsndfile's names on the other."""

from collections.abc import Iterable, Mapping

from plugin_bridge.render.markers import subchunks

Info = dict[bytes, bytes]
"""INFO entries by their four letters, in the file's order; texts stay bytes."""

_NAME_OF_INFO = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ITRK": "tracknumber",
    b"ICOP": "copyright",
    b"ICMT": "comment",
    b"ISFT": "software",
}
_INFO_OF_NAME = {name: info for info, name in _NAME_OF_INFO.items()}


def info_of_wav(lists: Iterable[bytes], byte_order: str = "<") -> Info:
    """Entries of every `LIST INFO` payload."""
    found: Info = {}
    for payload in lists:
        if payload[:4] == b"INFO":
            for name, body in subchunks(payload[4:], byte_order):
                found.setdefault(name, body.rstrip(b"\0"))
    return found


def info_of_tags(tags: Mapping[str, str]) -> tuple[Info, tuple[str, ...]]:
    """INFO entries for libsndfile's tags, and the names of tags that INFO has no place for."""
    known = {_INFO_OF_NAME[name]: text.encode() for name, text in tags.items() if name in _INFO_OF_NAME}
    return known, tuple(name for name in tags if name not in _INFO_OF_NAME)


def tags_of_info(info: Info) -> tuple[dict[str, str], tuple[str, ...]]:
    """libsndfile's tags for INFO entries, and the names of entries it has no tag for."""
    tags = {_NAME_OF_INFO[name]: _text(body) for name, body in info.items() if name in _NAME_OF_INFO and body}
    return tags, tuple(name.decode("latin-1") for name in info if name not in _NAME_OF_INFO)


def _text(body: bytes) -> str:
    """INFO states no encoding: UTF-8 where it is valid, Windows' Latin otherwise."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def wav_chunks(info: Info) -> list[tuple[bytes, bytes]]:
    """`LIST INFO` for a WAV file; nothing where there are no entries."""
    if not info:
        return []
    entries = b"".join(
        name + len(body + b"\0").to_bytes(4, "little") + body + b"\0" * (1 + (len(body) + 1) % 2)
        for name, body in info.items()
    )
    return [(b"LIST", b"INFO" + entries)]
