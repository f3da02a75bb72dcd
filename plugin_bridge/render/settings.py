"""What a render is asked for, checked before anything is read."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from plugin_bridge.render import naming
from plugin_bridge.render.encoding import ENCODINGS, Encoding

Format = Literal["wav", "flac"]
Subtype = Literal["float32", "pcm24", "pcm16"]
Device = Literal["auto", "cpu", "cuda", "mps"]

FORMATS: tuple[str, ...] = get_args(Format)
SUBTYPES: tuple[str, ...] = get_args(Subtype)

_LOWEST_RATE, _HIGHEST_RATE = 1000, 768000
_HIGHEST_FLAC_RATE = 655350


@dataclass(frozen=True)
class Settings:
    """Everything that decides what is written; raises `ValueError` for what cannot be.

    `subtype` None is float32 in WAV and 24 bit in FLAC. `sample_rate` None is the source's. `channels`
    holds one or two 1-based numbers, or none for all. `stems` None is all of them. `automation` is the hash
    of what moves, which starts `automation_start` seconds into a song. `shifts` None is what the card says.
    """

    stems: tuple[str, ...] | None = None
    mix: bool = False
    format: str = "wav"
    subtype: str | None = None
    sample_rate: int | None = None
    name: str = naming.DEFAULT_TEMPLATE
    channels: tuple[int, ...] = ()
    automation: str | None = None
    automation_start: float = 0.0
    shifts: int | None = None
    encoding: Encoding = field(init=False)

    def __post_init__(self) -> None:
        one_of("format", self.format, FORMATS)
        subtype = self.subtype or ("float32" if self.format == "wav" else "pcm24")
        one_of("subtype", subtype, SUBTYPES)
        object.__setattr__(self, "encoding", ENCODINGS[subtype])
        if self.format == "flac" and self.encoding.is_float:
            raise ValueError("subtype must be pcm24 or pcm16 in FLAC, got 'float32'; use format wav")
        if self.sample_rate is not None and not _LOWEST_RATE <= self.sample_rate <= _HIGHEST_RATE:
            bounds = f"{_LOWEST_RATE} to {_HIGHEST_RATE} Hz"
            raise ValueError(f"sample_rate must be 'source' or {bounds}, got {self.sample_rate}")
        self.check_rate(self.sample_rate or 0)
        repeats = len(set(self.channels)) < len(self.channels)
        if len(self.channels) > 2 or repeats or min((1, *self.channels)) < 1:
            listed = ",".join(str(number) for number in self.channels)
            raise ValueError(f"channels must be one or two different numbers from 1, got {listed}")
        if not self.stems and self.stems is not None and not self.mix:
            raise ValueError("stems must name at least one where no mix is asked for, got none")
        for stem in self.stems or ():
            if self.stems and self.stems.count(stem) > 1:
                raise ValueError(f"stems must differ, got '{stem}' twice; name it once")
        naming.check_template(self.name)

    def check_rate(self, sample_rate: int) -> None:
        """Raise `ValueError` when the format cannot state a rate."""
        if self.format == "flac" and sample_rate > _HIGHEST_FLAC_RATE:
            raise ValueError(
                f"sample_rate must be at most {_HIGHEST_FLAC_RATE} Hz in FLAC, got {sample_rate}; use wav"
            )

    def check_stems(self, sources: tuple[str, ...]) -> None:
        """Raise `ValueError` unless all stems asked for are among a model's sources."""
        for stem in self.stems or ():
            one_of("stems", stem, sources)

    def written(self, sources: tuple[str, ...]) -> tuple[str, ...]:
        """The stems to write, in the model's order."""
        return sources if self.stems is None else tuple(name for name in sources if name in self.stems)

    def as_dict(self) -> dict[str, Any]:
        """The settings as a manifest keeps them: two equal ones give equal files."""
        moving = {"automation": self.automation, "automation_start": self.automation_start}
        return {
            **(moving if self.automation is not None else {}),
            **({"shifts": self.shifts} if self.shifts is not None else {}),
            "stems": None if self.stems is None else sorted(self.stems),
            "mix": self.mix,
            "format": self.format,
            "subtype": self.encoding.name,
            "sample_rate": self.sample_rate or "source",
            "name": self.name,
            "channels": list(self.channels),
        }


def one_of(what: str, value: str, candidates: tuple[str, ...]) -> None:
    """Raise `ValueError` unless `value` is one of `candidates`."""
    if value not in candidates:
        raise ValueError(f"{what} must be one of {', '.join(candidates)}, got '{value}'")
