"""Ardour without a display on a JACK server, for tests: a session, its wires, its transport, its export.

Ardour runs as its Lua console, which is the whole program but for windows and control surfaces. A loop of
Lua reads one line at a time from the console's input and answers each, so that a test drives it as a person
would.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

Audio = NDArray[np.float32]

CONSOLES = ("ardour7-lua", "ardour8-lua", "ardour9-lua")
PATIENCE_SECONDS = 60.0
_NAME = "session"
_SUPERCLOCK_HZ = 282240000  # the unit in which Ardour keeps time
_ANSWER = "answer:"
_LOOP = f"""
for line in io.lines() do
  local chunk, fault = load(line)
  local done, value = false, fault
  if chunk then done, value = pcall(chunk) end
  io.write("\\n{_ANSWER}", done and "yes " or "no ", tostring(value), "\\n")
  io.flush()
end
"""
_FLOAT_WAV = "20b4ab09-6452-4cb3-bd66-b921cdbd2942"  # Ardour's own format "BWAV 32float"
_PRESET = "11111111-2222-4333-8444-555555555555"
_PRESET_XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<ExportPreset id="{_PRESET}" name="32 bit float">
  <ExportFormat id="{_FLOAT_WAV}"/>
  <ExportFilename>
    <Folder relative="1" path="export"/>
    <Field name="timespan" enabled="1"/>
  </ExportFilename>
</ExportPreset>
"""
# Ardour's ports resample, for playing at other speeds. Of the two on the way round, 16 frames each, its
# record offset counts only one while the master bus is not wired to a sound card.
_CONFIG_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour>
  <Config>
    <Option name="port-resampler-quality" value="0"/>
  </Config>
</Ardour>
"""


def console() -> str:
    """The path of Ardour's Lua console, "" where Ardour is not installed."""
    return next((path for name in CONSOLES if (path := shutil.which(name))), "")


class ArdourLeft(Exception):
    """Ardour ended, or its connection to the server did."""


