"""Ideal masks: shares that sum to one, stems that sum to the mix, ceilings in the right order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from plugin_bridge.training.evaluation_forms import oracle, transferred
from plugin_bridge.training.evaluation_songs import HeardSong
from plugin_bridge.training.oracle import KINDS, MaskKind, ideal_masks, masked
from plugin_bridge.training.scores import global_sdr
from tests.evaluation_songs import RATE, noise


def song(name: str = "a", seed: int = 0, frames: int = 9000) -> HeardSong:
    """Two tones that fade in and out against each other, with a little noise."""
    t = np.arange(frames) / RATE
    tones = np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 1500 * t)])
    stems = (0.3 * tones[:, None] + 0.1 * noise(2, 2, frames, seed=seed)).astype(np.float32)
    return HeardSong(name, ("vocals", "other"), RATE, stems)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_stems_sum_to_the_mix(kind: MaskKind) -> None:
    whole = song()
    masks = ideal_masks(whole.stems, kind)
    assert_allclose(masks.sum(axis=0), 1, atol=1e-5)
    assert_allclose(masked(whole.mix, masks).sum(axis=0), whole.mix, atol=1e-5)


def test_masks_by_hand() -> None:
    whole = song()
    stems = np.stack([2 * whole.stems[0], whole.stems[0]])
    assert_allclose(ideal_masks(stems, "ratio")[0], 2 / 3, atol=1e-3)
    assert_allclose(ideal_masks(stems, "wiener")[0], 4 / 5, atol=1e-3)
    assert ideal_masks(stems, "binary")[0].min() == 1
    assert_allclose(ideal_masks(0 * stems, "binary"), 1 / 2)


def test_oracles_are_ceilings() -> None:
    whole = song()
    share = global_sdr(whole.stems, np.repeat(whole.mix[None] / 2, 2, axis=0)).min()
    for kind in KINDS:
        assert global_sdr(whole.stems, oracle(kind).estimate(whole)).min() > share + 5


def test_masks_of_another_song_are_cut_and_repeated() -> None:
    short, long = song("short", 1, 5000), song("long", 2)
    form = transferred("wiener", [lambda: short, lambda: long], ["long", "short"])
    for whole in (long, short):
        estimates = form.estimate(whole)
        assert estimates.shape == whole.stems.shape
        assert_allclose(estimates.sum(axis=0), whole.mix, atol=1e-5)


def test_another_kind_of_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="wiener, binary, ratio, got 'soft'"):
        ideal_masks(song().stems, "soft")  # type: ignore[arg-type]
