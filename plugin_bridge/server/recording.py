"""A session's recording: every change that counted, with its frame, for as long as one board plays."""

from __future__ import annotations

from pathlib import Path

from plugin_bridge.board.automation import AutomationWriter
from plugin_bridge.errors import PresetError
from plugin_bridge.live.engine import Engine


class Recording:
    """Writes what an engine's worker has carried out to a file, frame 0 being the engine's first.

    What was moved in the very first moment, on audio from before frame 0, counts from frame 0. A recording
    describes one board. When another is swapped in, or the disk refuses, it ends and says so.
    Raises `PresetError` where it cannot begin.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        plan = engine.plan
        self._engine, self._path = engine, path
        self._rebuilds = engine.troupe.rebuilds
        self._writer: AutomationWriter | None = AutomationWriter(
            path, engine.sample_rate, plan.model, plan.strips, plan.master
        )

    def catch_up(self) -> str:
        """Write what has counted since; one sentence when the recording has ended by itself."""
        applied = self._engine.troupe.applied
        if self._writer is None:
            applied.clear()
            return ""
        try:
            while applied:
                frame, key, value = applied.popleft()
                self._writer.write(max(0, frame), key, value)
        except PresetError as error:
            self.close()
            return f"the recording has ended: {error}"
        if self._engine.troupe.rebuilds != self._rebuilds:
            self.close()
            return f"the recording {self._path} ends here: another board plays, which it cannot hold"
        return ""

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