class Ardour:
    """A running console with settings of its own; `run` gives it a line of Lua and tells what that returned.

    On a JACK server its ports are named `ardour:<track>/audio_in 1` and so on.
    """

    def __init__(self, home: Path, server: str = "") -> None:
        (home / "loop.lua").write_text(_LOOP)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        private = {"HOME": str(home), "JACK_DEFAULT_SERVER": server, "JACK_NO_START_SERVER": "1"}
        self._said: list[str] = []
        self._process = subprocess.Popen(
            [console(), str(home / "loop.lua")],
            env={**kept, **private, "JACK_NO_AUDIO_RESERVATION": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        backend = '"JACK", "ardour", ""' if server else '"None (Dummy)", "", ""'
        self.run(f"AudioEngine:set_backend({backend})")

    def __enter__(self) -> Ardour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # At the end of its input the console closes the session and leaves the server in good order.
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(PATIENCE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def run(self, line: str) -> str:
        """The value of a line of Lua, as text.

        Raises `RuntimeError` with all that Ardour said where the line fails, `ArdourLeft` where Ardour is
        gone.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
        for said in self._process.stdout:
            if not said.startswith(_ANSWER):
                self._said.append(said.rstrip())
                continue
            done, _, value = said.removeprefix(_ANSWER).strip().partition(" ")
            if any("JACK HALTED" in each for each in self._said):
                raise ArdourLeft(self._report(line, value))
            if done == "yes":
                return value
            raise RuntimeError(self._report(line, value))
        raise ArdourLeft(self._report(line, "nothing"))

    def _report(self, line: str, got: str) -> str:
        return "\n".join([f"Ardour must run '{line}', got {got}; it said:", *filter(None, self._said)])

    def number(self, expression: str) -> int:
        """The value of a Lua expression that is a whole number."""
        return int(self.run(f"return {expression}"))

    def create(self, folder: Path, sample_rate: int, tracks: tuple[str, ...]) -> None:
        """Create, save and close a session with a master bus and empty stereo tracks."""
        self.run(f'assert(create_session("{folder}", "{_NAME}", {sample_rate}))')
        for track in tracks:
            order = "ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true"
            self.run(f'Session:new_audio_track(2, 2, nil, 1, "{track}", {order})')
        self.save()
        self.run("close_session()")

    def load(self, folder: Path) -> None:
        """Open a session."""
        self.run(f'assert(load_session("{folder}", "{_NAME}"))')

    def save(self) -> None:
        """Save the session."""
        self.run('Session:save_state("", false, false, false, false, false)')

    def record(self, tracks: tuple[str, ...], until: int) -> None:
        """Arm the tracks, roll from the session's start to a frame, and stop."""
        for track in tracks:
            self._control(track, "rec_enable_control", 1)
        self.run("Session:maybe_enable_record(false)")
        self.run("Session:request_roll(ARDOUR.TransportRequestSource.TRS_UI)")
        self._await(f"Session:transport_sample() >= {until}")
        self.run("Session:request_stop(false, false, ARDOUR.TransportRequestSource.TRS_UI)")
        self._await("not Session:transport_rolling() and not Session:actively_recording()")
        for track in tracks:
            self._control(track, "rec_enable_control", 0)

    def listen(self, tracks: tuple[str, ...]) -> None:
        """Let tracks pass on what comes in, whether or not the transport rolls."""
        for track in tracks:
            self._control(track, "monitoring_control", 1)

    def _control(self, track: str, control: str, value: int) -> None:
        way = "PBD.GroupControlDisposition.NoGroup"
        self.run(f'Session:route_by_name("{track}"):to_track():{control}():set_value({value}, {way})')

    def _await(self, condition: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self.run(f"return {condition}") != "true":
            assert time.monotonic() < end, f"within {PATIENCE_SECONDS:g} s: {condition}"
            time.sleep(0.05)

    def export(self, start: int, end: int, folder: Path) -> Audio:
        """What the master bus plays from frame to frame, faster than time. Shape: `(2, frames)`."""
        self.run("export = Session:simple_export()")
        self.run(f'assert(export:set_preset("{_PRESET}"))')
        self.run(f'export:set_name("mix") export:set_folder("{folder}") export:set_range({start}, {end})')
        self.run("assert(export:run_export())")
        (file,) = folder.glob("mix*.wav")
        audio, _ = soundfile.read(file, dtype="float32", always_2d=True)
        return np.ascontiguousarray(audio.T)


def settings(home: Path) -> None:
    """Write the settings: an export preset of 32-bit floats beside Ardour's own."""
    for version in (7, 8, 9):
        presets = home / f".config/ardour{version}/export"
        presets.mkdir(parents=True)
        (presets / "float.preset").write_text(_PRESET_XML)
        (presets.parent / "config").write_text(_CONFIG_XML)


def _file(folder: Path) -> Path:
    return folder / f"{_NAME}.ardour"


def _media(folder: Path) -> Path:
    return folder / "interchange" / folder.name / "audiofiles"


def put_song(folder: Path, track: str, song: Audio, sample_rate: int, at: int) -> None:
    """Put a song on a track of a closed session. Shape: `(2, frames)`.

    Ardour's console has no import, so the region is written into the session's file.
    """
    tree = ET.parse(_file(folder))
    root = tree.getroot()
    first = int(root.get("id-counter", "0")) + 1
    root.set("id-counter", str(first + 4))
    sources, regions = _found(root, "Sources"), _found(root, "Regions")
    for side, row in enumerate(song):
        name = f"song%{'LR'[side]}.wav"
        soundfile.write(_media(folder) / name, row, sample_rate, subtype="FLOAT")
        ids = {"name": name, "id": str(first + side), "type": "audio", "flags": "", "channel": "0"}
        ET.SubElement(sources, "Source", {**ids, "natural-position": "a0", "gain": "1"})
    unit = _SUPERCLOCK_HZ // sample_rate
    whole = {
        "name": "song",
        "type": "audio",
        "channels": "2",
        "start": "a0",
        "length": f"a{song.shape[1] * unit}@a{at * unit}",
        "fade-in-active": "0",
        "fade-out-active": "0",
        **{f"{role}-{side}": str(first + side) for role in ("source", "master-source") for side in (0, 1)},
    }
    ET.SubElement(regions, "Region", {**whole, "id": str(first + 2), "whole-file": "1"})
    ET.SubElement(_playlist(root, track), "Region", {**whole, "id": str(first + 3), "whole-file": "0"})
    tree.write(_file(folder), encoding="UTF-8", xml_declaration=True)


def prepare(folder: Path, aligned: tuple[str, ...]) -> None:
    """Unplug everything in a closed session, switch its fades off, and align tracks to what is there.

    Unplugged, because Ardour 7 restores wires from one thread while another asks JACK for latencies, and
    JACK's client library then garbles the two requests about every second time; unplugged, about every tenth.
    """
    tree = ET.parse(_file(folder))
    for port in tree.iter("Port"):
        for connection in port.findall("Connection"):
            port.remove(connection)
    for option in tree.iter("Option"):
        if option.get("name") in ("use-region-fades", "use-transport-fades", "use-monitor-fades"):
            option.set("value", "0")
    for route in tree.iter("Route"):
        if route.get("name") in aligned:
            route.set("alignment-choice", "UseExistingMaterial")
    tree.write(_file(folder), encoding="UTF-8", xml_declaration=True)


def put_insert(folder: Path, track: str, latency: int, block: int) -> None:
    """Put an insert before a closed session's track goes out, with its latency entered for a block size.

    Its ports are `ardour:insert 1/audio_send 1` and `ardour:insert 1/audio_return 1`, and so on.
    """
    tree = ET.parse(_file(folder))
    root = tree.getroot()
    first = int(root.get("id-counter", "0")) + 1
    root.set("id-counter", str(first + 3))
    (route,) = (each for each in root.iter("Route") if each.get("name") == track)
    (out,) = (each for each in route.findall("Processor") if each.get("type") == "main-outs")
    named = {"name": "insert 1", "id": str(first), "type": "port", "active": "1", "bitslot": "0"}
    owned = {"own-input": "1", "own-output": "1", "latency": str(latency), "block-size": str(block)}
    insert = ET.Element("Processor", {**named, **owned})
    for number, (direction, way) in enumerate((("Input", "return"), ("Output", "send")), start=first + 1):
        io = {"name": "insert 1", "id": str(number), "direction": direction, "default-type": "audio"}
        ports = ET.SubElement(insert, "IO", io)
        for side in (1, 2):
            ET.SubElement(ports, "Port", {"type": "audio", "name": f"insert 1/audio_{way} {side}"})
    route.insert(list(route).index(out), insert)
    tree.write(_file(folder), encoding="UTF-8", xml_declaration=True)


def recorded(folder: Path, track: str, sample_rate: int) -> tuple[int, Audio]:
    """The frame at which a track's only region lies in a saved session, and its sound.

    Shape: `(2, frames)`.
    """
    root = ET.parse(_file(folder)).getroot()
    unit = _SUPERCLOCK_HZ // sample_rate
    names = {source.get("id"): str(source.get("name")) for source in _found(root, "Sources")}
    (region,) = _playlist(root, track).findall("Region")
    length, _, position = str(region.get("length")).partition("@")
    start, frames = int(str(region.get("start"))[1:]) // unit, int(length[1:]) // unit
    rows = [
        soundfile.read(_media(folder) / names[region.get(f"source-{side}")], dtype="float32")[0]
        for side in (0, 1)
    ]
    return int(position[1:]) // unit, np.stack(rows)[:, start : start + frames]


def _found(root: ET.Element, name: str) -> ET.Element:
    element = root.find(name)
    assert element is not None, name
    return element


def _playlist(root: ET.Element, track: str) -> ET.Element:
    (playlist,) = (each for each in _found(root, "Playlists") if each.get("name") == track)
    return playlist
