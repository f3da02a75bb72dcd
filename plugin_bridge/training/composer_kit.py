"""Drum kits put together from single hits, each hit's role read from its name or from its sound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plugin_bridge.separation.separator import Audio
from plugin_bridge.training.composer_midi import Note
from plugin_bridge.training.composer_samples import RATE, load
from plugin_bridge.training.composer_sources import Source, Use

# Read in this order: "hat open" before "hat", "drum_bass" before "drum". None is a sound that is no hit.
WORDS: tuple[tuple[str, str | None], ...] = (
    (
        r"loop|vinyl|roll|rub|bow|cresc|alien|zap|scrape|rewind|ambi|guit|misc|glitch|robot|phone|noise-tom",
        None,
    ),
    (r"mehackit[0-9]|arovane|white|pink|swoosh|swash|door|impact|taps|cineboom|beep|blip|voxy|\bbass_", None),
    (r"open.*hat|hat.*open|cymbal_open|cymbal/open|hihat.*open", "hat_open"),
    (r"pedal", "hat_pedal"),
    (r"hi.?hat|\bhat|hats?[_\-/]|hatclsd|hhat|cymbal_closed|cymbal/closed", "hat_closed"),
    (r"crash|splash|cymbal_hard|cymbal_soft|china|x0xproc2-cymbal|elec_cymbal", "crash"),
    (r"\bride", "ride"),
    (r"rim|x.?stick|\bstick", "rim"),
    (r"snare|\bsn_", "snare"),
    (r"clap|snap", "clap"),
    (r"kick|\bbd_|bass.?drum|bdrum|drum_bass", "kick"),
    (r"hi.?tom|tom_?hi|tomh", "tom_high"),
    (r"mid.?tom|tom_?mid", "tom_mid"),
    (r"lo.?tom|tom_?lo|\btom", "tom_low"),
    (
        r"conga|bongo|bngo|darbuka|tabla|tumba|quinto|cow.?bell|clave|maraca|triangle|shake|perc|bell|drum",
        "percussion",
    ),
)

# General MIDI's drum map with the zones of Roland's TD-11, as the Groove MIDI Dataset uses them.
ROLES = {
    **dict.fromkeys((35, 36), "kick"),
    **dict.fromkeys((38, 40), "snare"),
    37: "rim",
    39: "clap",
    **dict.fromkeys((42, 22), "hat_closed"),
    **dict.fromkeys((46, 26), "hat_open"),
    44: "hat_pedal",
    **dict.fromkeys((51, 59, 53), "ride"),
    **dict.fromkeys((49, 55, 57, 52), "crash"),
    **dict.fromkeys((48, 50), "tom_high"),
    **dict.fromkeys((45, 47), "tom_mid"),
    **dict.fromkeys((41, 43, 58), "tom_low"),
}
GENERAL_MIDI = {22: 42, 26: 46, 50: 48, 47: 45, 58: 43, 40: 38, 59: 51, 55: 49, 52: 57}
"""Zones that only the drum machine knows, as the General MIDI notes nearest to them."""
STAND_INS = {
    "hat_pedal": "hat_closed",
    "hat_open": "hat_closed",
    "ride": "hat_closed",
    "rim": "snare",
    "clap": "snare",
    "tom_high": "tom_low",
    "tom_mid": "tom_low",
    "tom_low": "kick",
    "crash": "hat_open",
}
LEVELS = {"kick": 1.0, "snare": 0.85, "rim": 0.5, "clap": 0.6, "hat_closed": 0.3, "hat_open": 0.32}
LEVELS |= {"hat_pedal": 0.25, "ride": 0.3, "crash": 0.5, "tom_high": 0.65, "tom_mid": 0.7, "tom_low": 0.75}
PANS = {"hat_closed": 0.3, "hat_open": 0.3, "hat_pedal": 0.3, "ride": -0.4, "crash": -0.3}
PANS |= {"tom_high": 0.25, "tom_low": -0.35, "rim": 0.1, "percussion": 0.5}
LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class Hits:
    """Every recording of one drum of one source, told apart by take and velocity."""

    source: Source
    family: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Kit:
    """A drum for each role."""

    drums: dict[str, Hits] = field(hash=False)
    mirrored: bool = False

    def play(
        self, notes: Sequence[Note], tempo_bpm: float, frames: int, draw: np.random.Generator
    ) -> tuple[Audio, set[Use]]:
        """A drum performance. Shape: `(2, frames)`; and the recordings that were used.

        A closed hi-hat cuts an open one off.
        """
        out = np.zeros((2, frames), np.float32)
        uses: set[Use] = set()
        sounds: dict[Path, Audio] = {}
        closings = sorted(note.beat for note in notes if ROLES.get(note.pitch) in ("hat_closed", "hat_pedal"))
        for note in notes:
            role = ROLES.get(note.pitch, "percussion")
            hits = self._hits(role)
            if hits is None:
                continue
            path = hits.paths[int(draw.integers(len(hits.paths)))]
            if path not in sounds:
                sounds[path] = _hit(path)
            held = _until(note.beat, closings) * 60 / tempo_bpm if role == "hat_open" else LONGEST_SECONDS
            gain = LEVELS.get(role, 0.4) * (note.velocity / 127) ** 1.6
            pan = PANS.get(role, 0.0) * (-1 if self.mirrored else 1)
            _add(out, sounds[path], round(note.beat * 60 / tempo_bpm * RATE), held, gain, pan)
            uses.add(Use("drums", hits.source.name, hits.source.licence, path.name))
        return out, uses

    def _hits(self, role: str) -> Hits | None:
        while role not in self.drums:
            if role not in STAND_INS:
                return None
            role = STAND_INS[role]
        return self.drums[role]


def sorted_hits(source: Source, paths: Sequence[Path]) -> dict[str, list[Hits]]:
    """The drums of a source by role, takes of one drum kept together."""
    families: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        if role := role_of(path):
            family = re.sub(r"(?:[_\- ]?(?:rr|vl?|v)?\d+)+", "", path.stem.lower())
            # Hits that only a number sets apart are different drums where nothing else names them.
            named = named_role(path) not in (None, "")
            families.setdefault((role, family if named else path.stem), []).append(path)
    found: dict[str, list[Hits]] = {}
    for (role, family), takes in sorted(families.items()):
        found.setdefault(role, []).append(Hits(source, family, tuple(takes)))
    return found


def named_role(path: Path) -> str | None:
    """The role that a file's name or folder says; "" where they say nothing, None where it is no hit."""
    said = "/".join(path.parts[-3:]).lower()
    own = path.name.lower()
    for text in (own, said):
        for pattern, role in WORDS:
            if re.search(pattern, text):
                return role
    return ""


