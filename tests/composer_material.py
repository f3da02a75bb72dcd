"""A folder that the composer can work from, made of tones, clicks and a few bars of MIDI."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 44100
TABLE = """
[[source]]
name = "Tones"
role = "bass"
folder = "bass"
licence = "CC0-1.0"
[[source]]
name = "Strings"
role = "keys"
folder = "keys"
licence = "MIT"
[[source]]
name = "Clicks"
role = "hits"
folder = "drums"
licence = "CC-BY-3.0"
[[source]]
name = "Voice"
role = "vocals"
folder = "vocals"
licence = "CC-BY-4.0"
[[source]]
name = "Songs"
role = "scores"
folder = "scores"
licence = "CC0-1.0"
[[source]]
name = "Beats"
role = "grooves"
folder = "grooves"
licence = "CC0-1.0"
"""


def tone(hz: float, seconds: float = 0.6, rate: int = RATE) -> NDArray[np.float32]:
    """A plucked sound: five harmonics that fade."""
    time = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * hz * number * time) / number for number in range(1, 6))
    return (0.4 * wave * np.exp(-2 * time)).astype(np.float32)


def noise_hit(seconds: float, low_hz: float, high_hz: float) -> NDArray[np.float32]:
    """A burst of noise between two frequencies that rings for about so long."""
    frames = round(2 * seconds * RATE) + 2000
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(frames))
    bins_hz = np.fft.rfftfreq(frames, 1 / RATE)
    spectrum[(bins_hz < low_hz) | (bins_hz > high_hz)] = 0
    hit = np.fft.irfft(spectrum, frames) * np.exp(-np.arange(frames) / RATE / (seconds / 3))
    return (hit / np.abs(hit).max() * 0.8).astype(np.float32)


def write_score(path: Path, *, offset_beats: float = 0.0, bars: int = 16) -> None:
    """A song in C major: chords with a bass note on one and three, a tune, and a second line."""
    ticks = 480
    file = mido.MidiFile(ticks_per_beat=ticks)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120))]))
    roots = [48, 45, 41, 43]
    parts: dict[str, list[tuple[float, float, int]]] = {"MELODY": [], "BRIDGE": [], "PIANO": []}
    for bar in range(bars):
        root = roots[bar % 4]
        third = 3 if root == 45 else 4
        for beat in (0, 2):
            chord = (root, root + 12, root + 12 + third, root + 19)
            parts["PIANO"] += [(4 * bar + beat, 1.8, pitch) for pitch in chord]
        for beat in range(4):
            parts["MELODY"].append((4 * bar + beat, 0.9, [72, 76, 79, 77][(bar + beat) % 4]))
            parts["BRIDGE"].append((4 * bar + beat + 0.5, 0.4, 67))
    for name, notes in parts.items():
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        events = [(start + offset_beats, pitch, 100) for start, _, pitch in notes]
        events += [(start + offset_beats + length, pitch, 0) for start, length, pitch in notes]
        now = 0
        for beat, pitch, velocity in sorted(events):
            tick = round(beat * ticks)
            track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)


def write_groove(path: Path, bars: int = 2) -> None:
    """Kick on one and three, snare on two and four, closed hats in eighths."""
    file, track = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack()
    file.tracks.append(track)
    now = 0
    for eighth in range(8 * bars):
        struck = [42] + ([36] if eighth % 4 == 0 else [38] if eighth % 4 == 2 else [])
        for pitch in struck:
            track.append(
                mido.Message("note_on", channel=9, note=pitch, velocity=100, time=eighth * 240 - now)
            )
            now = eighth * 240
        for number, pitch in enumerate(struck):
            pause = 60 if number == 0 else 0
            track.append(mido.Message("note_on", channel=9, note=pitch, velocity=0, time=pause))
            now += pause
    file.save(path)


def material(home: Path) -> Path:
    """Everything that the composer needs but soundfonts, with a table of its own."""
    for folder in ("bass", "keys", "drums", "vocals/voice_am_120", "scores", "grooves"):
        (home / folder).mkdir(parents=True)
    (home / "composer_sources.toml").write_text(TABLE, "utf-8")
    for name, pitch in {"e1": 28, "a1": 33, "d2": 38, "g2": 43}.items():
        soundfile.write(home / "bass" / f"{name}_f.wav", tone(440 * 2 ** ((pitch - 69) / 12)), RATE)
    for name, pitch in {"c4": 60, "g4": 67, "d5": 74}.items():
        for level in ("p", "f"):
            soundfile.write(
                home / "keys" / f"str_{name}_{level}.wav", tone(440 * 2 ** ((pitch - 69) / 12)), RATE
            )
    hits = {"kick": (0.15, 30, 120), "snare": (0.15, 200, 6000), "hat_closed": (0.04, 7000, 15000)}
    for name, (seconds, low_hz, high_hz) in hits.items():
        soundfile.write(home / "drums" / f"{name}.wav", noise_hit(seconds, low_hz, high_hz), RATE)
    for number, hz in enumerate((220.0, 261.63, 329.63)):
        sung = np.concatenate([tone(hz, 1.0), tone(hz * 1.5, 1.0)])
        soundfile.write(home / "vocals" / "voice_am_120" / f"phrase {number}.wav", sung, RATE)
    write_score(home / "scores" / "one.mid")
    write_score(home / "scores" / "two.mid", offset_beats=1.25, bars=24)
    write_groove(home / "grooves" / "drummer_rock_118_beat_4-4.mid")
    write_groove(home / "grooves" / "drummer_rock_118_fill_4-4.mid", 1)
    return home
