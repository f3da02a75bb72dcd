"""What a render says of a song: levels, null, speed; `report.json` and what `--json` prints."""

import math
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import msgspec
import soundfile

from plugin_bridge import __version__

EXACT_NULL_DBFS = -240.0
"""Stated for a residual of exactly zero, because JSON has no infinity."""

Status = Literal["rendered", "skipped", "failed"]


class StemReport(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its path from the report's folder, and its levels as written (None where there are none)."""

    path: str
    peak_dbfs: float | None
    true_peak_dbtp: float | None
    integrated_lufs: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One song. `error` is one sentence and is set exactly where `status` is `failed`.

    `null_residual_dbfs` is the peak of (all stems as written) - (source as read, times `common_gain`);
    where it would say nothing it is None, with the reason. `real_time_factor` is seconds of work per
    second of sound; `peak_memory_bytes` is the process's high-water mark so far. `earlier_kept` names
    files of earlier renders that still lie here: altered since, or other stems of an equal render. `details`
    is the trace of a fault that no file should be able to cause.
    """

    source: str
    status: Status
    error: str | None = None
    folder: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    preset: str | None = None
    settings: dict[str, object] = msgspec.field(default_factory=dict)
    sample_rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    source_sample_rate: int | None = None
    source_frames: int | None = None
    silenced_samples: int = 0
    common_gain_db: float = 0.0
    null_residual_dbfs: float | None = None
    null_reason: str | None = None
    stems: dict[str, StemReport] = msgspec.field(default_factory=dict)
    not_carried: list[str] = msgspec.field(default_factory=list)
    earlier_kept: list[str] = msgspec.field(default_factory=list)
    seconds: float | None = None
    real_time_factor: float | None = None
    peak_memory_bytes: int | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    details: str | None = None


def to_json(value: object) -> bytes:
    """JSON for people and programs, UTF-8, ending in a line feed."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def null_dbfs(residual: float) -> float:
    """A residual's peak in dBFS."""
    return max(EXACT_NULL_DBFS, round(20 * math.log10(residual), 2)) if residual > 0 else EXACT_NULL_DBFS


def versions() -> dict[str, str]:
    """What made the files: this package, Python, and the libraries that touch the samples."""
    found = {"plugin-bridge": __version__, "python": sys.version.split()[0]}
    for name in ("numpy", "scipy", "torch", "onnxruntime", "pedalboard", "soundfile", "soxr", "pyloudnorm"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return {**found, "libsndfile": soundfile.__libsndfile_version__}


def peak_memory_bytes() -> int | None:
    """The process's largest resident memory so far; None where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
