"""An arrangement as sound: each stem played, treated as in a mix, and set to a level that real stems have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pedalboard
from pedalboard import Plugin

from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.training.augmentation_effects import drawn_compressor, drawn_equaliser, drawn_reverb
from plugin_bridge.training.composer_arrangement import Arrangement, Instrument, Layer, Recording
from plugin_bridge.training.composer_figures import rms_db
from plugin_bridge.training.composer_kit import GENERAL_MIDI, Kit
from plugin_bridge.training.composer_midi import Note
from plugin_bridge.training.composer_samples import RATE, Sampled, load
from plugin_bridge.training.composer_soundfont import Voice, play
from plugin_bridge.training.composer_sources import Use
from plugin_bridge.training.composer_vocals import sing

SOURCES = ("vocals", "drums", "bass", "other")
# RMS against the mix (mean, standard deviation) of the 94 excerpts of MUSDB18's training list; a little
# more for vocals, whose rests leave the sum of a whole song.
LEVELS_DB = {"vocals": (-4.4, 2.1), "drums": (-7.6, 4.0), "bass": (-7.1, 4.0), "other": (-6.5, 2.7)}
MIX_DB = (-16.7, 1.8)
"""RMS of the whole mix, as above."""
LOUDEST = 0.98
STRIP_DB = -18.0
"""RMS at which a stem enters its strip, so that a threshold means the same for every instrument."""


def render(song: Arrangement, draw: np.random.Generator) -> tuple[Stems, set[Use]]:
    """The four stems in the order of `SOURCES`, and everything that was used.

    Shape: `(4, 2, frames)`.
    """
    frames = round(song.beats * 60 / song.tempo_bpm * RATE)
    uses = set(song.uses)
    stems = np.zeros((4, 2, frames), np.float32)
    makers: dict[str, Callable[[Arrangement, int, np.random.Generator], tuple[Audio, set[Use]]]] = {
        "vocals": _vocals,
        "drums": _drums,
        "bass": _bass,
        "other": _other,
    }
    for stem, source in zip(stems, SOURCES, strict=True):
        # Each stem by a generator of its own: what one draws moves nothing in another.
        own = np.random.default_rng(int(draw.integers(2**63)))
        dry, used = makers[source](song, frames, own)
        dry *= _gain(dry, STRIP_DB)
        stem[:] = pedalboard.Pedalboard(_strip(source, own))(dry, RATE)
        stem *= _gain(stem, float(np.clip(own.normal(*LEVELS_DB[source]), -20, -1)))
        uses |= used
    return _levelled(stems, draw), uses


def _vocals(song: Arrangement, frames: int, draw: np.random.Generator) -> tuple[Audio, set[Use]]:
    lead, uses = sing(song.singer, song.phrases, song.tempo_bpm, song.vocal_semitones, frames)
    if draw.random() < 0.25:  # doubled: the same a little later and off pitch, left and right
        for side, cents in enumerate((-8, 8)):
            later = round(draw.uniform(0.012, 0.03) * RATE)
            copy = np.roll(lead[side], later) * np.float32(0.5)
            copy[:later] = 0
            lead[side] += pedalboard.Chorus(0.4, 0.1, 7 + side, 0.0, abs(cents) / 16)(copy, RATE)
    return lead, uses


def _drums(song: Arrangement, frames: int, draw: np.random.Generator) -> tuple[Audio, set[Use]]:
    if isinstance(song.kit, Kit):
        return song.kit.play(song.drums, song.tempo_bpm, frames, draw)
    font, program = song.kit
    notes = [
        Note(note.beat, max(note.beats, 0.2), GENERAL_MIDI.get(note.pitch, note.pitch), note.velocity)
        for note in song.drums
    ]
    return play(font, [Voice(program, notes, drums=True)], song.tempo_bpm, frames, "drums")


def _bass(song: Arrangement, frames: int, draw: np.random.Generator) -> tuple[Audio, set[Use]]:
    played, uses = _played(song.bass_instrument, song.bass, song.tempo_bpm, frames, "bass", draw)
    middle = played.mean(0)  # a bass is in the middle
    return np.stack([middle, middle]), uses


def _other(song: Arrangement, frames: int, draw: np.random.Generator) -> tuple[Audio, set[Use]]:
    out, uses = np.zeros((2, frames), np.float32), set[Use]()
    for layer in song.layers:
        sound, used = _layer(layer, song.tempo_bpm, frames, draw)
        out += sound
        uses |= used
    return out, uses


def _layer(layer: Layer, tempo_bpm: float, frames: int, draw: np.random.Generator) -> tuple[Audio, set[Use]]:
    played, used = _played(layer.instrument, layer.notes, tempo_bpm, frames, "other", draw)
    effects: list[Plugin] = drawn_equaliser(draw, 6.0)
    if layer.driven:
        effects = [pedalboard.Distortion(draw.uniform(10, 28)), pedalboard.LowpassFilter(5000), *effects]
    if draw.random() < 0.35:
        effects.append(pedalboard.Chorus(draw.uniform(0.3, 1.5), 0.25, 7, 0.0, draw.uniform(0.2, 0.5)))
    if draw.random() < 0.25:
        effects.append(pedalboard.Delay(60 / tempo_bpm * float(draw.choice([0.5, 0.75, 1])), 0.3, 0.2))
    if draw.random() < 0.5:
        effects += drawn_reverb(draw)
    if isinstance(layer.instrument, Sampled):
        played *= _gain(played, -20.0)  # into the drive at one level
    sound = pedalboard.Pedalboard(effects)(played, RATE)
    if draw.random() < 0.4:  # as if played twice, once on each side
        later = round(draw.uniform(0.008, 0.025) * RATE)
        sound[1] = np.concatenate([np.zeros(later, np.float32), sound[1, : frames - later]])
    left, right = np.sqrt(np.array([1 - layer.pan, 1 + layer.pan], np.float32))
    sound *= _gain(sound, layer.level_db - 20) * np.array([[left], [right]], np.float32)
    return np.asarray(sound, np.float32), used


def _played(
    instrument: Instrument,
    notes: tuple[Note, ...],
    tempo_bpm: float,
    frames: int,
    stem: str,
    draw: np.random.Generator,
) -> tuple[Audio, set[Use]]:
    if isinstance(instrument, Sampled):
        return instrument.play(notes, tempo_bpm, frames, draw, stem)
    if isinstance(instrument, Recording):
        return _recorded(instrument, frames, stem)
    font, program = instrument
    return play(font, [Voice(program, notes)], tempo_bpm, frames, stem)


def _recorded(recording: Recording, frames: int, stem: str) -> tuple[Audio, set[Use]]:
    start = round(recording.start_seconds * RATE)
    piece = np.ascontiguousarray(load(recording.path).mean(0)[start : start + frames])
    if recording.semitones and piece.any():
        piece = pedalboard.time_stretch(piece, RATE, 1.0, recording.semitones, high_quality=False).reshape(-1)
    out = np.zeros((2, frames), np.float32)
    out[:, : min(frames, len(piece))] = piece[:frames]
    return out, {Use(stem, recording.source.name, recording.source.licence, recording.path.name)}


def _strip(source: str, draw: np.random.Generator) -> list[Plugin]:
    """The effects of a stem's channel strip, as a mixing engineer would think of them for it."""
    if source == "vocals":
        strip = [pedalboard.HighpassFilter(draw.uniform(80, 140)), *drawn_equaliser(draw, 4.0)]
        strip += [*drawn_compressor(draw), pedalboard.Limiter(-6, 100)]
        if draw.random() < 0.3:
            strip.append(pedalboard.Delay(draw.uniform(0.15, 0.45), 0.25, draw.uniform(0.05, 0.2)))
        return [*strip, *drawn_reverb(draw)] if draw.random() < 0.8 else strip
    if source == "drums":
        strip = [*_tilt(draw, 70, (1, 7), 3000, (-9, -1)), *drawn_equaliser(draw, 4.0)]
        threshold, attack_ms = draw.uniform(-24, -12), draw.uniform(5, 30)
        strip.append(pedalboard.Compressor(threshold, draw.uniform(1.5, 4), attack_ms, 120))
        strip += [pedalboard.Limiter(draw.uniform(-3, 0), 80)] if draw.random() < 0.7 else []
        return [*strip, *drawn_reverb(draw)] if draw.random() < 0.6 else strip
    if source == "bass":
        # Plucked samples fall off far faster than a recorded and mastered bass.
        strip = [pedalboard.HighpassFilter(30), pedalboard.Compressor(-32, draw.uniform(3, 8), 4, 150)]
        strip += [pedalboard.Gain(12), pedalboard.Limiter(-9, 120), *drawn_equaliser(draw, 4.0)]
        if draw.random() < 0.25:
            strip.insert(1, pedalboard.Distortion(draw.uniform(3, 12)))
        cutoff_hz = float(np.exp(draw.uniform(np.log(110), np.log(800))))
        strip += [pedalboard.LowpassFilter(cutoff_hz), pedalboard.LowpassFilter(1.5 * cutoff_hz)]
        room = pedalboard.Reverb(0.2, 0.7, draw.uniform(0.02, 0.08), 0.5, 1.0)
        return [*strip, room] if draw.random() < 0.6 else strip
    strip = [pedalboard.HighpassFilter(draw.uniform(60, 160)), *drawn_equaliser(draw, 3.0)]
    strip += drawn_compressor(draw) if draw.random() < 0.6 else []
    return [*strip, pedalboard.Limiter(draw.uniform(-6, -1), 150)]


