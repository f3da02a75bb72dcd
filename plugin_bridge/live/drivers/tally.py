"""A counter that a callback advances, told to people as a sentence now and then."""

import math
import time

from plugin_bridge.live.notice import Notice

_PAUSE_SECONDS = 5.0


class Tally:
    """Reports by how much a counter has grown, at most every few seconds."""

    def __init__(self, sentence: str, code: str) -> None:
        self._sentence, self._code = sentence, code
        self._said = 0
        self._said_at = -math.inf

    def report(self, count: int, detail: str = "") -> list[str]:
        """The sentence with `{count}`, what is new, and `{detail}` filled in; nothing before it is time."""
        now = time.monotonic()
        fresh = count - self._said
        if fresh <= 0 or now < self._said_at + _PAUSE_SECONDS:
            return []
        self._said, self._said_at = count, now
        return [Notice(self._sentence.format(count=fresh, detail=detail), self._code)]
