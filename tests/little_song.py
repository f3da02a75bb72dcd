"""A song of six seconds that tests make themselves: voice, drums, bass and chords, by numpy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SECONDS = 6.0
STEMS = ("vocals", "drums", "bass", "other")

_BEAT = 0.5
_CHORDS = ((0, 4, 7, 12), (-3, 0, 4, 9), (5, 9, 12, 17))  # two seconds each, in semitones above the key
_MELODY = ((1.0, 7), (1.5, 9), (2.0, 12), (3.0, 9), (3.5, 4), (4.0, 5), (4.5, 9), (5.0, 7))
_FORMANTS_HZ = ((700, 130), (1200, 160), (2600, 250), (3500, 350))

_Signal = NDArray[np.float64]


def little_song(rate: int = 44100, *, seed: int = 0, key_hz: float = 220.0) -> dict[str, NDArray[np.float32]]:
    """The true stems by name, each `(2, frames)`; another seed and key make another song of the same form."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * rate)) / rate
    stems = {
        "vocals": _panned(_voice(t, rng, key_hz), 0.0),
        "drums": _drums(t, rng),
        "bass": _panned(_bass(t, key_hz / 4), 0.0),
        "other": _chords(t, rng, key_hz),
    }
    return {name: stem.astype(np.float32) for name, stem in stems.items()}


def true_stems(sources: Sequence[str], rate: int = 44100) -> NDArray[np.float32]:
    """The song as stems of these names; `accompaniment` is everything but the voice.

    Shape: `(sources, 2, frames)`.
    """
    song = little_song(rate)
    song["accompaniment"] = song["drums"] + song["bass"] + song["other"]
    return np.stack([song[source] for source in sources])


def _pitch(key_hz: float, semitones: float) -> float:
    return float(key_hz * 2 ** (semitones / 12))


def _panned(mono: _Signal, side: float) -> _Signal:
    """On two channels; `side` from -1, left, to 1, right. Shape: `(frames,)` to `(2, frames)`."""
    angle = (1 + side) * np.pi / 4
    return np.stack([np.cos(angle) * mono, np.sin(angle) * mono])


def _within(t: _Signal, start: float, seconds: float) -> slice:
    """The frames of a note."""
    return slice(int(np.searchsorted(t, start)), int(np.searchsorted(t, start + seconds)))


def _decaying(t: _Signal, start: float, per_second: float) -> _Signal:
    """An envelope that begins at a time and falls; the attack takes 3 ms."""
    since = np.maximum(t - start, 0)
    return np.minimum(since / 0.003, 1) * np.exp(-per_second * since)


def _voice(t: _Signal, rng: np.random.Generator, key_hz: float) -> _Signal:
    """Sung vowels with vibrato and breath: harmonics under formants."""
    pitch, level = np.full(t.size, key_hz), np.zeros(t.size)
    for at, (start, note) in enumerate(_MELODY):
        end = _MELODY[at + 1][0] if at + 1 < len(_MELODY) else SECONDS - 0.3
        sung = (t >= start) & (t < end)
        pitch[sung] = _pitch(key_hz, note)
        level += sung * np.minimum((t - start) / 0.06, 1) * np.clip((end - t) / 0.08, 0, 1)
    # The voice slides from note to note: a mean over 50 ms.
    wide = int(0.05 / t[1])
    padded = np.pad(np.log(pitch), (wide, 0), mode="edge")
    sums = np.cumsum(padded)
    slid = np.exp((sums[wide:] - sums[:-wide]) / wide)
    phase = 2 * np.pi * np.cumsum(slid * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * t))) * t[1]
    sound = np.zeros(t.size)
    for harmonic in range(1, 26):
        hertz = harmonic * slid
        formed = sum(1 / (1 + ((hertz - centre) / width) ** 2) for centre, width in _FORMANTS_HZ)
        sound += (0.15 / harmonic + formed / np.sqrt(harmonic)) * np.sin(harmonic * phase)
    breath = 0.02 * np.diff(rng.standard_normal(t.size + 1))
    return 0.16 * level * (sound + breath)


def _drums(t: _Signal, rng: np.random.Generator) -> _Signal:
    """A kick, a snare and a hat in eighths, each with its own place."""
    hiss = np.diff(rng.standard_normal((2, t.size + 2)), n=2)  # twice differenced: what is high remains
    rough = rng.standard_normal(t.size)
    out = np.zeros((2, t.size))
    for beat in range(round(SECONDS / _BEAT)):
        start = beat * _BEAT
        since = np.maximum(t - start, 0)
        if beat % 2 == 0:
            sweep = 2 * np.pi * (48 * since + 4 * (1 - np.exp(-30 * since)))
            out += 0.5 * _decaying(t, start, 14) * np.sin(sweep)
        else:
            body = 0.4 * np.sin(2 * np.pi * 190 * since) * np.exp(-20 * since)
            out += _panned(0.35 * _decaying(t, start, 22) * (0.5 * rough + body), 0.1)
        for eighth in (start, start + _BEAT / 2):
            out += 0.03 * _decaying(t, eighth, 55) * hiss * np.array([[0.7], [1.0]])
    return out


def _bass(t: _Signal, key_hz: float) -> _Signal:
    """Plucked roots in eighths, with rests."""
    out = np.zeros(t.size)
    for step in range(round(2 * SECONDS / _BEAT)):
        if step % 8 in (3, 6):
            continue
        start = step * _BEAT / 2
        hertz = _pitch(key_hz, _CHORDS[int(start // 2)][0] + (7 if step % 8 == 7 else 0))
        heard = _within(t, start, 0.24)
        since = t[heard] - start
        held = 0.2 * _decaying(t[heard], start, 5) * np.clip((0.24 - since) / 0.02, 0, 1)
        for harmonic in range(1, 13):
            fading = np.exp(-harmonic * since) / harmonic
            out[heard] += held * fading * np.sin(2 * np.pi * harmonic * hertz * since)
    return out


def _chords(t: _Signal, rng: np.random.Generator, key_hz: float) -> _Signal:
    """Strummed strings of the chords in quarters, spread from left to right."""
    out = np.zeros((2, t.size))
    for beat in range(round(SECONDS / _BEAT)):
        for string, note in enumerate(_CHORDS[int(beat * _BEAT // 2)]):
            start, hertz = beat * _BEAT + 0.012 * string, _pitch(key_hz, note)
            heard = _within(t, start, 1.5)
            since = t[heard] - start
            tone = np.zeros(since.size)
            for harmonic in range(1, 17):
                phase = rng.uniform(0, 2 * np.pi)
                fading = np.exp(-(1.5 + 0.5 * harmonic) * since) / harmonic
                tone += fading * np.sin(2 * np.pi * harmonic * hertz * since + phase)
            tone *= 0.07 * _decaying(t[heard], start, 2) * np.clip((1.5 - since) / 0.1, 0, 1)
            out[:, heard] += _panned(tone, (-0.7, -0.2, 0.3, 0.8)[string])
    return out
