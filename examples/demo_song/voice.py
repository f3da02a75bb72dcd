"""A singer: harmonics of the vocal folds and breath, shaped by a moving mouth (G. Fant, 1960)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from demo_song.phonemes import SILENT_DB, Segment, segments
from demo_song.score import HARMONY, PHRASES, Phrase, Syllable, beat_seconds
from demo_song.sound import (
    LENGTH,
    SAMPLE_RATE,
    Signal,
    band,
    compressed,
    empty,
    frames,
    gain,
    hertz,
    peak_eq,
    place,
    room,
)

STEP = 64  # frames from one position of the mouth to the next
STEPS = LENGTH // STEP + 2
STEP_RATE = SAMPLE_RATE / STEP
HIGHEST_HZ = 15000.0
# The formants above the third hardly move.
UPPER_FORMANTS_HZ = np.array([4050.0, 4950.0, 6100.0, 7300.0, 8500.0, 9800.0, 11200.0, 12700.0])
BANDWIDTHS_HZ = np.array([75.0, 95.0, 130.0, 190.0, 260.0, 420.0, 520.0, 620.0, 700.0, 800.0, 900.0])


@dataclass(frozen=True)
class Gestures:
    """How the singer moves, one value for each STEP."""

    pitch: Signal  # MIDI notes
    formants_hz: Signal  # (3, steps)
    voice: Signal  # amplitude of the vocal folds
    breath: Signal  # amplitude of the noise at them


def smoothed(track: Signal, seconds: float) -> Signal:
    """Move as a body does, not in jumps: a Hann-shaped mean over this time."""
    window = signal.windows.hann(2 * round(seconds * STEP_RATE / 2) + 3)
    return np.asarray(ndimage.convolve1d(track, window / window.sum(), mode="nearest"))


def wander(rng: np.random.Generator, low_hz: float, size: int = STEPS) -> Signal:
    """Slow noise of unit deviation, below a frequency."""
    sos = signal.butter(2, low_hz, fs=STEP_RATE, output="sos")
    slow = signal.sosfilt(sos, rng.standard_normal(size + 2000))[2000:]
    return np.asarray(slow / slow.std())


def span(start: float, stop: float) -> slice:
    """The steps between two times in seconds."""
    return slice(max(0, round(start * STEP_RATE)), max(0, round(stop * STEP_RATE)))


def melody(phrases: tuple[Phrase, ...], rng: np.random.Generator) -> Signal:
    """The pitch: glides between notes, scoops into phrases, vibrato on held notes, and never quite still."""
    pitch = np.full(STEPS, 67.0)
    depth = np.zeros(STEPS)
    for phrase in phrases:
        for syllable in phrase:
            start, stop = beat_seconds(syllable.start), beat_seconds(syllable.stop)
            for share, note in syllable.notes:
                pitch[span(start + share * (stop - start) - 0.05, LENGTH)] = note
            if stop - start > 0.4:
                depth[span(start + 0.22, stop)] = 0.36
        scoop = span(beat_seconds(phrase[0].start) - 0.1, beat_seconds(phrase[0].start) + 0.05)
        pitch[scoop] -= 1.2
    rate_hz = 5.5 + 0.25 * wander(rng, 1.0)
    vibrato = smoothed(depth, 0.35) * np.sin(2.0 * np.pi * np.cumsum(rate_hz) / STEP_RATE)
    return smoothed(pitch, 0.085) + vibrato + 0.06 * wander(rng, 3.0) + 0.025 * wander(rng, 35.0)


def mouth(plan: list[Segment]) -> Signal:
    """The first three formants over time. Shape: `(3, steps)`."""
    formants = np.full((3, STEPS), np.nan)
    for segment in plan:
        if segment.sound.formants_hz is not None:
            formants[:, span(segment.start, segment.stop)] = np.array(segment.sound.formants_hz)[:, None]
    known = np.flatnonzero(~np.isnan(formants[0]))
    nearest = known[np.clip(np.searchsorted(known, np.arange(STEPS)), 0, known.size - 1)]
    return smoothed(formants[:, nearest], 0.055)


def gestures(phrases: tuple[Phrase, ...], rng: np.random.Generator) -> Gestures:
    plan = [segment for phrase in phrases for segment in segments(phrase)]
    voice, breath = np.zeros(STEPS), np.zeros(STEPS)
    for segment in plan:
        steps = span(segment.start, segment.stop)
        voice[steps] = gain(segment.sound.voice_db) if segment.sound.voice_db > SILENT_DB else 0.0
        breath[steps] = gain(segment.sound.breath_db)
    strength = np.ones(STEPS)
    for phrase in phrases:
        for syllable in phrase:
            start, stop = beat_seconds(syllable.start) - 0.06, beat_seconds(syllable.stop)
            count = span(start, stop).stop - span(start, stop).start
            held = stop - start > 0.9
            strength[span(start, stop)] = syllable.strength * np.linspace(1.0, 0.55 if held else 0.9, count)
        end = beat_seconds(phrase[-1].stop)
        breath[span(end, end + 0.07)] = gain(-27.0)  # the folds part before the air runs out
    strength = smoothed(strength, 0.05) * (1.0 + 0.03 * wander(rng, 25.0))
    return Gestures(
        pitch=melody(phrases, rng),
        formants_hz=mouth(plan),
        voice=smoothed(voice, 0.03) * strength,
        breath=smoothed(breath, 0.035) * strength,
    )


def resonance(frequency_hz: Signal, formants_hz: Signal) -> NDArray[np.complex128]:
    """The mouth's complex response: a cascade of resonators of unit gain at 0 Hz.

    Shape: `(..., steps)` and `(3, steps)` to `(..., steps)`.
    """
    response = np.ones(np.broadcast_shapes(frequency_hz.shape, formants_hz[0].shape), complex)
    upper = np.broadcast_to(UPPER_FORMANTS_HZ[:, None], (UPPER_FORMANTS_HZ.size, formants_hz.shape[1]))
    for formant, bandwidth in zip([*formants_hz, *upper], BANDWIDTHS_HZ, strict=True):
        pole = formant**2 + (bandwidth / 2.0) ** 2
        response *= pole / (pole - frequency_hz**2 + 1j * bandwidth * frequency_hz)
    return response


def folds(moves: Gestures) -> tuple[Signal, Signal]:
    """The sung voice, harmonic by harmonic and so free of aliasing, and the phase of the vocal folds."""
    root_hz = hertz(moves.pitch)
    at = np.arange(LENGTH) / STEP
    grid = np.arange(STEPS)
    phase = 2.0 * np.pi * np.cumsum(np.interp(at, grid, root_hz)) / SAMPLE_RATE
    turn = np.exp(1j * phase)
    spin = np.ones(LENGTH, complex)
    # A singer opens the mouth so far that the first formant never lies below the note.
    formants = moves.formants_hz.copy()
    formants[0] = np.maximum(formants[0], 1.04 * root_hz)
    # A louder voice is a brighter one: the folds close faster.
    corner_hz = 2500.0 + 4500.0 * np.clip(moves.voice, 0.0, 1.2)
    sound = np.zeros(LENGTH)
    for k in range(1, int(HIGHEST_HZ / root_hz.min()) + 1):
        spin *= turn
        frequency = k * root_hz
        source = 1.0 / (np.hypot(1.0, frequency / (1.6 * root_hz)) * np.hypot(1.0, frequency / corner_hz))
        fade = np.clip((HIGHEST_HZ - frequency) / 1000.0, 0.0, 1.0)
        partial = moves.voice * source * fade * resonance(frequency, formants)
        sound += np.interp(at, grid, partial.real) * spin.real - np.interp(at, grid, partial.imag) * spin.imag
    return sound, phase


def air(moves: Gestures, phase: Signal, rng: np.random.Generator) -> Signal:
    """Breath through the same mouth: noise that comes in puffs while the folds swing."""
    swing = np.interp(np.arange(LENGTH) / STEP, np.arange(STEPS), np.clip(4.0 * moves.voice, 0.0, 1.0))
    noise = rng.standard_normal(LENGTH) * (1.0 + 0.6 * swing * np.cos(phase))
    amplitude = np.interp(np.arange(LENGTH) / STEP, np.arange(STEPS), moves.breath)
    size, hop = 512, 128
    window = signal.windows.hann(size, sym=False)
    transform = signal.ShortTimeFFT(window, hop, SAMPLE_RATE)
    spectra = transform.stft(noise * amplitude)
    centres = np.clip(transform.t(LENGTH) * STEP_RATE, 0, STEPS - 1).astype(int)
    shape = np.abs(resonance(transform.f[:, None], moves.formants_hz[:, centres]))
    tilt = np.clip(transform.f[:, None] / 1200.0, 0.1, 1.0)
    return np.asarray(transform.istft(spectra * np.minimum(shape, 12.0) * tilt, k1=LENGTH))


def consonants(plan: list[Segment], rng: np.random.Generator) -> Signal:
    """The hiss of fricatives and the bursts of stops, made in front of the mouth."""
    track = np.zeros(LENGTH)
    for segment in plan:
        if segment.sound.noise is None:
            continue
        low_hz, high_hz, level_db = segment.sound.noise
        start = segment.stop - 0.022 if segment.sound.burst else segment.start
        count = frames(segment.stop - start)
        t = np.arange(count + frames(0.03)) / SAMPLE_RATE
        if segment.sound.burst:
            shape = np.minimum(1.0, t / 0.0008) * np.exp(-t / 0.011)
        else:
            held = segment.stop - start
            shape = np.clip(t / (0.35 * held), 0, 1) * np.clip((held + 0.025 - t) / 0.035, 0, 1)
        noise = band(rng.standard_normal(t.size), low_hz, high_hz)
        first = frames(start)
        track[first : first + t.size] += 6.0 * gain(level_db) * shape * noise
    return track


def inhale(seconds: float, rng: np.random.Generator) -> Signal:
    t = np.arange(frames(seconds)) / SAMPLE_RATE
    noise = rng.standard_normal(t.size)
    colour = band(noise, 900.0, 2200.0) + 0.7 * band(noise, 3200.0, 7500.0)
    return colour * np.sin(np.pi * t / seconds) ** 2 * (0.4 + 0.6 * t / seconds)


def sing(phrases: tuple[Phrase, ...], rng: np.random.Generator) -> Signal:
    """One take of some phrases. Shape: `(frames,)`."""
    moves = gestures(phrases, rng)
    plan = [segment for phrase in phrases for segment in segments(phrase)]
    voiced, phase = folds(moves)
    return voiced + 6.0 * air(moves, phase, rng) + consonants(plan, rng)


def raised(phrase: Phrase) -> Phrase:
    """The phrase a third higher, within the key."""
    return tuple(
        Syllable(s.sounds, s.start, s.stop, tuple((at, HARMONY[n]) for at, n in s.notes), 0.9 * s.strength)
        for s in phrase
    )


def play(rng: np.random.Generator) -> Signal:
    """The vocal track: a lead, a double of the second half, a harmony on the last line.

    Shape: `(2, frames)`.
    """
    track = empty()
    place(track, sing(PHRASES, rng), 0.0)
    for phrase in PHRASES:
        place(track, inhale(0.32, rng), beat_seconds(phrase[0].start) - 0.46, -27.0)
    place(track, sing(PHRASES[2:], rng), 0.016, -13.0, -0.6)
    place(track, sing((raised(PHRASES[3]),), rng), 0.009, -9.0, 0.55)
    track = band(track, 130.0, None)
    track = compressed(track / np.abs(track).max(), -22.0, 2.6)
    bright = peak_eq(peak_eq(peak_eq(track, 320.0, -2.0), 3600.0, 3.5, 0.7), 8500.0, 10.0, 0.5)
    return room(bright, rng, 1.5, 0.03, -15.0, 350.0, 6500.0)
