"""MIDI maps: which control of a device moves which address, as a TOML file.

Ours lie in `maps/`, the user's in their config folder, in the same form. A map names addresses of the
address space and knows no board: what the present board lacks simply waits.
"""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from platformdirs import user_config_path

SCHEMA = 1
"""The version of the form that this program writes."""

Kind = Literal["cc", "cc14", "note", "pitchbend", "program", "aftertouch"]
Mode = Literal["absolute", "toggle", "momentary", "twos_complement", "signed_bit", "binary_offset"]
Curve = Literal["linear", "squared", "root"]
_NAME = re.compile(r"[a-z0-9_-]+")
RELATIVE = ("twos_complement", "signed_bit", "binary_offset")

Seven = Annotated[int, msgspec.Meta(ge=0, le=127)]
Travel = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

_MODES: dict[str, tuple[str, ...]] = {
    "cc": ("absolute", "toggle", "momentary", *RELATIVE),
    "cc14": ("absolute",),
    "note": ("toggle", "momentary", "absolute"),
    "pitchbend": ("absolute",),
    "program": ("absolute",),
    "aftertouch": ("absolute",),
}
_NUMBERS = {"cc": (0, 127), "cc14": (0, 31), "note": (0, 127), "program": (1, 128)}


class Control(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """One control of a device, and the address that it moves.

    Channels count from 1 and programs from 1, controllers and notes from 0, as devices show them. Without a
    channel or a port, any will do. `lowest` and `highest` are where the target stands at the control's ends,
    0 to 1 of its own travel; `highest` below `lowest` turns the control round.
    """

    target: str
    type: Kind
    number: int | None = None
    channel: Annotated[int, msgspec.Meta(ge=1, le=16)] | None = None
    port: str = ""
    mode: Mode | None = None
    step: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.01
    """Travel per click of an endless encoder."""
    lowest: Travel = 0.0
    highest: Travel = 1.0
    curve: Curve = "linear"
    pickup: bool | None = None
    """Wait until the control passes the target's place; by default where no motor follows the target."""
    feedback: bool = False
    """Send the target's place back: to a motor fader, a lamp, a ring of lamps."""
    touch: Seven | None = None
    """The note that says that a hand is on the fader."""
    ring: Seven | None = None
    """The controller of an encoder's ring of lamps, as on a Mackie Control."""
    argument: float | str | None = None
    """What a press sends to the target instead of moving it."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for what cannot belong together."""
        if not self.target.startswith("/") or any(c in " #*,?[]{}" for c in self.target):
            raise ValueError(f"target must be an address such as /stem/1/fader, got '{self.target}'")
        self._check_number()
        if self.how not in _MODES[self.type]:
            raise ValueError(f"mode of {self.type} must be one of {_MODES[self.type]}, got '{self.how}'")
        if self.lowest == self.highest:
            raise ValueError(f"highest must differ from lowest, got {self.highest:g} for both")
        if self.ring is not None and not self.is_relative:
            raise ValueError(f"ring must be given to an endless encoder only, got mode '{self.how}'")
        if self.argument is not None and not self._is_button:
            raise ValueError(f"argument must be given to a button or a program only, got {self.argument!r}")
        if self.feedback and (self.argument is not None or self.type in ("program", "aftertouch")):
            raise ValueError("feedback must go to a fader, an encoder or a button that switches")
        if self.feedback and self.is_relative and self.ring is None:
            raise ValueError("feedback of an endless encoder must have a ring, got none")

    def _check_number(self) -> None:
        ends = _NUMBERS.get(self.type)
        if ends is None and self.number is not None:
            raise ValueError(f"number must be left out of {self.type}, got {self.number}")
        if ends is not None and not (self.number is None and self.type == "program"):
            lowest, highest = ends
            if self.number is None or not lowest <= self.number <= highest:
                raise ValueError(f"number of {self.type} must be {lowest} to {highest}, got {self.number}")

    @property
    def _is_button(self) -> bool:
        if self.type == "note":
            return self.how != "absolute"
        return self.type == "program" or (self.type == "cc" and not self.is_relative)

    @property
    def how(self) -> str:
        """The mode, or the usual one of the type."""
        return self.mode or _MODES[self.type][0]

    @property
    def is_relative(self) -> bool:
        """Whether it is an endless encoder that sends steps."""
        return self.how in RELATIVE

    @property
    def picks_up(self) -> bool:
        """Whether it takes hold of its target only where it passes the target's place."""
        places = self.how == "absolute" and self.type not in ("note", "program", "aftertouch")
        return places and (not self.feedback if self.pickup is None else self.pickup)

    def overlaps(self, other: Control) -> bool:
        """Whether one message may be meant for both."""
        return (
            self.type.removesuffix("14") == other.type.removesuffix("14")
            and self.number == other.number
            and (None in (self.channel, other.channel) or self.channel == other.channel)
            and ("" in (self.port, other.port) or self.port == other.port)
        )

    def travel(self, at: float) -> float:
        """Where the target belongs when the control stands at 0 to 1."""
        bent = at * at if self.curve == "squared" else at**0.5 if self.curve == "root" else at
        return self.lowest + (self.highest - self.lowest) * bent

    def place(self, travel: float) -> float:
        """Where the control belongs when its target stands at 0 to 1; the inverse of `travel`."""
        bent = min(max((travel - self.lowest) / (self.highest - self.lowest), 0.0), 1.0)
        return bent**0.5 if self.curve == "squared" else bent * bent if self.curve == "root" else bent


class MidiMap(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The controls of a device, or of several."""

    schema: int = SCHEMA
    name: str
    description: str = ""
    port: str = ""
    """The port this map is made for, where none is asked for."""
    system: Literal["", "alsa", "jack", "coremidi", "windows"] = ""
    """The MIDI system of its ports, where none is asked for; "" is the machine's usual one."""
    display: Literal["", "mackie", "mackie-extender"] = ""
    """Which display shows the stems' names."""
    control: list[Control] = []

    @property
    def ports(self) -> tuple[str, ...]:
        """Every port that the map or one of its controls names."""
        named = (self.port, *(control.port for control in self.control))
        return tuple(dict.fromkeys(port for port in named if port))


def user_maps_folder() -> Path:
    """Where the user's maps lie: `midi` in `PLUGIN_BRIDGE_DATA`, else in the platform's config folder."""
    own = os.environ.get("PLUGIN_BRIDGE_DATA")
    return (Path(own) if own else user_config_path("plugin-bridge")) / "midi"


def shipped_maps_folder() -> Path:
    """Where our maps lie."""
    return Path(__file__).resolve().parent / "maps"


def map_names() -> list[str]:
    """Names of all maps, sorted."""
    folders = (user_maps_folder(), shipped_maps_folder())
    files = (path for folder in folders if folder.is_dir() for path in folder.glob("*.toml"))
    return sorted({path.stem for path in files if path.is_file() and _NAME.fullmatch(path.stem)})


def map_path(name: str | os.PathLike[str]) -> Path:
    """The file of a map's name, the user's before ours, or of a path that ends in `.toml`.

    Raises `ValueError` for an unknown name.
    """
    if not isinstance(name, str) or name.endswith(".toml"):
        return Path(name)
    if _NAME.fullmatch(name):
        for folder in (user_maps_folder(), shipped_maps_folder()):
            if (folder / f"{name}.toml").is_file():
                return folder / f"{name}.toml"
    near = get_close_matches(name, map_names(), n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known maps: {', '.join(map_names())}"
    raise ValueError(f"a MIDI map must be a known name or a .toml file, got '{name}'; {remedy}")


def load_map(name: str | os.PathLike[str]) -> MidiMap:
    """The map of a name or a file. Raises `ValueError` for one that is missing, malformed or too new."""
    path = map_path(name)
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"a MIDI map must be TOML, got {path}: {error}; mend the file") from error
    except OSError as error:
        raise ValueError(f"a MIDI map must be a readable file, got {path}: {error.strerror}") from error
    return parse_map(text, path)


def parse_map(text: str, path: Path) -> MidiMap:
    """The map in a text; `path` is named in errors. Raises `ValueError` as `load_map` does."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a MIDI map must be TOML, got {path}: {error}; mend the file") from error
    version = values.get("schema", SCHEMA)
    if isinstance(version, int) and version > SCHEMA:
        raise ValueError(
            f"a MIDI map must have schema {SCHEMA} or older, got {version} in {path}; update this program"
        )
    try:
        return msgspec.convert({"name": path.stem, **values}, MidiMap)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"a MIDI map must have the known form, got {path}: {error}; mend the file"
        ) from error
