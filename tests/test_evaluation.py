"""Scores: exact where they are known, and those of museval and mir_eval where these are right."""

from __future__ import annotations

import warnings

import mir_eval
import museval
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from plugin_bridge.training.scores import (
    LIMIT_DB,
    SongReferences,
    decibels,
    global_sdr,
    paper001_ratios,
    si_sdr,
)
from plugin_bridge.training.scores_summary import ALL, summarised
from tests.evaluation_songs import RATE, noise

FRAMES = 2 * RATE


def stems(sources: int = 2, channels: int = 1, frames: int = FRAMES) -> NDArray[np.float32]:
    return noise(sources, channels, frames)


def mixed(references: NDArray[np.float32], leak: float = 0.3) -> NDArray[np.float32]:
    """Estimates with something of the other stems, a short echo and noise."""
    echo = np.roll(references, 5, axis=-1) * 0.2
    return (references + leak * references[::-1] + echo + noise(*references.shape, seed=7) / 5).astype(
        np.float32
    )


def museval_of(
    references: NDArray[np.float32], estimates: NDArray[np.float32], window: int
) -> list[NDArray[np.float64]]:
    """SDR, ISR, SIR and SAR by frames, `(sources, frames)` each."""
    both = [audio.transpose(0, 2, 1).astype(np.float64) for audio in (references, estimates)]
    found: list[NDArray[np.float64]] = list(museval.evaluate(*both, win=window, hop=window))
    return found


@pytest.mark.parametrize("channels", [1, 2])
def test_one_frame_scores_as_museval(channels: int) -> None:
    references = stems(2, channels, 6000)
    estimates = mixed(references)
    ours, frames = SongReferences(references, 6000).framewise(estimates)
    theirs = museval_of(references, estimates, 6000)
    assert frames.tolist() == [1, 1]
    # museval counts the filters' ringing behind the last frame as well: 511 frames of 6000.
    for name, values, room in zip(("sdr", "isr", "sir", "sar"), theirs, (1e-6, 0.1, 0.1, 0.3), strict=True):
        assert_allclose(ours[name], values[:, 0], atol=room)


def test_frames_score_as_museval_where_no_band_is_empty() -> None:
    references = stems(2, 1, 3 * RATE)
    estimates = mixed(references)
    ours, _ = SongReferences(references, RATE).framewise(estimates)
    theirs = museval_of(references, estimates, RATE)
    for name, values, room in zip(("sdr", "isr", "sir", "sar"), theirs, (1e-6, 0.1, 0.1, 0.3), strict=True):
        assert_allclose(ours[name], np.median(values, axis=1), atol=room)


