"""One song: read, separate, write; whole files or none, in memory that does not grow with the song."""

import time
from collections.abc import Callable

from plugin_bridge.render import naming
from plugin_bridge.render.blocks import Board
from plugin_bridge.render.loudness import decibels
from plugin_bridge.render.manifest import sha256_of
from plugin_bridge.render.plan import Plan, Policy, Song, Voicing
from plugin_bridge.render.reader import SourceFile
from plugin_bridge.render.report import Report, null_dbfs, peak_memory_bytes, versions
from plugin_bridge.render.settings import Settings
from plugin_bridge.render.staging import Staging, told_of
from plugin_bridge.render.take import Advance, Take

Begin = Callable[[int, int], None]

REPLACE_NOTHING = Policy()


def render_song(
    song: Song,
    board: Board,
    voicing: Voicing,
    settings: Settings,
    policy: Policy = REPLACE_NOTHING,
    *,
    begin: Begin = lambda frames, sample_rate: None,
    advance: Advance = lambda frames: None,
) -> Report:
    """Render one song and say how it went.

    `begin` is told of the source's frames and rate, `advance` of the frames separated since. Raises
    `AudioFileError` for everything that a file or a disk can do wrong; nothing is left behind then.
    """
    started = time.monotonic()
    with SourceFile(song.path, pick=settings.channels) as source:
        plan = Plan(song, board, voicing, settings, source)
        plan.check(policy)
        with told_of(naming.display(song.path), "readable", "check the disk"):
            origin = plan.origin(sha256_of(song.path))
        if (kept := plan.kept(origin, policy)) is not None:
            return kept
        begin(source.frames, source.sample_rate)
        with told_of(naming.display(plan.folder)), Staging() as staging:
            take = Take(plan, staging, origin.source_sha256)
            take.run(source, board, advance)
            source.check_unchanged()
            superseded, kept_names = plan.former(origin, policy)
            report = _report(plan, take, source, kept_names, time.monotonic() - started)
            plan.write_sidecars(staging, report, origin)
            for path in superseded:
                staging.remove(path)
            staging.commit()
        return report


def _report(plan: Plan, take: Take, source: SourceFile, earlier_kept: list[str], seconds: float) -> Report:
    """What there is to say of a finished song."""
    return Report(
        source=naming.display(plan.song.path),
        status="rendered",
        folder=naming.display(plan.folder),
        model=plan.voicing.model,
        model_sha256=plan.voicing.model_sha256,
        preset=plan.voicing.preset,
        settings=plan.settings.as_dict(),
        sample_rate=plan.sample_rate,
        channels=plan.channels,
        frames=plan.frames,
        source_sample_rate=source.sample_rate,
        source_frames=source.frames,
        silenced_samples=source.mended,
        common_gain_db=round(decibels(take.gain) or 0.0, 6),
        null_residual_dbfs=null_dbfs(take.residual) if plan.null_reason is None else None,
        null_reason=plan.null_reason,
        stems={name: take.tracks[name].report(plan.beside(path)) for name, path in plan.targets.items()},
        not_carried=list(take.not_carried),
        earlier_kept=earlier_kept,
        seconds=round(seconds, 3),
        real_time_factor=round(seconds * source.sample_rate / source.frames, 4) if source.frames else None,
        peak_memory_bytes=peak_memory_bytes(),
        versions=versions(),
    )
