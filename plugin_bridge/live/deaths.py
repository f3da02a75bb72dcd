"""When workers die too often to go on replacing them."""

import time
from collections import deque

_WINDOW_SECONDS = 60.0
_MOST = 3


class Deaths:
    """Workers that died; after three within a minute `given_up` says why no more are started."""

    def __init__(self) -> None:
        self.count = 0
        self.given_up = ""
        self._recent: deque[float] = deque()

    def enter(self, reason: str) -> bool:
        """Enter one; True if it was the last straw."""
        now = time.monotonic()
        self.count += 1
        self._recent.append(now)
        while now - self._recent[0] > _WINDOW_SECONDS:
            self._recent.popleft()
        if self.given_up or len(self._recent) < _MOST:
            return False
        self.given_up = f"{len(self._recent)} workers died within a minute, the last because: {reason}"
        return True
