"""How far each parameter of pedalboard's own effects may be moved by hand, and how its knob travels.

Pedalboard takes more than this. The ends are where an effect still does what one moves it for, and where it
is safe: a feedback of one grows without end, a filter above half the sample rate is unstable.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["number", "switch", "choice"]
Law = Literal["linear", "logarithmic"]


class Travel(NamedTuple):
    """The range of a parameter; choices and switches have none.

    `changes_delay` says that a move changes how late the effect is.
    """

    lowest: float = 0.0
    highest: float = 1.0
    unit: str = ""
    law: Law = "linear"
    kind: Kind = "number"
    changes_delay: bool = False


_SHARE = Travel()
_FEEDBACK = Travel(-0.95, 0.95)
_THRESHOLD = Travel(-60.0, 0.0, "dB")
_ATTACK = Travel(0.1, 200.0, "ms", "logarithmic")
_RELEASE = Travel(1.0, 2000.0, "ms", "logarithmic")
_RATE = Travel(0.01, 20.0, "Hz", "logarithmic")
CUTOFF_HZ = Travel(20.0, 20000.0, "Hz", "logarithmic")
_TONE = {
    "cutoff_frequency_hz": CUTOFF_HZ,
    "gain_db": Travel(-24.0, 24.0, "dB"),
    "q": Travel(0.1, 20.0, "", "logarithmic"),
}
_QUALITY = Travel(kind="choice", changes_delay=True)

EFFECT_RANGES: dict[str, dict[str, Travel]] = {
    "Bitcrush": {"bit_depth": Travel(1.0, 32.0, "bits")},
    "BrickwallLimiter": {
        "ceiling_db": _THRESHOLD,
        "release_ms": _RELEASE,
        "lookahead_ms": Travel(0.1, 20.0, "ms", "logarithmic", changes_delay=True),
        "true_peak": Travel(kind="switch", changes_delay=True),
    },
    "Chorus": {
        "rate_hz": _RATE,
        "depth": _SHARE,
        "centre_delay_ms": Travel(1.0, 100.0, "ms", "logarithmic"),
        "feedback": _FEEDBACK,
        "mix": _SHARE,
    },
    "Clipping": {"threshold_db": _THRESHOLD},
    "Compressor": {
        "threshold_db": _THRESHOLD,
        "ratio": Travel(1.0, 20.0, "", "logarithmic"),
        "attack_ms": _ATTACK,
        "release_ms": _RELEASE,
    },
    "Convolution": {"mix": _SHARE},
    "Delay": {
        "delay_seconds": Travel(0.001, 10.0, "s", "logarithmic"),
        "feedback": Travel(0.0, 0.95),
        "mix": _SHARE,
    },
    "Distortion": {"drive_db": Travel(0.0, 60.0, "dB")},
    "GSMFullRateCompressor": {"quality": _QUALITY},
    "Gain": {"gain_db": Travel(-90.0, 24.0, "dB")},
    "HighShelfFilter": _TONE,
    "HighpassFilter": {"cutoff_frequency_hz": CUTOFF_HZ},
    "Invert": {},
    "LadderFilter": {
        "mode": Travel(kind="choice"),
        "cutoff_hz": CUTOFF_HZ,
        "resonance": _SHARE,
        "drive": Travel(1.0, 10.0, "", "logarithmic"),
    },
    "Limiter": {"threshold_db": _THRESHOLD, "release_ms": _RELEASE},
    "LowShelfFilter": _TONE,
    "LowpassFilter": {"cutoff_frequency_hz": CUTOFF_HZ},
    "MP3Compressor": {"vbr_quality": Travel(0.0, 9.9, changes_delay=True)},
    "NoiseGate": {
        "threshold_db": Travel(-100.0, 0.0, "dB"),
        "ratio": Travel(1.0, 100.0, "", "logarithmic"),
        "attack_ms": _ATTACK,
        "release_ms": _RELEASE,
    },
    "PeakFilter": _TONE,
    "Phaser": {
        "rate_hz": _RATE,
        "depth": _SHARE,
        "centre_frequency_hz": CUTOFF_HZ,
        "feedback": _FEEDBACK,
        "mix": _SHARE,
    },
    "PitchShift": {"semitones": Travel(-24.0, 24.0, "semitones", changes_delay=True)},
    "Resample": {
        "target_sample_rate": Travel(1000.0, 48000.0, "Hz", "logarithmic", changes_delay=True),
        "quality": _QUALITY,
    },
    "Reverb": {
        "room_size": _SHARE,
        "damping": _SHARE,
        "wet_level": _SHARE,
        "dry_level": _SHARE,
        "width": _SHARE,
        "freeze_mode": _SHARE,
    },
}
"""Every settable parameter of every effect, in the order in which a person reads them."""

HIGHEST_SHARE_OF_RATE = 0.45
"""Where a cutoff frequency must end, as a share of the sample rate."""