def _tilt(
    draw: np.random.Generator,
    low_hz: float,
    low_db: tuple[float, float],
    high_hz: float,
    high_db: tuple[float, float],
) -> list[Plugin]:
    """Shelves below and above, each by a gain drawn from its range."""
    low = pedalboard.LowShelfFilter(low_hz, draw.uniform(*low_db))
    return [low, pedalboard.HighShelfFilter(high_hz, draw.uniform(*high_db))]


def _gain(audio: Audio, wanted_db: float) -> np.float32:
    now_db = _heard_db(audio)
    return np.float32(0.0) if now_db < -120 else np.float32(10 ** ((wanted_db - now_db) / 20))


def _heard_db(audio: Audio) -> float:
    """RMS of the seconds that are not silent: a voice with rests is as loud as one without."""
    seconds = [audio[:, start : start + RATE] for start in range(0, audio.shape[-1], RATE)]
    levels_db = [rms_db(second) for second in seconds]
    heard = [level_db for level_db in levels_db if level_db > max(levels_db) - 30]
    return float(10 * np.log10(np.mean(10 ** (np.array(heard) / 10)))) if heard else -200.0


def _levelled(stems: Stems, draw: np.random.Generator) -> Stems:
    """All stems by one gain: the mix at a level of released music, no stem and no mix above full scale."""
    mix = stems.sum(0)
    gain = _gain(mix, float(draw.normal(*MIX_DB)))
    peak = float(max(np.abs(mix).max(), np.abs(stems).max())) * float(gain)
    return np.asarray(stems * np.float32(gain * min(1.0, LOUDEST / peak if peak else 1.0)), np.float32)
