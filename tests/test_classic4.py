"""The default separator: its stems, its laws on awkward input, and what it must tell apart."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_bridge.separation.classical.cell_evidence import CellEvidence
from plugin_bridge.separation.classical.classic4 import Classic4
from plugin_bridge.separation.classical.repetition_memory import RepetitionMemory
from plugin_bridge.separation.stream import Reblocked

RATE = 44100
SOURCES = ("vocals", "drums", "bass", "other")

Audio = NDArray[np.float32]


def scene(seed: int, seconds: float = 3.0) -> Audio:
    """A vibrato voice in the centre, clicks, a low tone and panned chords. Shape: `(4, 2, frames)`."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * 330 * time + 6 * np.sin(2 * np.pi * 5.5 * time)
    voice = sum(np.sin(n * pitch) / n for n in range(1, 13)) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * time))
    hits = random.normal(size=time.size) * np.exp(-60 * (time % 0.25)) * (time % 0.25 < 0.14)
    bass = sum(np.sin(2 * np.pi * 55 * n * time) / n**2 for n in (1, 2, 3))
    chord = sum(np.sin(2 * np.pi * f * time) for f in (196.0, 247.0, 294.0, 392.0, 494.0, 587.0))
    pans = ((0.7, 0.7), (0.7, 0.7), (0.7, 0.7), (1.0, 0.1))
    signals = (0.15 * voice, 0.5 * hits, 0.3 * bass, 0.1 * chord)
    panned = [np.outer(pan, signal) for pan, signal in zip(pans, signals, strict=True)]
    return np.stack(panned).astype(np.float32)


def mix_of(seed: int, seconds: float = 1.0) -> Audio:
    mix: Audio = scene(seed, seconds).sum(axis=0)
    return mix


def energy(audio: Audio) -> NDArray[np.float64]:
    """Over channels and frames. Shape: `(..., channels, frames)` to `(...,)`."""
    total: NDArray[np.float64] = (audio.astype(np.float64) ** 2).sum(axis=(-2, -1))
    return total


def assert_sums_to(stems: Audio, mix: Audio) -> None:
    assert np.isfinite(stems).all()
    scale = max(1.0, float(np.abs(mix).max(initial=0)))
    np.testing.assert_allclose(stems.sum(axis=0, dtype=np.float64) / scale, mix / scale, atol=1e-6)


def test_each_stem_holds_most_of_its_own_source(seed: int) -> None:
    truth = scene(seed)
    stems = Classic4().separate(truth.sum(axis=0))
    # Of the energy that each true source has in common with each stem, its own stem has the most.
    common = np.array([[(source * stem).sum(dtype=np.float64) for stem in stems] for source in truth])
    np.testing.assert_array_equal(np.argmax(common / energy(truth)[:, None], axis=1), range(4))


def test_each_stem_is_nearer_to_its_source_than_a_quarter_of_the_mix(seed: int) -> None:
    truth = scene(seed)
    mix = truth.sum(axis=0)
    errors, guess = energy(Classic4().separate(mix) - truth), energy(mix / 4 - truth)
    assert (10 * np.log10(guess / errors) > 3).all()


@pytest.mark.parametrize("source", ["drums", "bass"])
def test_a_source_alone_goes_to_its_own_stem(seed: int, source: str) -> None:
    index = SOURCES.index(source)
    stems = energy(Classic4().separate(scene(seed)[index]))
    assert stems[index] > 0.5 * stems.sum()


def test_the_latency_is_the_window_and_the_lookahead(seed: int) -> None:
    stream = Classic4().stream()
    assert (stream.hop, stream.latency) == (1024, 4096 - 1024 + 2 * 1024)
    assert Classic4(lookahead_frames=1).stream().latency == 4096


@pytest.mark.parametrize("sizes", [(64,), (1000, 3, 5000)])
def test_blocks_of_any_size_give_what_separate_gives(seed: int, sizes: tuple[int, ...]) -> None:
    separator, mix = Classic4(), mix_of(seed, 0.6)
    blocks = Reblocked(separator.stream(), 2, 4)
    padded, parts, at = np.pad(mix, ((0, 0), (0, blocks.latency))), [], 0
    while at < padded.shape[1]:
        size = sizes[len(parts) % len(sizes)]
        parts.append(blocks.process(padded[:, at : at + size]))
        at += size
    streamed = np.concatenate(parts, axis=2)[..., blocks.latency :]
    np.testing.assert_allclose(streamed, separator.separate(mix), atol=1e-5)


@pytest.mark.parametrize("kind", ["mix", "mono", "left only", "right only", "antiphase", "square", "noise"])
def test_stems_of_awkward_mixes_sum_to_the_mix(seed: int, kind: str) -> None:
    mix = mix_of(seed, 0.6)
    if kind == "mono":
        mix[1] = mix[0]
    elif kind == "left only":
        mix[1] = 0
    elif kind == "right only":
        mix[0] = 0
    elif kind == "antiphase":
        mix[1] = -mix[0]
    elif kind == "square":
        mix[:] = np.sign(np.sin(np.arange(mix.shape[1]) / 50 + 0.1))
    elif kind == "noise":
        mix = np.random.default_rng(seed).uniform(-4, 4, mix.shape).astype(np.float32)
    assert_sums_to(Classic4().separate(mix), mix)


