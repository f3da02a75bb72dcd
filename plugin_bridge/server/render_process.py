"""A render job's process: renders one file with one thread, and tells how far it is, a line of JSON each.

It ends when its standard input does, whoever closed it: a cancelled job, and a server that died.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from plugin_bridge.errors import PluginBridgeError
from plugin_bridge.render.job import render
from plugin_bridge.render.report import Report

_EVERY_SECONDS = 0.2


class Teller:
    """Tells every fifth of a second at most."""

    def __init__(self) -> None:
        self._done, self._all = 0, 1
        self._said_at = 0.0

    def begin(self, path: Path, frames: int, sample_rate: int) -> None:
        """The length is known."""
        self._all = max(1, frames)
        _say(share=0.0)

    def advance(self, path: Path, frames: int) -> None:
        """So many frames more are separated."""
        self._done += frames
        if time.monotonic() >= self._said_at + _EVERY_SECONDS:
            self._said_at = time.monotonic()
            _say(share=min(1.0, self._done / self._all))

    def end(self, path: Path, report: Report) -> None:
        """It is done or has failed."""
        _say(failed=report.error) if report.status == "failed" else _say(done=str(report.folder))


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _end_with_the_server() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)  # unwinds the render, which sweeps up behind itself


def main(path: str, output: str, preset: str, model: str) -> int:
    """Render; 0 when it is done, 130 when it was ended."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        render([path], output, preset=preset or None, model=model or None, resume=True, observer=Teller())
    except (PluginBridgeError, ValueError, TypeError) as error:
        _say(failed=str(error))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
