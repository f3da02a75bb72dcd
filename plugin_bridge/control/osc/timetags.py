"""OSC time tags: 64-bit NTP times, in seconds of `time.time()`."""

from __future__ import annotations

IMMEDIATELY = 1
_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_ERA = 1 << 32


def seconds_of(tag: int, now: float) -> float | None:
    """The time of a tag, in whichever of NTP's eras of 136 years is nearest to `now`; None for "at once".

    >>> seconds_of(IMMEDIATELY, 0.0) is None, seconds_of(tag_of(1e9 + 0.5), 1e9)
    (True, 1000000000.5)
    """
    if tag == IMMEDIATELY:
        return None
    since_1970 = (tag >> 32) - _EPOCH
    era = round((now - since_1970) / _ERA)
    return since_1970 + era * _ERA + (tag & 0xFFFFFFFF) / _ERA


def tag_of(seconds: float | None) -> int:
    """The tag of a time; "at once" for None."""
    if seconds is None:
        return IMMEDIATELY
    whole = int(seconds // 1)
    return ((whole + _EPOCH) % _ERA) << 32 | int((seconds - whole) * _ERA)
