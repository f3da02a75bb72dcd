"""What a caller hands to `render`, brought to one form, with a sentence for what cannot be meant."""

import os
from collections.abc import Iterable
from math import isfinite
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

AnyPath = str | PathLike[str]


def path(what: str, value: object) -> Path:
    """A path. Raises `TypeError` for what is none, `ValueError` for an empty one."""
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{what} must be a path, got {value!r}")
    text = os.fspath(value)
    if not text or "\0" in str(text):
        raise ValueError(f"{what} must be a path, got {'an empty one' if not text else repr(text)}")
    return Path(text)


def paths(what: str, value: object) -> list[Path]:
    """One path or several. Raises like `path`."""
    if isinstance(value, str | PathLike):
        return [path(what, value)]
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{what} must be a path or a list of paths, got {value!r}")
    return [path(what, item) for item in value]


def names(what: str, value: object) -> tuple[str, ...] | None:
    """Names from "a,b" or a list; None stays None. Raises `TypeError` for anything else."""
    if value is None:
        return None
    found = (
        tuple(value.split(",") if isinstance(value, str) else value) if isinstance(value, Iterable) else (0,)
    )
    if not all(isinstance(item, str) for item in found):
        raise TypeError(f"{what} must be names such as 'vocals,drums', got {value!r}")
    return tuple(str(item) for item in found)


def numbers(what: str, value: object) -> tuple[int, ...]:
    """Whole numbers from a list of them. Raises `TypeError` for anything else."""
    found = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(_is_whole(item) for item in found):
        raise TypeError(f"{what} must be a list of one or two numbers such as [1, 2], got {value!r}")
    return tuple(int(item) for item in found)


def rate(value: object) -> int | None:
    """A number of Hz, None for "source". Raises `TypeError` for anything else."""
    if value == "source":
        return None
    if not _is_whole(value):
        raise TypeError(f"sample_rate must be 'source' or a whole number of Hz, got {value!r}")
    return int(str(value))


def count(what: str, value: object) -> int:
    """A number from 1. Raises `TypeError` for no number, `ValueError` for a smaller one."""
    if not _is_whole(value):
        raise TypeError(f"{what} must be a whole number, got {value!r}")
    if int(str(value)) < 1:
        raise ValueError(f"{what} must be at least 1, got {value}")
    return int(str(value))


def seconds(what: str, value: object) -> float:
    """A time. Raises `TypeError` for no number, `ValueError` for an infinite one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} must be a number of seconds, got {value!r}")
    if not isfinite(value):
        raise ValueError(f"{what} must be a finite number of seconds, got {value}")
    return float(value)


def check_switch(what: str, value: object) -> None:
    """Raise `TypeError` unless a value is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, got {value!r}")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
