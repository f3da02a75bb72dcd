"""A board's levels as parameters, and a session that moves them hop by hop."""

from collections.abc import Mapping
from typing import Any

from plugin_bridge.board.effects import set_parameter
from plugin_bridge.board.parameter_tree import Key, Parameter, Value
from plugin_bridge.board.parameters import GAIN_DB, PAN
from plugin_bridge.board.session import Session
from plugin_bridge.board.stemboard import StemBoard
from plugin_bridge.board.strip import Strip
from plugin_bridge.separation.separator import Audio, Stems


def board_parameters(board: StemBoard) -> Mapping[Key, Parameter]:
    """The levels of every strip."""
    found = [each for name in (*board.sources, "master") for each in _levels(name)]
    return {parameter.key: parameter for parameter in found}


def _levels(name: str) -> list[Parameter]:
    return [
        Parameter(Key(name, None, "gain_db"), "number", 0.0, GAIN_DB.lowest, GAIN_DB.highest, "dB"),
        Parameter(Key(name, None, "pan"), "number", 0.0, PAN.lowest, PAN.highest),
        Parameter(Key(name, None, "mute"), "switch", False),
        Parameter(Key(name, None, "solo"), "switch", False),
    ]


def board_values(board: StemBoard) -> Mapping[Key, Value]:
    """Where the levels are."""
    return {key: getattr(_strip(board, key), key.name) for key in board_parameters(board)}


def set_value(board: StemBoard, key: Key, value: Value) -> None:
    """Move a parameter."""
    strip = _strip(board, key)
    if key.slot is None:
        setattr(strip, key.name, value)
    else:
        set_parameter(strip.effects[key.slot], key.name, value)


def _strip(board: StemBoard, key: Key) -> Strip:
    return board.master if key.strip == "master" else board[key.strip]


class MovingSession:
    """A session whose parameters move with the hop that holds their frame."""

    def __init__(self, session: Session, board: StemBoard) -> None:
        self._board, self._session = board, session
        self.hop, self.sample_rate = session.hop, session.sample_rate
        self._pushed = 0
        self._to_come: list[tuple[int, Key, Value]] = []

    def reset(self) -> None:
        """Forget everything."""
        self._session.reset()
        self._pushed, self._to_come = 0, []

    def schedule(self, frame: int, key: Key, value: Any) -> None:
        """Move at a frame of the session."""
        self._to_come.append((frame, key, value))

    def move(self, key: Key, value: Any) -> int:
        """Move at once."""
        set_value(self._board, key, value)
        return self._pushed

    def advance(self, block: Audio) -> Stems:
        """The next hop."""
        self._pushed += block.shape[1]
        due = [change for change in self._to_come if change[0] < self._pushed]
        self._to_come = [change for change in self._to_come if change[0] >= self._pushed]
        for _, key, value in sorted(due, key=lambda change: change[0]):
            set_value(self._board, key, value)
        return self._session.advance(block)
