"""Names of the files that a render writes: the template, and names that every system can hold."""

import glob
import hashlib
import os
import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

DEFAULT_TEMPLATE = "{song}/{stem}.{ext}"
FIELDS = ("song", "stem", "ext", "folder", "model", "preset", "rate", "bits")

_LONGEST_COMPONENT = 255  # bytes, on every common file system
_LONGEST_SONG = 200  # bytes: leaves room for what a template adds, and for ".manifest.json"
_FIELD = re.compile(r"\{\w+\}")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def check_template(template: str) -> None:
    """Raise `ValueError` unless a template is a relative path of known fields that tells stems apart."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"name must be a template such as '{DEFAULT_TEMPLATE}', got '{template}' ({error})"
        ) from error
    used = [field for _, field, _, _ in parts if field is not None]
    for _, field, specification, conversion in parts:
        if field is not None and (field not in FIELDS or specification or conversion):
            raise ValueError(
                f"name must use the fields {_braced(FIELDS)} and nothing else in braces, got '{template}'"
            )
    if "stem" not in used:
        raise ValueError(f"name must hold {{stem}}, got '{template}'; otherwise all stems would be one file")
    literal = "".join(text for text, *_ in parts)
    path = PurePosixPath(template)
    climbs = {"..", "."} & set(template.split("/"))
    if "\\" in literal or path.is_absolute() or climbs or re.match("[A-Za-z]:", literal):
        raise ValueError(f"name must be a path below output, with '/' between folders, got '{template}'")
    if not template.endswith(".{ext}"):
        raise ValueError(f"name must end in .{{ext}}, got '{template}'; the ending follows the format")


def needs_song(template: str) -> bool:
    """Whether two songs would get the same names from a template."""
    return "{song}" not in template


def relative_path(template: str, fields: Mapping[str, str]) -> PurePosixPath:
    """Where a stem goes below the output folder. The fields `song`, `stem`, `ext` and the like are given."""
    parts = [safe_name(part.format_map(fields)) for part in _components(template, fields)]
    return PurePosixPath(*(_fitting(part, _LONGEST_COMPONENT) for part in parts))


def _components(template: str, fields: Mapping[str, str]) -> list[str]:
    """The path's components, still with fields; `{folder}` may be none or several of them."""
    components: list[str] = []
    for part in template.split("/"):
        if part == "{folder}":
            pieces = fields["folder"].replace("{", "{{").replace("}", "}}").split("/")
            components += [piece for piece in pieces if piece]
        elif part:
            components.append(part)
    return components


def sidecar_path(template: str, fields: Mapping[str, str], kind: str) -> PurePosixPath:
    """Where `report` or `manifest` of a song goes: beside its stems, and never where another song's is."""
    folders = []
    for part in template.split("/")[:-1]:
        if "{stem}" in part:
            break
        folders.append(part)
    own_folder = any("{song}" in part for part in folders)
    name = f"{kind}.json" if own_folder else f"{{song}}.{kind}.json"
    return relative_path("/".join([*folders, name]), fields)


def glob_patterns(template: str, name: str) -> list[str]:
    """Where files called `name`, itself a pattern, may lie below the output of renders with a template.

    The output may hold far more than stems (a home folder), so that it is not searched through.
    """
    patterns, folders = [name], ""
    for part in template.split("/")[:-1]:
        folders += "**/" if part == "{folder}" else f"{_FIELD.sub('*', glob.escape(safe_name(part)))}/"
        patterns.append(folders + name)
    return patterns


def safe_name(text: str) -> str:
    """A name that Linux, macOS and Windows can all hold; the same name for the same text."""
    text = os.fsencode(text).decode("utf-8", "replace")  # undecodable bytes of a Linux file name
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).rstrip(". ").lstrip(" ")
    if not text:
        return "untitled"
    return f"_{text}" if _RESERVED.fullmatch(text) else text


def song_name(path: Path) -> str:
    """A song's name from its file's: safe, and short enough for what is added to it."""
    return _fitting(safe_name(path.stem), _LONGEST_SONG)


def distinct(names: Sequence[str], former: Sequence[str] = ()) -> list[str]:
    """Names told apart by a number, in their order, as file systems compare them (case, composition).

    `former` holds what each was called before, or "": whoever had a number keeps it.
    """
    former = former or [""] * len(names)
    kept = [was if _is_numbered(was, name) else "" for name, was in zip(names, former, strict=True)]
    reserved = {_key(name) for name in kept if name}
    taken: set[str] = set()
    result = []
    for name, was in zip(names, kept, strict=True):
        number, candidate = 1, was or name
        while _key(candidate) in (taken if candidate == was else taken | reserved):
            number += 1
            candidate = f"{name} ({number})"
        taken.add(_key(candidate))
        result.append(candidate)
    return result


def _is_numbered(former: str, name: str) -> bool:
    return re.fullmatch(re.escape(name) + r"( \(\d+\))?", former) is not None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _fitting(name: str, limit: int) -> str:
    """A name of at most `limit` bytes: a long one keeps its start and ending, with a hash between."""
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > 16:
        stem, ending = name, ""
    tail = f"~{digest}{dot if ending else ''}{ending}"
    start = stem.encode()[: limit - len(tail.encode())].decode("utf-8", "ignore").rstrip(" ")
    return start + tail


def display(path: str | os.PathLike[str]) -> str:
    """A path as text that every terminal and JSON file can hold."""
    return os.fsencode(path).decode("utf-8", "replace")


def _braced(names: Iterable[str]) -> str:
    return " ".join(f"{{{name}}}" for name in names)
