"""One separator, one strip for each stem, and a master: called like a `pedalboard.Pedalboard`."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pedalboard import Plugin

from plugin_bridge.board.call import PedalboardCall
from plugin_bridge.board.effects import known_keys
from plugin_bridge.board.grid import LARGEST_GRID
from plugin_bridge.board.parameters import MIX
from plugin_bridge.board.rack import Mixed
from plugin_bridge.board.session import Session, grid_for, whole_signal
from plugin_bridge.board.strip import Strip
from plugin_bridge.errors import PresetError
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import Audio, Separator, StreamingSeparator

if TYPE_CHECKING:
    from plugin_bridge.board.preset import Preset

Settings = Strip | Iterable[Plugin]
"""What a strip can be given as: a `Strip`, or its effects alone."""


class StemBoard(PedalboardCall):
    """Separates audio, sends each stem through its strip, and sums the strips into the master.

    `separator` is a model's name or a separator; `strips` names the stems that have effects or levels of
    their own; `mix` is how much of the output is processed, where 0 is the input, as late as the board.
    With every strip neutral the output is the input, to the last bits of float32. Samples that are NaN, Inf
    or beyond +180 dBFS are taken as silence.

    Raises `ModelError` for an unknown model, `ValueError` for a stem that the separator does not give,
    `TypeError` for effects that are not pedalboard's.
    """

    def __init__(
        self,
        separator: Separator | str = catalogue.DEFAULT_MODEL,
        strips: Mapping[str, Settings] | None = None,
        master: Settings = (),
        mix: float = MIX.default,
    ) -> None:
        super().__init__()
        self._model = separator if isinstance(separator, str) else None
        self._separator = catalogue.load(separator) if isinstance(separator, str) else separator
        if not isinstance(self._separator, Separator):
            raise TypeError(f"separator must be a model's name or a Separator, got {separator!r}")
        if not isinstance(strips, Mapping | None):
            raise TypeError(f"strips must map stems to effects, got {strips!r}; write {{'vocals': [...]}}")
        given = dict(strips or {})
        self._strips = {source: _strip(given.pop(source, ())) for source in self.sources}
        self._master = _strip(master)
        self.mix = mix
        self._session: Session | None = None
        for name in given:
            self[name]

    @property
    def model(self) -> str | None:
        """The model's name, where the separator was given by name."""
        return self._model

    @property
    def separator(self) -> Separator:
        """What separates."""
        return self._separator

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self._separator.sources

    @property
    def strips(self) -> dict[str, Strip]:
        """The strips by stem."""
        return dict(self._strips)

    @property
    def master(self) -> Strip:
        """What the sum of the strips goes through; its `solo` does nothing."""
        return self._master

    @property
    def mix(self) -> float:
        """How much of the output is processed: 1 is all of it, 0 is the input, as late as the board."""
        return self._mix

    @mix.setter
    def mix(self, value: float) -> None:
        self._mix = MIX.check(value)

    @property
    def effects(self) -> list[Plugin]:
        """The effects of all strips and of the master."""
        return [effect for strip in (*self._strips.values(), self._master) for effect in strip.effects]

    def __getitem__(self, source: str) -> Strip:
        """The strip of a stem. Raises `ValueError` for a stem that the separator does not give."""
        if not isinstance(source, str) or source not in self._strips:
            near = get_close_matches(str(source), self.sources, n=1)
            remedy = f"did you mean '{near[0]}'?" if near else f"its stems: {', '.join(self.sources)}"
            raise ValueError(f"a stem must be one that {self._named()} gives, got {source!r}; {remedy}")
        return self._strips[source]

    def __setitem__(self, source: str, settings: Settings) -> None:
        """Give a stem another strip, or other effects at unity; a new stream starts. Raises as `[]`."""
        self[source]
        self._strips[source] = _strip(settings)
        self._session = None

    def __contains__(self, source: object) -> bool:
        return source in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def is_neutral(self) -> bool:
        """Whether every strip and the master change nothing, so that the output is the input."""
        return all(strip.is_neutral for strip in (*self._strips.values(), self._master))

    def stems(
        self, input_array: NDArray[Any], sample_rate: float, buffer_size: int = 8192, reset: bool = True
    ) -> dict[str, Audio]:
        """Every stem after its strip, by name; the arguments and the streaming are those of a call.

        Shape: `(frames,)`, `(channels, frames)` or `(frames, channels)` to the same layout for each stem.
        """
        with self._lock:
            entered = self._enter(input_array, sample_rate, buffer_size, reset)
            audio, rate = entered.audio, float(sample_rate)
            mixed = self.mixed_whole(audio, rate) if reset else self.own_session(rate, len(audio)).push(audio)
            return {
                source: entered.back(stem) for source, stem in zip(self.sources, mixed.stems, strict=True)
            }

    def flush_stems(self) -> dict[str, Audio]:
        """The frames of every stem that streaming left inside; then a new stream starts."""
        with self._lock:
            if self._last is None:
                return {source: np.zeros(0, np.float32) for source in self.sources}
            stems = self._mixed_flush(len(self._last.audio)).stems
            return {source: self._last.back(stem) for source, stem in zip(self.sources, stems, strict=True)}

    def session(self, sample_rate: float, channels: int) -> Session:
        """A stream of its own through these strips, also for separators that need windows.

        Raises `ValueError` for more than two channels. Two sessions at once share the strips' effects,
        and so their state: use one at a time.
        """
        return Session(self._separator, self, sample_rate, channels)

    def live_session(self, sample_rate: float) -> Session:
        """A stereo stream of its own that steps with the model's hop.

        Raises `ValueError` for a separator that cannot stream.
        """
        return self._streaming(sample_rate, 2)

    def grid(self, sample_rate: float) -> int:
        """Frames in which the strips' effects step at this rate."""
        hosted = at_rate(self._separator, sample_rate)
        return grid_for(hosted.stream().hop) if isinstance(hosted, StreamingSeparator) else LARGEST_GRID

    @property
    def reported_latency_samples(self) -> int:
        """Frames that streaming keeps inside, at the rate of the last call (the model's own before one)."""
        with self._lock:
            rate, channels = self._separator.sample_rate, self._separator.channels
            return (self._session or self.own_session(rate, channels)).latency

    def to_dict(self) -> dict[str, Any]:
        """The board as data. Raises `TypeError` for a separator or effect that cannot be described."""
        named = {"model": self._model} if self._model else {"separator": catalogue.describe(self._separator)}
        strips = {source: strip.to_dict() for source, strip in self._strips.items()}
        mix = {} if self.mix == MIX.default else {"mix": self.mix}
        return {**named, "strips": strips, "master": {**self._master.to_dict(), **mix}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "StemBoard":
        """The board that the data describe. Raises `ModelError` or `PresetError` where there is none."""
        values = known_keys(values, "a stem board", ("model", "separator", "strips", "master"))
        if "separator" in values:
            described = known_keys(values["separator"], "a separator", ("architecture", "config"))
            config = dict(described.get("config", {}))
            separator: Separator | str = catalogue.build(str(described.get("architecture")), config)
        else:
            separator = str(values.get("model", catalogue.DEFAULT_MODEL))
        strips = dict(values.get("strips", {}))
        master = dict(values.get("master", {}))
        mix = master.pop("mix", MIX.default)
        return StemBoard(
            separator,
            {source: Strip.from_dict(strip) for source, strip in strips.items()},
            Strip.from_dict(master),
            mix,
        )

    @classmethod
    def from_preset(cls, preset: "Preset | str", separator: Separator | str | None = None) -> "StemBoard":
        """The board of a preset, on its own model unless `separator` is given.

        Raises `PresetError` for an unknown preset, or one that names a stem that the separator does not give.
        """
        from plugin_bridge.board.preset import Preset

        preset = Preset.load(preset) if isinstance(preset, str) else preset
        if not isinstance(preset, Preset):
            raise TypeError(f"preset must be a Preset or a name, got {preset!r}")
        board = StemBoard(separator or preset.model or catalogue.DEFAULT_MODEL)
        for source, settings in preset.strips.items():
            if source not in board._strips:
                raise PresetError(
                    f"preset '{preset.name}' must move stems that {board._named()} gives, got '{source}'; "
                    f"its stems: {', '.join(board.sources)}"
                )
            board._strips[source] = settings.strip()
        board._master, board.mix = preset.master.strip(), preset.master.mix
        return board

    def __eq__(self, other: object) -> bool:
        return self.__getstate__() == other.__getstate__() if isinstance(other, StemBoard) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a board is mutable

    def __getstate__(self) -> dict[str, Any]:
        return {
            "separator": self._model or self._separator,
            "strips": self._strips,
            "master": self._master,
            "mix": self.mix,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        StemBoard.__init__(self, **state)

    def __copy__(self) -> Self:
        raise TypeError(
            "a board must be copied deeply, since two boards cannot share effects; use copy.deepcopy"
        )

    def __repr__(self) -> str:
        moved = [f"{source}={strip!r}" for source, strip in self._strips.items() if not strip.is_neutral]
        if not self._master.is_neutral:
            moved.append(f"master={self._master!r}")
        if self.mix != MIX.default:
            moved.append(f"mix={self.mix:g}")
        return f"<plugin_bridge.{type(self).__name__} {' '.join([self._named(), *moved])} at {id(self):#x}>"

    def _named(self) -> str:
        return f"'{self._model}'" if self._model else type(self._separator).__name__

    def mixed_whole(self, audio: Audio, sample_rate: float) -> Mixed:
        """The stems and the mix of a whole signal. Shape: `(channels, frames)` to the same number of frames.

        Raises as `session`.
        """
        if isinstance(self._separator, StreamingSeparator):
            return self.own_session(sample_rate, len(audio)).whole(audio)
        return whole_signal(self._separator, self, sample_rate, audio)

    def own_session(self, sample_rate: float, channels: int) -> Session:
        """The stream that calls of this board run on; a new one when the rate or the channels change.

        Raises `ValueError` for a separator that needs the whole signal, and as `session`.
        """
        session = self._session
        if session is None or (session.sample_rate, session.channels) != (sample_rate, channels):
            session = self._session = self._streaming(sample_rate, channels)
        return session

    def forget(self) -> None:
        """Drop what is inside; the layout stays known."""
        if self._session is not None:
            self._session.reset()

    _clear = forget

    def _whole(self, audio: Audio, sample_rate: float) -> Audio:
        return self.mixed_whole(audio, sample_rate).mix

    def _push(self, audio: Audio, sample_rate: float) -> Audio:
        return self.own_session(sample_rate, len(audio)).push_mix(audio)

    def _flush(self, channels: int) -> Audio:
        return self._mixed_flush(channels).mix

    def _mixed_flush(self, channels: int) -> Mixed:
        if self._session is None:
            nothing = np.zeros((len(self.sources), channels, 0), np.float32)
            return Mixed(nothing, nothing[0])
        return self._session.flush()

    def _streaming(self, sample_rate: float, channels: int) -> Session:
        if not isinstance(self._separator, StreamingSeparator):
            streaming = ", ".join(name for name in catalogue.names() if catalogue.card(name).streaming)
            raise ValueError(
                f"streaming must use a streaming separator, got {self._named()}, which needs the whole "
                f"signal; call with reset=True, or choose one of: {streaming}"
            )
        return self.session(sample_rate, channels)


def _strip(settings: Settings) -> Strip:
    return settings if isinstance(settings, Strip) else Strip(settings)