def role_of(path: Path) -> str | None:
    """The role of a hit by its name, or by its sound where that says nothing; None where it is no hit."""
    role = named_role(path)
    return measured_role(load(path)) if role == "" else role


def measured_role(audio: Audio) -> str:
    """What a hit sounds most like, by where its energy lies and how long it rings."""
    mono = audio.mean(0)
    spectrum = np.abs(np.fft.rfft(mono[:RATE], RATE)) ** 2
    total = float(spectrum.sum()) or 1.0
    centre_hz = float((spectrum * np.arange(len(spectrum))).sum()) / total
    low = float(spectrum[:150].sum()) / total
    energy = np.cumsum(mono**2)
    rings_seconds = float(np.searchsorted(energy, 0.97 * energy[-1])) / RATE if len(energy) else 0.0
    if low > 0.6:
        return "kick"
    if centre_hz < 700:
        return "tom_low" if rings_seconds > 0.1 else "percussion"
    if centre_hz > 4500:
        return "hat_closed" if rings_seconds < 0.12 else "hat_open" if rings_seconds < 0.5 else "crash"
    return "snare" if rings_seconds < 0.5 else "ride"


def drawn_kit(drums: dict[str, list[Hits]], draw: np.random.Generator, *, at_home: float = 0.75) -> Kit:
    """A kit of mostly one source's drums, filled up from all others where it lacks one."""
    names = sorted({hits.source.name for options in drums.values() for hits in options})
    home = names[int(draw.integers(len(names)))]
    chosen = {}
    for role in sorted(drums):
        options = drums[role]
        own = [hits for hits in options if hits.source.name == home]
        pool = own if own and draw.random() < at_home else options
        chosen[role] = pool[int(draw.integers(len(pool)))]
    return Kit(chosen, mirrored=bool(draw.random() < 0.3))


def _hit(path: Path) -> Audio:
    audio = load(path)[:, : round(LONGEST_SECONDS * RATE)]
    audio = np.repeat(audio, 2, 0) if len(audio) == 1 else audio
    peak = float(np.abs(audio).max(initial=0.0))
    return np.ascontiguousarray(audio / peak if peak else audio, np.float32)


def _until(beat: float, closings: list[float]) -> float:
    later = np.searchsorted(closings, beat + 1e-3)
    return closings[later] - beat if later < len(closings) else 1e3


def _add(out: Audio, sound: Audio, start: int, held_seconds: float, gain: float, pan: float) -> None:
    begin = max(0, start)
    frames = min(sound.shape[-1], round(held_seconds * RATE) + 1500, out.shape[-1] - begin)
    if frames <= 0:
        return
    left, right = np.sqrt(np.array([1 - pan, 1 + pan], np.float32)) * np.float32(gain)
    piece = sound[:, :frames] * np.array([[left], [right]], np.float32)
    fade = min(1500, frames)
    if frames < sound.shape[-1]:
        piece[:, frames - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    out[:, begin : begin + frames] += piece
