"""Batches: a pure function of seed, rank and step; streams that continue; changes that are what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.augmentation import NOTHING, Augmentation, augment
from plugin_bridge.training.augmentation_effects import drawn_effects
from plugin_bridge.training.cache import CachedSong
from plugin_bridge.training.remix import FADE, Batches, Sampling
from plugin_bridge.training.remix_prefetch import Prefetch

RATE = 1000
SOURCES = ("vocals", "other")


def ramp_song(number: int, frames: int = 4000, silent_from: int | None = None) -> CachedSong:
    """A song whose samples say where they come from: the frame, plus ten thousand for each song."""
    samples = np.tile(np.arange(frames) + 1, (2, 2, 1)) + 5000 * number
    samples[1] *= -1
    if silent_from is not None:
        samples[0, :, silent_from:] = 0
    sound = np.sqrt((samples.astype(np.float64) ** 2).reshape(2, 2, -1, RATE).mean((1, 3)))
    return CachedSong(
        f"song {number}",
        SOURCES,
        RATE,
        samples.astype(np.int16),
        np.ones(2, np.float32),
        sound.astype(np.float32),
    )


SONGS = [ramp_song(number) for number in range(5)]
PLAIN = Sampling(frames=300, batch=3, remix=0.0, silent=1.0, augmentation=NOTHING)
FULL = Sampling(
    frames=300, batch=3, remix=0.5, augmentation=Augmentation(effects=0.5, shift_seconds=0.2), consecutive=3
)


def test_a_batch_depends_on_seed_rank_and_step_alone() -> None:
    batches = Batches(SONGS, FULL, seed=7)
    later = Batches(SONGS, FULL, seed=7)
    for step in (5, 0, 17, 5):
        np.testing.assert_array_equal(batches.batch(step).stems, later.batch(step).stems)
    for other in (Batches(SONGS, FULL, seed=8), Batches(SONGS, FULL, seed=7, rank=1)):
        assert not np.array_equal(batches.batch(5).stems, other.batch(5).stems)
    assert not np.array_equal(batches.batch(5).stems, batches.batch(8).stems)


def test_shapes_and_the_mix() -> None:
    batch = Batches(SONGS, FULL, seed=1).batch(0)
    assert batch.stems.shape == (3, 2, 2, 300)
    assert batch.stems.dtype == np.float32
    np.testing.assert_array_equal(batch.mix, batch.stems.sum(1))


def test_without_remix_the_stems_are_of_one_place() -> None:
    stems = Batches(SONGS, PLAIN, seed=1).batch(0).stems
    np.testing.assert_array_equal(stems[:, 0], -stems[:, 1])
    steps = np.diff(stems[:, 0, 0])
    np.testing.assert_array_equal(steps, np.ones_like(steps))


def test_with_remix_the_stems_are_of_different_songs() -> None:
    batches = Batches(SONGS, replace(PLAIN, remix=1.0), seed=1)
    songs = np.concatenate([np.abs(batches.batch(step).stems[:, :, 0, 0]) // 5000 for step in range(20)])
    assert np.mean(songs[:, 0] != songs[:, 1]) > 0.6
    assert set(songs.ravel().astype(int)) == set(range(5))


def test_a_shift_moves_stems_against_each_other() -> None:
    shifted = replace(PLAIN, augmentation=replace(NOTHING, shift_seconds=0.1))
    stems = Batches(SONGS, shifted, seed=1).batch(0).stems
    apart = stems[:, 0, 0, 0] + stems[:, 1, 0, 0]
    assert apart.any()
    assert np.abs(apart).max() <= 200


def test_consecutive_batches_continue_one_stream() -> None:
    batches = Batches(SONGS, replace(PLAIN, consecutive=4), seed=3)
    parts = [batches.batch(step) for step in range(8)]
    assert [part.fresh.tolist() for part in parts] == [[step % 4 == 0] * 3 for step in range(8)]
    for run in (parts[:4], parts[4:]):
        joined = np.concatenate([part.stems for part in run], axis=-1)
        np.testing.assert_array_equal(np.diff(joined[:, 0, 0]), np.ones((3, 1199)))


def test_a_stream_longer_than_its_songs_goes_on_with_others() -> None:
    long = replace(PLAIN, frames=2500, consecutive=4)
    stems = np.concatenate([Batches(SONGS, long, seed=3).batch(step).stems for step in range(4)], axis=-1)
    heard = stems[:, 0, 0]
    assert stems.shape[-1] == 10000
    jumps = np.abs(np.diff(heard))
    assert np.count_nonzero(heard == 0) <= 3 * 2 * 4  # only where one fades into the next
    assert jumps.max() < 25000 / FADE * 2


def test_silence_is_avoided_where_it_can_be() -> None:
    half_silent = [ramp_song(number, silent_from=2000) for number in range(3)]
    sampling = replace(PLAIN, remix=1.0, silent=0.0)
    heard = [Batches(half_silent, sampling, seed=2).batch(step).stems[:, 0].any((1, 2)) for step in range(30)]
    assert np.mean(heard) > 0.97
    anything = replace(sampling, silent=1.0)
    heard = [Batches(half_silent, anything, seed=2).batch(step).stems[:, 0].any((1, 2)) for step in range(30)]
    assert 0.3 < np.mean(heard) < 0.8


@pytest.mark.parametrize("first", [0, 4, 6])
def test_prefetching_gives_the_same_batches(first: int) -> None:
    batches = Batches(SONGS, FULL, seed=5)
    with Prefetch(batches, first_step=first, workers=2) as prefetch:
        for step, batch in islice(prefetch, 7):
            np.testing.assert_array_equal(batch.stems, batches.batch(step).stems)
            np.testing.assert_array_equal(batch.fresh, batches.batch(step).fresh)
    assert prefetch.waited_seconds >= 0


class Failing(Batches):
    """Batches whose third run cannot be read."""

    def run(self, number: int) -> Stems:
        if number == 2:
            raise OSError("the disk is gone")
        return super().run(number)


def test_a_fault_in_a_worker_reaches_the_loop() -> None:
    with Prefetch(Failing(SONGS, PLAIN, seed=5), workers=2) as prefetch:
        steps = iter(prefetch)
        assert [next(steps)[0], next(steps)[0]] == [0, 1]
        with pytest.raises(OSError, match="the disk is gone"):
            next(steps)


def test_gain_swap_and_polarity() -> None:
    stems = np.stack([np.full((2, 10), 0.5, np.float32)] * 200)
    stems[:, 1] *= 0.5
    before = stems.copy()
    augment(stems, Augmentation((-6, 6), swap=0.5, polarity=0.5), np.random.default_rng(1), RATE)
    gains_db = 20 * np.log10(np.abs(stems).max((1, 2)) / 0.5)
    assert gains_db.min() > -6.01
    assert gains_db.max() < 6.01
    assert gains_db.std() > 2
    swapped = np.abs(stems[:, 0, 0]) < np.abs(stems[:, 1, 0])
    turned = stems[:, 0, 0] < 0
    assert 60 < swapped.sum() < 140
    assert 60 < turned.sum() < 140
    assert 20 < (swapped & turned).sum() < 80  # drawn apart from each other
    augment(before, NOTHING, np.random.default_rng(1), RATE)
    np.testing.assert_array_equal(np.abs(before[:, 0]), 0.5)


def test_nothing_changes_nothing() -> None:
    stems = np.random.default_rng(1).standard_normal((4, 2, 100)).astype(np.float32)
    before = stems.copy()
    augment(stems, NOTHING, np.random.default_rng(2), RATE)
    np.testing.assert_array_equal(stems, before)


def test_effects_are_the_same_for_the_same_draw_and_keep_the_length() -> None:
    rng = np.random.default_rng(1)
    stems = (rng.standard_normal((3, 2, 44100)) * 0.1).astype(np.float32)
    stems[2] = 0
    results = []
    for _ in range(2):
        changed = stems.copy()
        augment(changed, replace(NOTHING, effects=1.0), np.random.default_rng(9), 44100)
        results.append(changed)
    np.testing.assert_array_equal(results[0], results[1])
    assert np.isfinite(results[0]).all()
    assert not np.array_equal(results[0][0], stems[0])
    assert not results[0][2].any()
    level_db = 20 * np.log10(results[0][:2].std() / stems[:2].std())
    assert abs(level_db) < 15
    assert drawn_effects(0.0, np.random.default_rng(1)) == []


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: Augmentation(swap=2), r"chance 'swap' must be in 0\.\.1, got 2"),
        (lambda: Augmentation(gain_db=(3, -3)), "low to high"),
        (lambda: Augmentation(shift_seconds=-1), "must not be negative"),
        (lambda: Sampling(frames=0, batch=1), "'frames' must be 1 or more, got 0"),
        (lambda: Sampling(frames=1, batch=1, remix=-1), r"chance 'remix' must be in 0\.\.1"),
        (lambda: Batches([], PLAIN, seed=1), "needs songs, got none"),
        (lambda: Batches([SONGS[0], replace(SONGS[1], sample_rate=5)], PLAIN, seed=1), "must agree"),
        (lambda: Prefetch(Batches(SONGS, PLAIN, seed=1), workers=0), "needs one worker"),
    ],
)
def test_misuse_is_one_sentence(build: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build()  # type: ignore[operator]


def test_every_second_is_drawn_equally_often() -> None:
    songs = [ramp_song(0, 8000), ramp_song(2, 2000)]
    batches = Batches(songs, replace(PLAIN, batch=1, frames=10), seed=4)
    heard = [abs(batches.batch(step).stems[0, 0, 0, 0]) for step in range(300)]
    assert 0.7 < np.mean([amplitude < 9000 for amplitude in heard]) < 0.9
