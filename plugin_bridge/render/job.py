"""Many songs: what `plugin-bridge render` and `plugin_bridge.render(...)` do."""

import traceback
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from plugin_bridge.board.automation import Automation
from plugin_bridge.board.preset import Preset
from plugin_bridge.errors import PluginBridgeError
from plugin_bridge.render import arguments, desk, naming
from plugin_bridge.render.arguments import AnyPath
from plugin_bridge.render.blocks import Board
from plugin_bridge.render.inputs import find_songs
from plugin_bridge.render.observer import Observer, Silent
from plugin_bridge.render.pipeline import render_song
from plugin_bridge.render.plan import Policy, Song, Voicing, identity
from plugin_bridge.render.report import Report
from plugin_bridge.render.settings import Device, Format, Settings, Subtype
from plugin_bridge.render.staging import remove_leftovers, told_of
from plugin_bridge.render.workers import Render, render_in_processes


def render(
    inputs: AnyPath | Iterable[AnyPath],
    output: AnyPath = "stems",
    *,
    model: str | None = None,
    preset: str | Preset | None = None,
    automation: AnyPath | Automation | None = None,
    automation_start: float = 0.0,
    stems: str | Iterable[str] | None = None,
    mix: bool = False,
    format: Format = "wav",
    subtype: Subtype | None = None,
    sample_rate: int | Literal["source"] = "source",
    name: str = naming.DEFAULT_TEMPLATE,
    channels: Iterable[int] = (),
    resume: bool = False,
    force: bool = False,
    jobs: int = 1,
    device: Device = "auto",
    shifts: int | None = None,
    observer: Observer | None = None,
) -> list[Report]:
    """Separate sound files and folders of them into one file per stem, and report on each song.

    Every stem has the source's rate and exactly its length, unless `sample_rate` says otherwise. float32
    WAV is never clipped or scaled; where PCM would clip, all stems get one common gain. `name` places the
    files below `output` with the fields {song} {stem} {ext} {folder} {model} {preset} {rate} {bits};
    `{folder}` is the song's folder below the folder given. `channels` picks one or two channels, counted
    from 1. `stems` None writes all, "vocals,drums" or a list only these; `mix` adds the sum of all through
    the master as `mix`.

    A file that cannot be rendered gives a report with `status` "failed" and one sentence in `error`; the
    others go on. Nothing is overwritten unless `force` redoes everything or `resume` keeps what is right
    and redoes the rest. `jobs` > 1 renders in spawned processes: call it under
    `if __name__ == "__main__":` then.

    `shifts` above 1 averages an offline network's stems over that many random delays of the song, always the
    same ones: a little better, that many times slower. None is what the model's card says.

    `preset` is a preset's name, its file, or a `Preset`. `automation` is a session's recording, or an
    `Automation`: the same moves are made on every song, and what is not given of model and preset is as
    it was recorded. It starts `automation_start` seconds into a song; what lies before the song is in force
    from its first frame on.

    Raises `ValueError` or `TypeError` for settings that cannot be, `ModelError`, `PresetError` and
    `DeviceError` for names that are unknown or do not fit, `AudioFileError` when `output` cannot be a folder.
    """
    for switch, value in (("mix", mix), ("resume", resume), ("force", force)):
        arguments.check_switch(switch, value)
    moves, start = _automation(automation), arguments.seconds("automation_start", automation_start)
    settings = Settings(
        stems=arguments.names("stems", stems),
        mix=mix,
        format=format,
        subtype=subtype,
        sample_rate=arguments.rate(sample_rate),
        name=name,
        channels=arguments.numbers("channels", channels),
        automation=None if moves is None else moves.sha256,
        automation_start=start,
        shifts=None if shifts is None else arguments.count("shifts", shifts),
    )
    jobs = arguments.count("jobs", jobs)
    recipe = desk.Recipe(model, preset, device, settings.shifts, moves, start)
    work = _Work(recipe, settings, Policy(resume, force))
    places = arguments.paths("inputs", inputs)
    return work.render(places, arguments.path("output", output), jobs, observer or Silent())


def _automation(given: AnyPath | Automation | None) -> Automation | None:
    if given is None or isinstance(given, Automation):
        return given
    automation = Automation.load(arguments.path("automation", given))
    if automation.warning:
        warnings.warn(automation.warning, stacklevel=3)
    return automation


@dataclass(frozen=True)
class _Work:
    """All that the songs of a job share; picklable, so that each process can prepare itself."""

    recipe: desk.Recipe
    settings: Settings
    policy: Policy

    def __call__(self) -> Render:
        """Build the board, once for a process, and return what renders one song through it."""
        return _Renderer(self, *desk.build(self.recipe))

    def render(self, inputs: list[Path], output: Path, jobs: int, observer: Observer) -> list[Report]:
        """Check everything that can be checked, then render; reports in the order of the inputs."""
        board, voicing = desk.build(self.recipe)
        self.settings.check_stems(board.sources)
        with told_of(
            naming.display(output),
            "a folder that can be made",
            "choose another output; several inputs go into one list",
        ):
            _check_folder(output)
        remove_leftovers(output, self.settings.name)
        found = find_songs(inputs, output, self.settings.name)
        songs = [place.song for place in found if place.song is not None]
        if len(songs) > 1 and naming.needs_song(self.settings.name):
            raise ValueError(
                f"name must hold {{song}} for {len(songs)} songs, got '{self.settings.name}'; "
                "they would overwrite each other"
            )
        sources = frozenset(its for song in songs if (its := identity(song.path)) is not None)
        work = replace(self, policy=replace(self.policy, sources=sources))
        renderer = _Renderer(work, board, voicing)
        rendered = dict(zip(songs, work._all(songs, renderer, jobs, observer), strict=True))
        reports = []
        for place in found:
            if place.song is None:
                report = Report(source=naming.display(place.path), status="failed", error=place.error)
                observer.end(place.path, report)
            else:
                report = rendered[place.song]
            reports.append(report)
        return reports

    def _all(self, songs: list[Song], renderer: "_Renderer", jobs: int, observer: Observer) -> list[Report]:
        if jobs > 1 and len(songs) > 1:
            clean = partial(remove_leftovers, songs[0].output, self.settings.name)
            return render_in_processes(songs, self, jobs, observer, clean)
        reports = []
        for song in songs:
            reports.append(renderer(song, observer))
            observer.end(song.path, reports[-1])
        return reports


@dataclass(frozen=True)
class _Renderer:
    """Renders one song after the other through one board."""

    work: _Work
    board: Board
    voicing: Voicing

    def __call__(self, song: Song, observer: Observer) -> Report:
        try:
            return render_song(
                song,
                self.board,
                self.voicing,
                self.work.settings,
                self.work.policy,
                begin=lambda frames, sample_rate: observer.begin(song.path, frames, sample_rate),
                advance=lambda frames: observer.advance(song.path, frames),
            )
        except PluginBridgeError as error:
            return Report(source=naming.display(song.path), status="failed", error=naming.display(str(error)))
        except (RuntimeError, ValueError, MemoryError) as error:
            # A fault of ours or of a model, not of the file: the other songs must not pay for it.
            return Report(
                source=naming.display(song.path),
                status="failed",
                error=f"{naming.display(song.path)} must be separable, got {type(error).__name__}: {error}",
                details=traceback.format_exc(),
            )


def _check_folder(output: Path) -> None:
    """Raise `OSError` when the output cannot be a folder; makes none yet."""
    existing = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(20, "a file of that name is in the way")
