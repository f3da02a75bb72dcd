"""What a method's settings may be, refused with one clear sentence."""

from __future__ import annotations

import math


def check_limits(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise `ValueError` unless `least <= value <= most` (so NaN is refused, too)."""
    if not least <= value <= most:
        limits = f"at least {least:g}" if math.isinf(most) else f"between {least:g} and {most:g}"
        raise ValueError(f"{name} must be {limits}, got {value}")


def check_odd(name: str, value: int) -> None:
    """Raise `ValueError` unless `value` is a positive odd number, as the length of a median is."""
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{name} must be a positive odd number, got {value}; try {max(1, value + 1)}")


def check_format(sample_rate: int, channels: int) -> None:
    """Raise `ValueError` unless both are at least 1."""
    check_limits("sample_rate", sample_rate, 1)
    check_limits("channels", channels, 1)