def test_equal_channels_give_equal_channels(seed: int) -> None:
    mix = mix_of(seed, 0.6)
    mix[1] = mix[0]
    stems = Classic4().separate(mix)
    np.testing.assert_allclose(stems[:, 0], stems[:, 1], atol=1e-6)


def test_swapped_channels_give_swapped_stems(seed: int) -> None:
    mix = mix_of(seed, 0.6)
    stems, swapped = Classic4().separate(mix), Classic4().separate(np.ascontiguousarray(mix[::-1]))
    np.testing.assert_allclose(swapped[:, ::-1], stems, atol=1e-5)


def test_silence_gives_silence() -> None:
    assert not Classic4().separate(np.zeros((2, 20000), np.float32)).any()


@pytest.mark.parametrize("gain", [2.0**-6, 2.0**6])
def test_the_level_does_not_matter(seed: int, gain: float) -> None:
    mix = mix_of(seed, 0.6)
    louder = Classic4().separate((gain * mix).astype(np.float32)) / gain
    np.testing.assert_allclose(louder, Classic4().separate(mix), atol=1e-3)


def test_separating_twice_gives_the_same(seed: int) -> None:
    separator, mix = Classic4(), mix_of(seed, 0.6)
    np.testing.assert_array_equal(separator.separate(mix), separator.separate(mix))


def test_a_reset_stream_is_a_new_one(seed: int) -> None:
    mix = mix_of(seed, 2.0)
    stream = Classic4().stream()
    blocks = [np.ascontiguousarray(mix[:, at : at + 1024]) for at in range(0, mix.shape[1] - 1024, 1024)]
    first = [stream.process(block) for block in blocks]
    stream.reset()
    again = [stream.process(block) for block in blocks]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"window": 1000}, "window must be an even multiple of hop"),
        ({"lookahead_frames": 0}, "lookahead_frames must be between 1 and 64, got 0"),
        ({"past_seconds": 0.2}, "past_seconds must be between 0.65 and 60, got 0.2"),
        ({"similar_frames": 4}, "similar_frames must be a positive odd number, got 4"),
        ({"similar_frames": 999}, "similar_frames must be between 1 and"),
        ({"habit_seconds": float("nan")}, "habit_seconds must be between 0.01 and 60, got nan"),
        ({"habit": -1.0}, "habit must be between 0 and 4"),
        ({"centred": (1.0, 2.0)}, "centred must have 3 finite numbers, got (1.0, 2.0)"),
        ({"bass_prior": (0.0, 0.0, 0.0, float("inf"))}, "bass_prior must have 4 finite numbers"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Classic4(**settings)  # type: ignore[arg-type]


def test_lists_as_cards_have_them_make_an_equal_separator() -> None:
    settings = {"centred": list(Classic4().centred), "vocals_prior": list(Classic4().vocals_prior)}
    assert Classic4(**settings) == Classic4()  # type: ignore[arg-type]


def test_what_was_heard_before_is_a_repetition_and_what_is_new_is_not(seed: int) -> None:
    random = np.random.default_rng(seed)
    comb = np.arange(300) % 4 == np.arange(4)[:, None]
    patterns = (random.uniform(0.5, 1.5, (4, 300)) * comb).astype(np.float32)
    memory = RepetitionMemory(300, frames=40, gap=2, similar=3)
    for time in range(32):
        memory.recall(patterns[time % 4] + np.float32(1e-4))
    new = np.zeros(300, np.float32)
    new[150:160] = 0.5
    repeating = memory.recall(patterns[0] + new)
    np.testing.assert_allclose(repeating, np.minimum(patterns[0] + 1e-4, patterns[0] + new), atol=1e-6)


def test_a_frame_is_its_own_repetition_as_long_as_there_is_no_past() -> None:
    memory = RepetitionMemory(64, frames=20, gap=2, similar=3)
    frame = np.linspace(1, 2, 64, dtype=np.float32)
    np.testing.assert_array_equal(memory.recall(frame), frame)


def test_evidence_tells_tones_hits_noise_and_sides() -> None:
    frames = np.full((2, 7, 400), 1e-4)
    frames[0, :, 50] = frames[1, :, 100] = 1.0
    frames[0, 3, 200:300] = 1.0
    evidence = CellEvidence(400, lookahead=2, spread_bins=19, decaying_bins=9, noisy_bins=31)
    for time in range(7):
        evidence.push(frames[:, time])
        if time == 5:
            found = dict(zip(CellEvidence.names, evidence.gather(), strict=True))
    assert found["centred"][50] > 2 > -2 > found["centred"][100]
    assert found["sustained"][50] > -0.01 > -2 > found["sustained"][250]
    assert found["spread"][250] > -0.01 > -2 > found["spread"][50]
    assert found["decaying"][250] > 2 > 0.1 > abs(found["decaying"][50])
    assert found["noisy"][250] > -0.01 > -1 > found["noisy"][50]
