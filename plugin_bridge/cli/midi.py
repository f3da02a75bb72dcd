"""List MIDI ports, learn which control moves what, and show or check MIDI maps.

learn waits for the next control that is moved, and enters it in a map of the user's.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.control.midi_learn import Learner

_READ_SECONDS, _LOOK_SECONDS = 0.004, 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `midi list`, `midi learn`, `midi maps` and `midi page`."""
    actions = parser.add_subparsers(dest="action", metavar="list|learn|maps|page", required=True)
    ports = actions.add_parser("list", help="the ports of this machine", allow_abbrev=False)
    learn = actions.add_parser("learn", help="wait for a control and enter it in a map", allow_abbrev=False)
    learn.add_argument("target", metavar="TARGET", help="an address, such as /stem/1/fader")
    learn.add_argument("--port", default="", metavar="NAME", help="part of a port's name (default: every)")
    learn.add_argument("--map", default="learned", metavar="NAME", help="your map (default: learned)")
    learn.add_argument("--mode", metavar="MODE", help="how the control works, see plugin-bridge midi page")
    for each in (ports, learn):
        each.add_argument("--midi-system", default="", metavar="alsa|jack|coremidi|windows")
        each.add_argument("--server", default="", metavar="NAME", help="the JACK server's name")
    maps = actions.add_parser("maps", help="MIDI maps: list them, show or check one", allow_abbrev=False)
    of_maps = maps.add_subparsers(dest="maps_action", metavar="list|show|check", required=True)
    of_maps.add_parser("list", help="one line for each map", allow_abbrev=False)
    show = of_maps.add_parser("show", help="a map's file", allow_abbrev=False)
    show.add_argument("name", metavar="NAME", help="a map's name or file")
    check = of_maps.add_parser("check", help="read a map and say what it moves", allow_abbrev=False)
    check.add_argument("file", metavar="FILE", help="a .toml file")
    actions.add_parser("page", help="the page on MIDI, with every shipped map", allow_abbrev=False)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    if arguments.action == "list":
        _list(arguments)
    elif arguments.action == "learn":
        _learn(arguments)
    elif arguments.action == "page":
        _page()
    elif arguments.maps_action == "list":
        _list_maps()
    elif arguments.maps_action == "show":
        _show(arguments.name)
    else:
        _check(arguments.file)
    return 0


def _list(arguments: argparse.Namespace) -> None:
    from plugin_bridge.cli.text import on_one_line
    from plugin_bridge.control.midi_system import MidiSystem, plain_name, port_names

    ins, outs = port_names(MidiSystem(arguments.midi_system, arguments.server))
    for direction, names in (("in", ins), ("out", outs)):
        for name in names:
            print(f"{direction:<3}  {on_one_line(plain_name(name))}")
    if not ins and not outs:
        print("no MIDI port is there")


def _learn(arguments: argparse.Namespace) -> None:
    from plugin_bridge.control.midi_learn import Learner, check_target, described, write_control

    check_target(arguments.target, arguments.map, arguments.mode)
    _check_address(arguments.target)
    learner = Learner(arguments.target, any_program=arguments.target in ("/preset/load", "/model/load"))
    _listen(arguments, learner)
    control = learner.control(arguments.mode)
    path, replaced = write_control(control, arguments.map, arguments.midi_system)
    print(f"{described(control)} moves {control.target} in {path}")
    for each in replaced:
        print(f"  it takes the place of {described(each)}, which moved {each.target}")


def _check_address(target: str) -> None:
    """Raise `ValueError` for an address that no board has; which effects there are is a preset's matter."""
    from plugin_bridge.board.parameter_tree import board_parameters
    from plugin_bridge.board.strip import Strip
    from plugin_bridge.control.address_space import table

    top, _, below = target.removeprefix("/").partition("/")
    rest = below.partition("/")[2]
    if "/fx/" in target:
        return
    address = f"/stem/any/{rest}" if top == "stem" and rest else target
    leaf = table(("any",), board_parameters({"any": Strip()}, Strip())).get(address)
    if leaf is None or not leaf.writable:
        raise ValueError(
            f"target must be an address that can be moved, got '{target}'; plugin-bridge osc list has them"
        )


def _listen(arguments: argparse.Namespace, learner: Learner) -> None:
    import time

    from plugin_bridge.cli.text import on_one_line
    from plugin_bridge.control.midi_lines import Lines
    from plugin_bridge.control.midi_system import MidiSystem, plain_name, port_names

    system = MidiSystem(arguments.midi_system, arguments.server)
    every = tuple(map(plain_name, port_names(system)[0]))
    lines = Lines(system, (arguments.port,) if arguments.port else every, listens_only=True)
    try:
        looked = -_LOOK_SECONDS
        while not learner.knows(now := time.monotonic()):
            if now >= looked + _LOOK_SECONDS:
                for sentence in lines.look():
                    print(on_one_line(sentence), flush=True)
                if looked < 0:
                    print(f"move what shall move {arguments.target} (Ctrl-C to leave)", flush=True)
                looked = now
            for port, message in lines.messages(64):
                learner.hear(message, port, now)
            time.sleep(_READ_SECONDS)
    finally:
        lines.close()


def _list_maps() -> None:
    from plugin_bridge.cli.text import on_one_line
    from plugin_bridge.control.midi_map import load_map, map_names

    names = map_names()
    width = max(map(len, names), default=0)
    for name in names:
        try:
            print(f"{name:<{width}}  {on_one_line(load_map(name).description)}")
        except ValueError as error:
            print(f"{name:<{width}}  {on_one_line(f'broken: {error}')}")


def _show(name: str) -> None:
    from plugin_bridge.control.midi_map import load_map, map_path

    load_map(name)
    print(map_path(name).read_text("utf-8"), end="")


def _check(file: str) -> None:
    from pathlib import Path

    from plugin_bridge.control.midi_map import load_map

    midi_map = load_map(Path(file))
    targets = ", ".join(dict.fromkeys(control.target for control in midi_map.control)) or "nothing"
    print(f"{file} is well: {len(midi_map.control)} controls move {targets}")


def _page() -> None:
    from plugin_bridge.control.midi_page import midi_page

    print(midi_page(), end="")
