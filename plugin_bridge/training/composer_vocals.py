"""Sung and spoken phrases, fitted to a song's key and tempo and laid along its bars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pedalboard
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio
from plugin_bridge.training.composer_midi import BAR, Key, key_of
from plugin_bridge.training.composer_samples import CLASSES, RATE, load
from plugin_bridge.training.composer_sources import Source, Use

SPELLED = re.compile(r"\b([A-G])(b|#|sharp|flat)?\s+(major|minor)\b", re.IGNORECASE)
SPELLED_TEMPO = re.compile(r"\b(\d{2,3})\s*bpm\b", re.IGNORECASE)
SHORT = re.compile(r"(?:^|_)([a-g])(b|s)?(m|j)?_(\d{2,3})(?=_|$)")


@dataclass(frozen=True)
class Singer:
    """Phrases of one voice in one key and at one tempo; None where the names don't say."""

    source: Source
    name: str
    phrases: tuple[Path, ...]
    key: Key | None
    tempo_bpm: float | None


@dataclass(frozen=True)
class Placed:
    """A phrase where it starts, in beats."""

    path: Path
    beat: float


def singers(source: Source, paths: Sequence[Path]) -> list[Singer]:
    """The phrases of a source by folder, key and tempo."""
    groups: dict[tuple[str, Key | None, float | None], list[Path]] = {}
    for path in paths:
        groups.setdefault((path.parent.name, *key_and_tempo(path)), []).append(path)
    return [
        Singer(source, folder, tuple(sorted(phrases)), key, tempo_bpm)
        for (folder, key, tempo_bpm), phrases in sorted(groups.items(), key=lambda item: item[1][0])
    ]


def key_and_tempo(path: Path) -> tuple[Key | None, float | None]:
    """What the file's name says of key and tempo, or else its folder's.

    >>> key_and_tempo(Path("shv_e_128/SHV - E Major - 128 BPM - Ahh.ogg"))
    (Key(tonic=4, minor=False), 128.0)
    >>> key_and_tempo(Path("etv_am_136/Tonight.ogg"))
    (Key(tonic=9, minor=True), 136.0)
    """
    spelled, tempo = SPELLED.search(path.stem), SPELLED_TEMPO.search(path.stem)
    short = SHORT.search(path.parent.name.lower())
    key = None
    if spelled:
        letter, accidental, mode = spelled.groups()
        key = _key(letter, (accidental or "").lower(), mode.lower() == "minor")
    elif short:
        letter, accidental, mode, _ = short.groups()
        key = _key(letter, accidental or "", mode == "m")
    if tempo:
        return key, float(tempo.group(1))
    return key, float(short.group(4)) if short else None


def heard_key(phrases: Sequence[Path], most: int = 4) -> Key:
    """The key that some of the phrases sound to be in, by the energy of their pitch classes."""
    weights = np.zeros(12)
    for path in phrases[:most]:
        weights += chroma(load(path).mean(0))
    return key_of(weights)


def chroma(audio: Audio) -> NDArray[np.float64]:
    """Energy of each pitch class between 80 Hz and 1 kHz. Shape: `(frames,)` to `(12,)`."""
    size, weights = 8192, np.zeros(12)
    bins_hz = np.fft.rfftfreq(size, 1 / RATE)
    heard = (bins_hz > 80) & (bins_hz < 1000)
    classes = np.round(69 + 12 * np.log2(bins_hz[heard] / 440)).astype(int) % 12
    for start in range(0, max(1, len(audio) - size), size // 2):
        spectrum = np.abs(np.fft.rfft(audio[start : start + size] * 1.0, size))[heard]
        np.add.at(weights, classes, spectrum)
    return weights


def placed(singer: Singer, tempo_bpm: float, beats: float, draw: np.random.Generator) -> list[Placed]:
    """Phrases along the bars of a song, with rests between them, in sections that come back."""
    stretch = (singer.tempo_bpm or tempo_bpm) / tempo_bpm
    beat, out = BAR * float(draw.integers(0, 5)), []
    order = [singer.phrases[index] for index in draw.permutation(len(singer.phrases))[:24]]
    number = 0
    while beat < beats - 2:
        path = order[number % len(order)]
        out.append(Placed(path, beat))
        seconds = load(path).shape[-1] / RATE * stretch
        ends = beat + seconds * tempo_bpm / 60
        rest = (
            float(draw.choice([0, 0, 0, 0.5, 1, 1, 2, 4])) if seconds > 1.5 else float(draw.choice([0, 1, 2]))
        )
        unit = BAR if seconds > 2.5 else 2.0
        beat = np.ceil((ends - 0.25) / unit) * unit + rest * unit
        # Every so often a phrase is sung again rather than the next one.
        number += 0 if draw.random() < 0.2 else 1
    return out


def sing(
    singer: Singer, places: Sequence[Placed], tempo_bpm: float, semitones: float, frames: int
) -> tuple[Audio, set[Use]]:
    """The phrases at their places, stretched to the tempo and shifted.

    Shape: `(2, frames)`; and the files used.
    """
    out = np.zeros(frames, np.float32)
    speed = tempo_bpm / singer.tempo_bpm if singer.tempo_bpm else 1.0
    fitted: dict[Path, Audio] = {}
    uses: set[Use] = set()
    for place in places:
        if place.path not in fitted:
            fitted[place.path] = _fitted(place.path, speed, semitones)
        sound = fitted[place.path]
        start = round(place.beat * 60 / tempo_bpm * RATE)
        kept = min(len(sound), frames - start)
        if kept > 0:
            out[start : start + kept] += sound[:kept]
            uses.add(
                Use("vocals", singer.source.name, singer.source.licence, f"{singer.name}/{place.path.name}")
            )
    return np.stack([out, out]), uses


def _fitted(path: Path, speed: float, semitones: float) -> Audio:
    mono = load(path).mean(0, keepdims=True)
    rms = float(np.sqrt(np.mean(np.square(mono)))) or 1.0
    mono = np.ascontiguousarray(mono * min(0.1 / rms, 20.0), np.float32)
    if abs(speed - 1) > 0.005 or abs(semitones) > 0.01:
        mono = pedalboard.time_stretch(mono, RATE, speed, semitones)
    return np.asarray(mono[0], np.float32)


def _key(letter: str, accidental: str, minor: bool) -> Key:
    raised = {"b": -1, "flat": -1, "#": 1, "sharp": 1, "s": 1}.get(accidental, 0)
    return Key((CLASSES[letter.lower()] + raised) % 12, minor)