def test_empty_bands_do_not_spoil_the_ratios() -> None:
    """Band-limited stems, as any lossy coder leaves them: a fifth of a leak is 14 dB of SIR."""
    spectra = np.fft.rfft(stems(2, 1, 3 * RATE))
    spectra[..., spectra.shape[-1] // 2 :] = 0
    references = np.fft.irfft(spectra).astype(np.float32)
    estimates = references + 0.2 * references[::-1]
    ours, _ = SongReferences(references, RATE).framewise(estimates)
    assert_allclose(ours["sir"], decibels(1.0, 0.04), atol=0.3)
    assert ours["sar"].min() > 40


def test_whole_signals_score_as_mir_eval() -> None:
    references = stems(2, 1, 6000)
    estimates = mixed(references)
    ours = SongReferences(references, RATE).whole(estimates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # mir_eval announces that this module will leave it
        theirs = mir_eval.separation.bss_eval_sources(
            references[:, 0].astype(np.float64), estimates[:, 0].astype(np.float64), compute_permutation=False
        )
    for name, values in zip(("sdr", "sir", "sar"), theirs, strict=False):
        assert_allclose(ours[name], values, atol=1e-5)


def test_a_perfect_estimate_has_no_error() -> None:
    references = stems()
    framewise, _ = SongReferences(references, RATE).framewise(references)
    assert framewise["sdr"].tolist() == [LIMIT_DB, LIMIT_DB]
    assert framewise["sir"].min() > 80
    assert global_sdr(references, references).tolist() == [LIMIT_DB, LIMIT_DB]
    assert si_sdr(references, references).min() > 100


def test_a_scaled_estimate_loses_sdr_and_nothing_else() -> None:
    references = stems()
    estimates = 0.5 * references
    framewise, _ = SongReferences(references, RATE).framewise(estimates)
    assert_allclose(framewise["sdr"], decibels(1.0, 0.25), atol=1e-4)
    assert_allclose(framewise["isr"], decibels(1.0, 0.25), atol=1e-4)
    assert framewise["sir"].min() > 80
    assert_allclose(global_sdr(references, estimates), decibels(1.0, 0.25), atol=1e-4)
    assert si_sdr(references, estimates).min() > 100


def test_permuted_estimates_score_nothing() -> None:
    references = stems()
    framewise, _ = SongReferences(references, RATE).framewise(references[::-1])
    assert_allclose(framewise["sdr"], -3.01, atol=0.3)
    assert framewise["sir"].max() < -8
    assert si_sdr(references, references[::-1]).max() < -20


def test_silent_frames_are_left_out_as_by_museval() -> None:
    references = stems(2, 1, 3 * RATE)
    references[0, :, :RATE] = 0
    estimates = mixed(references)
    ours, frames = SongReferences(references, RATE).framewise(estimates)
    theirs = museval_of(references, estimates, RATE)[0]
    assert np.isnan(theirs[:, 0]).all()
    assert frames.tolist() == [2, 2]
    assert_allclose(ours["sdr"], np.nanmedian(theirs, axis=1), atol=1e-6)


def test_a_silent_stem_has_no_score_and_does_not_hide_the_others() -> None:
    references = stems(3)
    references[1] = 0
    ours, frames = SongReferences(references, RATE).framewise(mixed(references))
    assert np.isnan(ours["sdr"]).tolist() == [False, True, False]
    assert frames.tolist() == [2, 0, 2]
    assert np.isnan(global_sdr(references, references)).tolist() == [False, True, False]
    assert np.isnan(paper001_ratios(references, references)["sir"]).tolist() == [False, True, False]
    nothing, none = SongReferences(0 * references, RATE).framewise(references)
    assert np.isnan(nothing["sdr"]).all()
    assert not none.any()


def test_a_silent_estimate_is_scored_as_what_it_is() -> None:
    references = stems()
    ours, frames = SongReferences(references, RATE).framewise(0 * references)
    assert_allclose(ours["sdr"], 0, atol=1e-9)
    assert np.isnan(ours["sir"]).all()
    assert frames.tolist() == [2, 2]
    assert np.isnan(si_sdr(references, 0 * references)).all()


def test_the_ratios_of_paper001_by_hand() -> None:
    """Orthogonal tones of one energy: gains are projections, and energies are squares of gains."""
    t = np.arange(RATE) / RATE
    tones = np.sin(2 * np.pi * np.array([[100], [200], [300]]) * t).astype(np.float32)
    references = tones[:2, None]
    estimates = np.stack([0.8 * tones[0] + 0.1 * tones[1] + 0.2 * tones[2], tones[1]])[:, None]
    ours = paper001_ratios(references, estimates)
    assert_allclose(ours["sdr"][0], decibels(1.0, 0.2**2 + 0.1**2 + 0.2**2), atol=1e-3)
    assert_allclose(ours["sir"][0], decibels(0.8**2, 0.1**2), atol=1e-3)
    assert_allclose(ours["sar"][0], decibels(0.8**2, 0.1**2 + 0.2**2), atol=1e-3)


def test_two_channels_have_no_bsseval_3() -> None:
    with pytest.raises(ValueError, match="one channel, got 2"):
        SongReferences(stems(2, 2), RATE).whole(stems(2, 2))


def test_statistics_by_hand() -> None:
    songs = [
        {"vocals": {"sdr": 1.0}, "drums": {"sdr": 3.0}},
        {"vocals": {"sdr": 4.0}, "drums": {"sdr": None}},
    ]
    made = summarised(songs, [1.0, 3.0])
    vocals, drums, both = (made[name]["sdr"] for name in ("vocals", "drums", ALL))
    assert (vocals.median, vocals.mean, vocals.deviation, vocals.weighted) == (2.5, 2.5, 1.5, 3.25)
    assert (drums.mean, drums.songs, drums.left_out) == (3.0, 1, 1)
    assert (both.median, both.weighted, both.left_out) == (2.75, 3.125, 1)
    assert both.deviation == pytest.approx(np.std([1.0, 4.0, 3.0]), abs=1e-6)
