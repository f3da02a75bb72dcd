"""The audio of one song on its way from the source to its files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from plugin_bridge.errors import AudioFileError
from plugin_bridge.render.blocks import Block, Board, Spool, resampled, separated
from plugin_bridge.render.encoding import Quantiser
from plugin_bridge.render.loudness import LevelMeter, largest
from plugin_bridge.render.metadata import Metadata, read_metadata
from plugin_bridge.render.plan import MIX, Plan
from plugin_bridge.render.promise import cut
from plugin_bridge.render.reader import SourceFile
from plugin_bridge.render.report import StemReport
from plugin_bridge.render.staging import Staging
from plugin_bridge.render.writer import StemWriter, open_writer
from plugin_bridge.separation.separator import Audio

Advance = Callable[[int], None]


class Take:
    """The audio of one song on its way through; afterwards it holds the figures."""

    def __init__(self, plan: Plan, staging: Staging, seed: str) -> None:
        self._plan, self._staging, self._seed = plan, staging, seed
        self.gain = 1.0
        self.residual = 0.0
        self.tracks: dict[str, _Track] = {}
        self.not_carried: tuple[str, ...] = ()

    def run(self, source: SourceFile, board: Board, advance: Advance) -> None:
        """Separate and write everything."""
        plan = self._plan
        metadata = read_metadata(source.path, source.tags).at_rate(plan.sample_rate, source.sample_rate)
        blocks = self._separated(source, board, advance)
        if not plan.settings.encoding.is_float:
            spool = Spool(self._staging.scratch(plan.folder))
            spool.fill(blocks)
            self.gain = spool.common_gain(plan.settings.encoding)
            blocks = spool.blocks()
        for name in plan.names:
            self.tracks[name] = self._track(name, metadata)
        self._write(blocks)

    def _separated(self, source: SourceFile, board: Board, advance: Advance) -> Iterator[Block]:
        plan = self._plan
        try:
            session = board.session(sample_rate=source.sample_rate, channels=source.channels)
        except ValueError as error:
            raise AudioFileError(f"{source.path} must be what the model takes, got: {error}") from error
        blocks = separated(
            source.blocks(),
            session,
            plan.rows,
            channels=source.channels,
            mix=plan.settings.mix,
            advance=advance,
        )
        if plan.sample_rate == source.sample_rate:
            return blocks
        return resampled(blocks, source.sample_rate, plan.sample_rate, plan.frames)

    def _write(self, blocks: Iterable[Block]) -> None:
        frames = 0
        for block in blocks:
            residual = -self.gain * block.source.astype(np.float64)
            for name, signal in zip(self._plan.names, block.signals, strict=True):
                heard = self.tracks[name].write(signal)
                if name != MIX:
                    residual += heard
            self.residual = max(self.residual, largest(residual))
            frames += block.source.shape[-1]
        if frames != self._plan.frames:
            raise cut(self._plan.song.path, frames, self._plan.frames)
        for track in self.tracks.values():
            track.finish()

    def _track(self, name: str, metadata: Metadata) -> "_Track":
        plan, settings = self._plan, self._plan.settings
        file = self._staging.open(plan.targets[name])
        tags: dict[str, str] = {}
        chunks: list[tuple[bytes, bytes]] = []
        if settings.format == "flac":
            tags, self.not_carried = metadata.for_flac()
        else:
            chunks, self.not_carried = metadata.for_wav(plan.history(name))
        writer = open_writer(
            file,
            settings.format,
            sample_rate=plan.sample_rate,
            channels=plan.channels,
            encoding=settings.encoding,
            chunks=chunks,
            tags=tags,
        )
        quantiser = Quantiser(settings.encoding, gain=self.gain, seed=f"{self._seed}/{name}")
        return _Track(writer, quantiser, LevelMeter(plan.sample_rate, plan.channels))


@dataclass(frozen=True)
class _Track:
    """One file in the making: quantised, written, measured as it will be heard."""

    writer: StemWriter
    quantiser: Quantiser
    meter: LevelMeter

    def write(self, signal: Audio) -> Audio:
        samples = self.quantiser.quantise(signal)
        self.writer.write(samples)
        heard = self.quantiser.heard(samples)
        self.meter.add(heard)
        return heard

    def finish(self) -> None:
        self.writer.close()
        self.meter.finish()

    def report(self, path: str) -> StemReport:
        return StemReport(
            path=path,
            peak_dbfs=_to_hundredths(self.meter.peak_dbfs),
            true_peak_dbtp=_to_hundredths(self.meter.true_peak_dbtp),
            integrated_lufs=_to_hundredths(self.meter.integrated_lufs),
        )


def _to_hundredths(level: float | None) -> float | None:
    return None if level is None else round(level, 2) + 0.0  # no -0.0
