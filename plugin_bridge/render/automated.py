"""A board whose parameters move while a song runs through it."""

from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from plugin_bridge.board.automation import Automation, Change
from plugin_bridge.board.parameter_tree import Key, Value, board_parameters, set_value
from plugin_bridge.board.rack import Mixed
from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.errors import PresetError
from plugin_bridge.separation.separator import Audio


@dataclass(frozen=True)
class AutomatedBoard:
    """A board that every song finds as it was given, and that then moves by an automation.

    `start_seconds` is where in a song the automation starts; what lies before the song is in force from its
    first frame on. Raises `PresetError` for a change that the board cannot make.
    """

    board: StemBoard
    automation: Automation
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.automation.fitted(board_parameters(self.board.strips, self.board.master))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.board.sources

    @property
    def is_neutral(self) -> bool:
        """Whether nothing alters the sound, from the first frame to the last."""
        return self.board.is_neutral and not self.automation.changes

    def session(self, *, sample_rate: int, channels: int) -> "AutomatedSession":
        """A stream through a board of its own that moves. Raises as `StemBoard.session`."""
        board = StemBoard(
            self.board.separator, deepcopy(self.board.strips), deepcopy(self.board.master), self.board.mix
        )
        # At this rate filters may have less room.
        fitted = self.automation.fitted(board_parameters(board.strips, board.master, sample_rate))
        changes = list(fitted.at(sample_rate, self.start_seconds))
        before: Mapping[Key, Value] = {change.key: change.value for change in changes if change.frame < 0}
        for key, value in before.items():
            set_value(board, key, value)
        after = deque(change for change in changes if change.frame >= 0)
        return AutomatedSession(board.session(sample_rate, channels), after)


class AutomatedSession:
    """A session with changes to come, in the order of their frames, all of which must be made."""

    def __init__(self, session: Session, changes: deque[Change]) -> None:
        self._session, self._changes = session, changes
        self._pushed = 0

    def push(self, block: Audio) -> Mixed:
        """Take some frames and give what is ready. Raises `PresetError` for a change that was refused."""
        self._pushed += block.shape[1]
        while self._changes and self._changes[0].frame < self._pushed:
            change = self._changes.popleft()
            self._session.schedule(change.frame, change.key, change.value)
        return self._checked(self._session.push(block))

    def flush(self) -> Mixed:
        """Give the rest. Raises as `push`."""
        return self._checked(self._session.flush())

    def _checked(self, mixed: Mixed) -> Mixed:
        if self._session.refusals:
            raise PresetError(f"every change of an automation must be made, got: {self._session.refusals[0]}")
        return mixed
