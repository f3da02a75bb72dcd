"""Score a model on songs: which protocol, on which forms of its output, with shares of the mix beside.

Protocols: `musdb` (BSSEval 4 in frames of one second, medians; global SDR; SI-SDR), `mir1k` (BSSEval 3 on
mono clips of voice and accompaniment, with the gain over the mix), `paper001` (that paper's own ratios).
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, cast, get_args

import msgspec
import numpy as np
import torch

from plugin_bridge.separation.separator import EstimatingSeparator, Stems
from plugin_bridge.training.datasets import Song
from plugin_bridge.training.evaluation_forms import (
    CONSISTENT,
    Form,
    Grouping,
    grouping,
    mix_shares,
    oracle,
    raw_output,
    separated,
    transferred,
)
from plugin_bridge.training.evaluation_models import Facts, Subject
from plugin_bridge.training.evaluation_songs import HeardSong, heard, songs_in
from plugin_bridge.training.oracle import MaskKind
from plugin_bridge.training.scores import (
    Scores,
    SongReferences,
    global_sdr,
    paper001_ratios,
    si_sdr,
)
from plugin_bridge.training.scores_summary import Statistics, number, summarised

Protocol = Literal["musdb", "mir1k", "paper001"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

_FOUR = ("vocals", "drums", "bass", "other")
_PAIR = ("vocals", "accompaniment")


class SongRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scores of one song, by source and name: dB or None; `frames` counts those that a source has."""

    name: str
    seconds: float
    scores: dict[str, dict[str, float | None]]
    frames: dict[str, int] = {}


class FormResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one form of output scores: over all songs, and song by song."""

    what: str
    summary: dict[str, dict[str, Statistics]]
    songs: list[SongRow]


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All results of one model on one set of songs, as they are kept in a file.

    `renamed` says as which stems sources of the model were scored, where not under their own names; `rows`
    are those of the papers' tables that they fill, `recipe` is the digest of the one trained from.
    """

    model: Facts
    protocol: str
    data: str
    sources: list[str]
    sample_rates: list[int]
    channels: int
    machine: str
    forms: list[FormResult]
    renamed: dict[str, str] = {}
    rows: list[str] = []
    budget: str | None = None
    trained_on: str | None = None
    recipe: str | None = None

    def form(self, what: str) -> FormResult | None:
        """The results of a form of output by its name, None where it was not scored."""
        return next((form for form in self.forms if form.what == what), None)

    @property
    def main(self) -> FormResult:
        """The mix-consistent stems, or of an oracle its estimates."""
        return self.form(CONSISTENT) or self.forms[-1]

    @property
    def baseline(self) -> FormResult:
        """What shares of the mix score."""
        return self.forms[0]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to score a subject on, and what the results should say of its training."""

    data: Path
    protocol: Protocol = "musdb"
    raw: bool = False
    renamed: dict[str, str] = {}
    limit: int | None = None
    masks_from: Path | None = None
    rows: list[str] = []
    budget: str | None = None
    trained_on: str | None = None
    recipe: str | None = None


def evaluate(
    subject: Subject, request: Request, note: Callable[[str], None] = lambda line: None
) -> Evaluation:
    """Score a subject on all songs of a folder; `note` is told of each song.

    Raises `ValueError` for a folder without songs, `AudioFileError` for stems that are missing or damaged,
    `ModelError` for a model whose sources are not those of the data.
    """
    pair = request.protocol == "mir1k"
    group, sources = _grouped(subject, request.renamed, pair)
    songs = songs_in(request.data, sources, request.limit)
    forms = [mix_shares(len(sources)), *_forms(subject, group, request, songs)]
    rows: list[list[SongRow]] = [[] for _ in forms]
    rates, channels = set(), 1
    for count, song in enumerate(songs, start=1):
        whole = heard(song, mono=pair)
        scorer = _scorer(request.protocol, whole)
        for form, row in zip(forms, rows, strict=True):
            row.append(scorer(form.estimate(whole)))
        rates.add(whole.sample_rate)
        channels = max(channels, whole.stems.shape[1])
        note(f"{count} of {len(songs)}: {song.name}")
    return Evaluation(
        model=subject.facts,
        protocol=request.protocol,
        data=data_words(request.data, songs),
        sources=list(sources),
        sample_rates=sorted(rates),
        channels=channels,
        machine=machine(),
        forms=[_result(form.what, row) for form, row in zip(forms, rows, strict=True)],
        renamed=request.renamed,
        rows=request.rows,
        budget=request.budget,
        trained_on=request.trained_on,
        recipe=request.recipe,
    )


def _grouped(subject: Subject, renamed: Mapping[str, str], pair: bool) -> tuple[Grouping, Sequence[str]]:
    own = subject.separator.sources if subject.separator else (_PAIR if pair else _FOUR)
    group = grouping(own, renamed, pair)
    return group, tuple(group.parts)


def _forms(subject: Subject, group: Grouping, request: Request, songs: Sequence[Song]) -> Iterator[Form]:
    separator = subject.separator
    if separator is None:
        kind = cast(MaskKind, subject.facts.name.partition("-")[2])
        yield oracle(kind) if subject.facts.name.startswith("oracle-") else _transfer(kind, request, songs)
        return
    if request.raw and not isinstance(separator, EstimatingSeparator):
        raise ValueError(
            f"raw output must be of a network, got {subject.facts.architecture}, whose stems are all it has"
        )
    if isinstance(separator, EstimatingSeparator):
        yield raw_output(separator, group)
    if not request.raw:
        yield separated(separator, group)


def _transfer(kind: MaskKind, request: Request, songs: Sequence[Song]) -> Form:
    """Masks of the songs of another folder in turn, or of the next song of the same one."""
    mono = request.protocol == "mir1k"
    donors = [*songs[1:], songs[0]]
    if request.masks_from is not None:
        donors = songs_in(request.masks_from, songs[0].sources)
    elif len(songs) == 1:
        raise ValueError("masks of another song must have one, got a single song; name a folder of others")
    return transferred(
        kind, [partial(heard, donor, mono=mono) for donor in donors], [song.name for song in songs]
    )


def _scorer(protocol: Protocol, song: HeardSong) -> Callable[[Stems], SongRow]:
    if protocol == "paper001":
        return lambda estimates: _row(song, paper001_ratios(song.stems, estimates))
    references = SongReferences(song.stems, song.sample_rate)
    if protocol == "mir1k":
        return _against_mix(song, references)

    def framewise(estimates: Stems) -> SongRow:
        scores, frames = references.framewise(estimates)
        scores |= {
            "global_sdr": global_sdr(song.stems, estimates),
            "si_sdr": si_sdr(song.stems, estimates),
        }
        return _row(song, scores, frames.tolist())

    return framewise


def _against_mix(song: HeardSong, references: SongReferences) -> Callable[[Stems], SongRow]:
    """BSSEval 3, and NSDR: how much better the SDR is than that of the mix itself (Ozerov et al., 2007)."""
    before = references.whole(np.repeat(song.mix[None], len(song.stems), axis=0))["sdr"]

    def score(estimates: Stems) -> SongRow:
        scores = references.whole(estimates)
        scores["nsdr"] = scores["sdr"] - before
        scores["global_sdr"] = global_sdr(song.stems, estimates)
        scores["si_sdr"] = si_sdr(song.stems, estimates)
        return _row(song, scores)

    return score


def _row(song: HeardSong, scores: Scores, frames: Sequence[int] = ()) -> SongRow:
    return SongRow(
        name=song.name,
        seconds=round(song.seconds, 6),
        scores={
            source: {name: number(float(values[place])) for name, values in scores.items()}
            for place, source in enumerate(song.sources)
        },
        frames=dict(zip(song.sources, frames, strict=True)) if frames else {},
    )


def _result(what: str, rows: list[SongRow]) -> FormResult:
    return FormResult(what, summarised([row.scores for row in rows], [row.seconds for row in rows]), rows)


def data_words(folder: Path, songs: Sequence[Song]) -> str:
    """Which songs these are, without where they lie."""
    home, seconds = folder.resolve(), sum(song.frames / song.sample_rate for song in songs)
    return f"{home.parent.name}/{home.name}: {len(songs)} songs, {seconds / 60:.1f} minutes"


def machine() -> str:
    """This machine in words: processor, cores, accelerator, PyTorch."""
    words = [f"{processor()}, {os.cpu_count()} cores"]
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join([*words, f"PyTorch {torch.__version__}"])


def processor() -> str:
    """The processor's model, as far as the system tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
