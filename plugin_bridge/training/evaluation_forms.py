"""What can be scored on a song: stems of a separator, raw output of a network, shares of the mix, oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from plugin_bridge.errors import ModelError
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import (
    Audio,
    EstimatingSeparator,
    Separator,
    Stems,
    StreamingSeparator,
)
from plugin_bridge.separation.stream import run_through
from plugin_bridge.training.evaluation_songs import HeardSong
from plugin_bridge.training.oracle import MaskKind, ideal_masks, masked

Estimate = Callable[[HeardSong], Stems]
"""Stems of a song in the order of its sources. Shape: `(sources, channels, frames)`."""

CONSISTENT, RAW = "mix-consistent stems", "raw network output"


@dataclass(frozen=True)
class Form:
    """One way of estimating stems, and what the tables call it."""

    what: str
    estimate: Estimate


def mix_shares(sources: int) -> Form:
    """A share of the mix for every source: what doing nothing scores."""
    return Form(
        f"mix/{sources}", lambda song: np.repeat(song.mix[None] / len(song.stems), len(song.stems), 0)
    )


def oracle(kind: MaskKind) -> Form:
    """The ideal mask of each song on itself."""
    return Form(f"ideal {kind} mask", lambda song: masked(song.mix, ideal_masks(song.stems, kind)))


def transferred(kind: MaskKind, donors: Sequence[Callable[[], HeardSong]], names: Sequence[str]) -> Form:
    """Paper 001's trial: each song through the ideal masks of another one, the next of the donors.

    `names` are those of the songs in the order in which donors are taken.
    """
    places = {name: place for place, name in enumerate(names)}

    def estimate(song: HeardSong) -> Stems:
        donor = donors[places[song.name] % len(donors)]()
        masks = ideal_masks(donor.stems, kind)
        channels = song.stems.shape[1]
        if masks.shape[1] != channels:
            masks = np.repeat(masks.mean(axis=1, keepdims=True), channels, axis=1)
        return masked(song.mix, masks)

    return Form(f"{kind} mask of another song", estimate)


@dataclass(frozen=True)
class Grouping:
    """Which stems of a model make up which source of the data; several are summed."""

    parts: Mapping[str, tuple[int, ...]]

    def __call__(self, stems: Stems) -> Stems:
        return np.stack([stems[list(parts)].sum(axis=0) for parts in self.parts.values()])


def grouping(model: Sequence[str], renamed: Mapping[str, str], pair: bool) -> Grouping:
    """How the sources of a model are scored: under their own names, or those of `renamed`.

    With `pair`, everything but the vocals is the accompaniment. Raises `ModelError` for names that the model
    does not have, or a pair without vocals.
    """
    for name in renamed:
        if name not in model:
            raise ModelError(f"a source to rename must be one of {', '.join(model)}, got '{name}'")
    parts: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(model):
        target = renamed.get(name, name)
        if pair and target != "vocals":
            target = "accompaniment"
        parts[target] = (*parts.get(target, ()), place)
    if pair and set(parts) != {"vocals", "accompaniment"}:
        raise ModelError(
            f"a model must give vocals and something else to be scored so, got {', '.join(model)}; say which "
            "of them is the voice with --as SOURCE=vocals"
        )
    if pair:
        parts = {name: parts[name] for name in ("vocals", "accompaniment")}
    return Grouping(parts)


def separated(separator: Separator, group: Grouping) -> Form:
    """The stems of a separator: of a streaming one from one stream over the whole song, latency taken out."""

    def estimate(song: HeardSong) -> Stems:
        ready = at_rate(separator, song.sample_rate)
        return group(_over_channels(lambda mix: _through(ready, mix), song.mix, separator.channels))

    return Form(CONSISTENT, estimate)


def raw_output(separator: EstimatingSeparator, group: Grouping) -> Form:
    """What the network itself gives, before the stems are made to sum to the mix.

    Windows, overlaps and offsets are as in the separator; a causal network runs as one stream over the song.
    At another rate than the network's both ways go through soxr's best filter.
    """

    def at_its_rate(mix: Audio, rate: int) -> Stems:
        own = separator.sample_rate
        if own == rate:
            return separator.raw_estimates(mix)
        stems = separator.raw_estimates(_resampled(mix, rate, own))
        back = np.stack([_resampled(stem, own, rate) for stem in stems])
        lack = max(0, mix.shape[-1] - back.shape[-1])
        return np.pad(back, ((0, 0), (0, 0), (0, lack)))[..., : mix.shape[-1]]

    def estimate(song: HeardSong) -> Stems:
        return group(
            _over_channels(lambda mix: at_its_rate(mix, song.sample_rate), song.mix, separator.channels)
        )

    return Form(RAW, estimate)


def _through(separator: Separator, mix: Audio) -> Stems:
    if isinstance(separator, StreamingSeparator):
        return run_through(separator.stream(), mix, separator.channels, len(separator.sources))
    return separator.separate(mix)


def _over_channels(separate: Callable[[Audio], Stems], mix: Audio, channels: int) -> Stems:
    """A mix of any channels: mono is doubled for a wider model, a mono model hears each channel by itself."""
    if len(mix) == channels:
        return separate(mix)
    if len(mix) == 1:
        doubled = separate(np.repeat(mix, channels, axis=0))
        return np.asarray(doubled.mean(axis=1, keepdims=True))
    if channels == 1:
        return np.concatenate([separate(mix[at : at + 1]) for at in range(len(mix))], axis=1)
    raise ModelError(f"a model of {channels} channels must be given 1 or {channels}, got {len(mix)}")


def fitted(song: HeardSong, separator: Separator) -> Audio:
    """A song's mix at a separator's rate and channels. Shape: `(channels, frames)`."""
    mix = song.mix if len(song.mix) == separator.channels else song.mix.mean(axis=0, keepdims=True)
    mix = np.repeat(mix, separator.channels // len(mix), axis=0)
    rate = separator.sample_rate
    return mix if rate == song.sample_rate else _resampled(mix, song.sample_rate, rate)


def _resampled(audio: Audio, rate: int, wanted: int) -> Audio:
    return np.ascontiguousarray(soxr.resample(audio.T, rate, wanted, quality="VHQ").T, np.float32)
