"""JACK clients around an engine: one plays into it, one records what comes out, and what went in."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from tests.integration.jack_server import JackServer, await_that

Audio = NDArray[np.float32]

TAKES = 5
SILENCE_SECONDS = 2


class Client:
    """A client on a private server, active within the `with` block."""

    def __init__(self, server: JackServer, name: str) -> None:
        import jack

        self.jack = jack.Client(name, use_exact_name=True, no_start_server=True, servername=server.name)

    def __enter__(self) -> Client:
        self.jack.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.jack.deactivate()
        self.jack.close()


class Player(Client):
    """Plays `(2, frames)` of audio when told to, silence otherwise."""

    def __init__(self, server: JackServer, name: str = "player") -> None:
        super().__init__(server, name)
        self._ports = [self.jack.outports.register(f"out_{side}") for side in "LR"]
        self._audio, self._next = np.zeros((2, 0), np.float32), np.zeros((2, 0), np.float32)
        self.position = self.cycles = 0
        self.jack.set_process_callback(self._process)

    def play(self, audio: Audio) -> None:
        """Begin with the next cycle."""
        self._next = audio

    def playing(self, audio: Audio) -> bool:
        """Whether the cycle under way, or an earlier one, has begun to play this audio."""
        return self._audio is audio

    def _process(self, frames: int) -> None:
        if self._audio is not self._next:
            self._audio, self.position = self._next, 0
        for row, port in zip(self._audio, self._ports, strict=True):
            out, part = port.get_array(), row[self.position : self.position + frames]
            out[: len(part)] = part
            out[len(part) :] = 0
        self.position += frames
        self.cycles += 1


class Recorder(Client):
    """Records what a player plays and what its other ports get, from the cycle on in which the player begins.

    A wire from the player sees to it that JACK runs the player first in each cycle.
    """

    def __init__(
        self, server: JackServer, player: Player, rows: tuple[str, ...], name: str = "recorder"
    ) -> None:
        super().__init__(server, name)
        self._player = player
        rows = ("played", *rows)
        self._ports = [self.jack.inports.register(f"{row}_{side}") for row in rows for side in "LR"]
        self._cue: Audio | None = None
        self._audio, self._at = np.zeros((len(self._ports), 0), np.float32), 0
        self.jack.set_process_callback(self._process)

    def await_cue(self, cue: Audio, frames: int) -> None:
        """Record so many frames, beginning with the cycle in which the player begins this audio."""
        self._audio, self._at = np.zeros((len(self._ports), frames), np.float32), 0
        self._cue = cue

    @property
    def complete(self) -> bool:
        """Whether all frames are there."""
        return self._at >= self._audio.shape[1]

    def recorded(self) -> Audio:
        """Shape: `(rows, 2, frames)`, what was played first."""
        return self._audio.reshape(-1, 2, self._audio.shape[1])

    def _process(self, frames: int) -> None:
        if self._cue is None or not self._player.playing(self._cue):
            return
        for row, port in zip(self._audio, self._ports, strict=True):
            part = row[self._at : self._at + frames]
            part[:] = port.get_array()[: len(part)]
        self._at += frames


class Studio:
    """A player into an engine, a recorder behind it, and a wire past the engine.

    `naming` says what the engine calls the port of a row, "in" or one of its results, and a side.

    What passes the engine and what passes it by are recorded in the same cycles, so JACK's own buffering is
    not in what we measure.
    """

    def __init__(
        self,
        server: JackServer,
        engine: str,
        rows: tuple[str, ...],
        naming: Callable[[str, str], str] = "{}_{}".format,
    ) -> None:
        self._engine, self._rows, self._naming = engine, rows, naming
        self.player = Player(server, f"{engine}-player")
        self.recorder = Recorder(server, self.player, rows, f"{engine}-recorder")

    def __enter__(self) -> Studio:
        self.player.__enter__()
        self.recorder.__enter__()
        player, recorder = self.player.jack, self.recorder.jack
        for side in "LR":
            recorder.connect(f"{player.name}:out_{side}", self._port("in", side))
            recorder.connect(f"{player.name}:out_{side}", f"{recorder.name}:played_{side}")
            for row in self._rows:
                recorder.connect(self._port(row, side), f"{recorder.name}:{row}_{side}")
        # JACK changes its graph between cycles, when it finds the time.
        settled = self.player.cycles + 50
        await_that(lambda: self.player.cycles > settled, "the wires are in use")
        return self

    def _port(self, row: str, side: str) -> str:
        return f"{self._engine}:{self._naming(row, side)}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.recorder.__exit__(kind, error, trace)
        self.player.__exit__(kind, error, trace)

    def record(self, audio: Audio, frames: int, meanwhile: Callable[[], object]) -> Audio:
        """What comes out of the engine, from the first frame on that goes in. Shape: `(rows, 2, frames)`.

        A busy machine can wake a client a cycle late, and the wire past the engine shows it: such a take says
        nothing about the engine and is played again.
        """
        played = min(frames, audio.shape[1])
        for number in range(1, TAKES + 1):
            recorded = self._take(audio.copy(), frames, meanwhile)
            if np.array_equal(recorded[0, :, :played], audio[:, :played]):
                break
            print(f"take {number} is spoilt: JACK was late")
            self._fall_silent(meanwhile)
        np.testing.assert_array_equal(recorded[0, :, :played], audio[:, :played])
        return recorded[1:]

    def _fall_silent(self, meanwhile: Callable[[], object]) -> None:
        """Play nothing until a model has forgotten what was played."""
        forgotten = self.player.position + SILENCE_SECONDS * self.player.jack.samplerate

        def silent() -> bool:
            meanwhile()
            return self.player.position > forgotten

        await_that(silent, "the silence between two takes is over", 60.0)

    def _take(self, audio: Audio, frames: int, meanwhile: Callable[[], object]) -> Audio:
        self.recorder.await_cue(audio, frames)
        self.player.play(audio)

        def complete() -> bool:
            meanwhile()
            return self.recorder.complete

        await_that(complete, "everything is recorded", 60.0)
        return self.recorder.recorded()
