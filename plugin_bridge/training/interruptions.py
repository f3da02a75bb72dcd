"""Ctrl-C and SIGTERM, which end a run without losing what it learned."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them, so that what was learned is saved."""
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda given, frame: asked.append(given))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
