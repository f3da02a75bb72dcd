"""The table of addresses: what a board has, how values travel, what is refused."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest

from plugin_bridge.board.parameter_tree import Key, Parameter
from plugin_bridge.control.address_space import AddressSpace, Leaf, table
from plugin_bridge.control.address_space.actions import Forbidden, UnknownName
from plugin_bridge.control.address_space.leaf import fader_of, gain_of
from plugin_bridge.control.commands import Event, Level, Moved, PresetNamed, Rebuilt, Switched
from plugin_bridge.errors import PresetError, UnknownAddress
from tests.control_desk import Desk, parameters_of


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def space(desk: Desk) -> AddressSpace:
    return AddressSpace(desk)


def float32(value: float) -> float:
    number: float = struct.unpack(">f", struct.pack(">f", value))[0]
    return number


@pytest.mark.parametrize("gain_db", [-90.0, -75.3, -60.0, -45.0, -30.0, -17.25, -10.0, -6.0, 0.0, 3.3, 10.0])
def test_the_fader_law_is_exactly_invertible(gain_db: float) -> None:
    assert gain_of(fader_of(gain_db)) == pytest.approx(gain_db if gain_db > -90 else -math.inf, abs=1e-9)


def test_a_fader_knows_its_marks() -> None:
    assert (fader_of(0.0), fader_of(10.0), fader_of(24.0), fader_of(-math.inf)) == (0.75, 1.0, 1.0, 0.0)


def test_stems_go_by_name_and_by_number_from_one(space: AddressSpace) -> None:
    assert space.find("/stem/1/gain") is space.find("/stem/vocals/gain")
    assert space.find("/stem/4/fader") is space.find("/stem/other/fader")
    with pytest.raises(UnknownAddress, match="got '/stem/0/gain'"):
        space.find("/stem/0/gain")


def test_an_unknown_address_names_what_there_is(space: AddressSpace) -> None:
    with pytest.raises(UnknownAddress, match="below /stem there is list, vocals"):
        space.find("/stem/vocal/gain")


def test_every_leaf_shows_what_it_holds(space: AddressSpace) -> None:
    for leaf in space.leaves.values():
        if leaf.readable:
            assert all(isinstance(each, bool | int | float | str) for each in leaf.arguments())


def test_every_place_of_every_travel_is_reached(space: AddressSpace) -> None:
    travelling = [leaf for leaf in space.leaves.values() if leaf.travel and leaf.key]
    assert len(travelling) >= 35
    for leaf in travelling:
        for place in (0.0, 1.0, 0.5):
            space.set(leaf, (leaf.at_position(place),))
            once = leaf.position()
            if leaf.types == "f" and not (leaf.parameter and leaf.parameter.choices):
                assert once == pytest.approx(place, abs=1e-6), leaf.path
            space.set(leaf, leaf.arguments())
            assert leaf.position() == pytest.approx(once, abs=1e-9), leaf.path


@pytest.mark.parametrize(
    ("path", "sent", "value", "shown"),
    [
        ("/stem/vocals/gain", -6, -6.0, -6.0),
        ("/stem/vocals/gain", 99.0, 24.0, 24.0),
        ("/stem/vocals/gain", -200.0, -math.inf, -90.0),
        ("/stem/vocals/gain", -90.0, -math.inf, -90.0),
        ("/stem/vocals/fader", 0.75, 0.0, 0.75),
        ("/stem/vocals/fader", 7.0, 10.0, 1.0),
        ("/stem/vocals/fader", 0.0, -math.inf, 0.0),
        ("/stem/vocals/pan", 0.5, 0.0, 0.5),
        ("/stem/vocals/pan", -3.0, -1.0, 0.0),
        ("/stem/vocals/mute", 1, True, 1),
        ("/stem/vocals/mute", 1.0, True, 1),
        ("/stem/vocals/mute", True, True, 1),
        ("/stem/vocals/mute", False, False, 0),
        ("/stem/vocals/mute", 0.0, False, 0),
        ("/stem/vocals/fx/1/threshold_db", -99, -60.0, -60.0),
        ("/stem/vocals/fx/1/ratio/norm", 1.0, 20.0, 1.0),
        ("/stem/vocals/fx/2/mode", "HPF24", "HPF24", "HPF24"),
        ("/stem/vocals/fx/2/mode", 1, "LPF12", "LPF12"),
        ("/stem/vocals/fx/2/mode", 99, "BPF24", "BPF24"),
        ("/stem/vocals/fx/2/mode/norm", 1.0, "BPF24", 1.0),
        ("/stem/vocals/fx/2/bypass", 1, True, 1),
        ("/master/mix", 0.25, 0.25, 0.25),
    ],
)
def test_a_set_value_is_clipped_and_shown(
    desk: Desk, space: AddressSpace, path: str, sent: float | str, value: object, shown: object
) -> None:
    leaf = space.find(path)
    assert space.set(leaf, (sent,)) == (shown,)
    assert leaf.key is not None
    assert desk.values[leaf.key] == value
    assert leaf.arguments() == (shown,)


@pytest.mark.parametrize(
    ("path", "sent", "error"),
    [
        ("/stem/vocals/gain", math.nan, ValueError),
        ("/stem/vocals/gain", math.inf, ValueError),
        ("/stem/vocals/gain", -math.inf, ValueError),
        ("/stem/vocals/fader", math.nan, ValueError),
        ("/stem/vocals/mute", math.nan, ValueError),
        ("/stem/vocals/fx/2/mode", math.nan, ValueError),
        ("/stem/vocals/fx/2/mode", "nonsense", ValueError),
        ("/stem/vocals/gain", "loud", TypeError),
        ("/stem/vocals/gain", True, TypeError),
        ("/stem/vocals/mute", "on", TypeError),
        ("/bypass", "on", TypeError),
    ],
)
def test_what_is_no_value_is_refused(
    desk: Desk, space: AddressSpace, path: str, sent: float | str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        space.set(space.find(path), (sent,))
    assert desk.log == []


@pytest.mark.parametrize("arguments", [(), (1.0, 2.0)])
def test_a_value_is_one_argument(space: AddressSpace, arguments: tuple[float, ...]) -> None:
    with pytest.raises(TypeError, match="must get one argument"):
        space.set(space.find("/stem/vocals/gain"), arguments)


def test_a_float32_is_kept_as_short_as_it_was_written(desk: Desk, space: AddressSpace) -> None:
    space.set(space.find("/stem/vocals/gain"), (float32(-6.1),))
    assert desk.values[Key("vocals", None, "gain_db")] == -6.1


def test_a_toggle_ignores_the_release(desk: Desk, space: AddressSpace) -> None:
    toggle, mute = space.find("/stem/vocals/mute/toggle"), Key("vocals", None, "mute")
    seen = []
    for arguments in ((), (0,), (1,), (0.0,), (1.0,)):
        space.set(toggle, arguments)
        seen.append(desk.values[mute])
    assert seen == [True, True, False, False, True]


def test_solo_clear_clears_every_solo(desk: Desk, space: AddressSpace) -> None:
    for stem in ("vocals", "bass"):
        space.set(space.find(f"/stem/{stem}/solo"), (1,))
    space.set(space.find("/solo/clear"), (0,))
    assert sum(bool(desk.values[Key(each, None, "solo")]) for each in desk.sources) == 2
    space.set(space.find("/solo/clear"), ())
    assert not any(desk.values[Key(each, None, "solo")] for each in desk.sources)


def test_patterns_reach_existing_values_once(space: AddressSpace) -> None:
    assert [leaf.path for leaf in space.matching("/stem/*/gain")] == [
        f"/stem/{source}/gain" for source in ("vocals", "drums", "bass", "other")
    ]
    assert [leaf.path for leaf in space.matching("/stem/[1-2]/gain")] == [
        "/stem/vocals/gain",
        "/stem/drums/gain",
    ]
    assert [leaf.path for leaf in space.matching("/stem/{bass,other}/pa?")] == [
        "/stem/bass/pan",
        "/stem/other/pan",
    ]
    with pytest.raises(UnknownAddress):
        space.matching("/stem/*/nothing")


@pytest.mark.parametrize(
    ("pattern", "stems"),
    [
        ("/stem/[!v]*/mute", ["drums", "bass", "other"]),
        ("/stem/{drums,other}/mute", ["drums", "other"]),
        ("/stem/?/mute", ["vocals", "drums", "bass", "other"]),
        ("/stem/[!1]/mute", ["drums", "bass", "other"]),
        ("/stem/{2,other}/mute", ["other", "drums"]),
        ("/stem/2/[m]ute", ["drums"]),
        ("/stem/[v]*/fx/1/ratio", ["vocals"]),
    ],
)
def test_patterns_reach_stems_by_number_only_where_numbers_are_asked_for(
    pattern: str, stems: list[str]
) -> None:
    space = AddressSpace(Desk())
    assert sorted(leaf.path.split("/")[2] for leaf in space.matching(pattern)) == sorted(stems)
    with pytest.raises(UnknownAddress):  # only the vocals have effects
        space.matching("/stem/[!v]*/fx/1/ratio")


def test_patterns_reach_nothing_that_acts_once(space: AddressSpace) -> None:
    found = {leaf.path for leaf in space.matching("/*")} | {leaf.path for leaf in space.matching("/*/*")}
    assert {"/bypass", "/model", "/latency", "/preset/current"} <= found
    assert not found & {"/preset/next", "/preset/load", "/subscribe", "/refresh", "/sync", "/solo/clear"}


def test_a_move_touches_all_addresses_of_its_key(desk: Desk, space: AddressSpace) -> None:
    heard: list[Event] = []
    stop = space.watch(heard.append)
    space.set(space.find("/stem/bass/gain"), (-3.0,))
    stop()
    space.set(space.find("/stem/bass/gain"), (-4.0,))
    assert heard == [Moved(Key("bass", None, "gain_db"), -3.0)]
    paths = [leaf.path for leaf in space.touched(heard[0])]
    assert paths == ["/stem/bass/fader", "/stem/bass/gain", "/stem/bass/gain/str"]
    assert [leaf.path for leaf in space.touched(Switched("bypass", True))] == ["/bypass"]
    assert [leaf.path for leaf in space.touched(PresetNamed("loud", False))] == ["/preset/current"]
    assert len(space.touched(Rebuilt())) > 50


def test_another_model_has_other_addresses(desk: Desk, space: AddressSpace) -> None:
    counts: list[int] = []
    space.watch(lambda event: counts.append(len(space.leaves)))
    before = len(space.leaves)
    assert len(space.matching("/stem/*/gain")) == 4
    asyncio.run(space.perform(space.find("/model/load"), ("halves",)))
    assert counts[0] < before
    assert [leaf.path for leaf in space.matching("/stem/*/gain")] == ["/stem/left/gain", "/stem/right/gain"]
    with pytest.raises(UnknownAddress):
        space.find("/stem/vocals/gain")


@pytest.mark.parametrize(
    ("path", "arguments", "results"),
    [
        ("/preset/load", ("loud",), ("loud",)),
        ("/preset/load", (2,), ("flat",)),
        ("/preset/save", ("my-own_1",), ("my-own_1",)),
        ("/preset/prev", (), ("loud",)),
        ("/preset/next", (0,), ()),
        ("/model/load", ("halves",), ("halves", 1536)),
        ("/model/load", (1,), ("classic4", 1536)),
        ("/render/start", ("songs/a.wav", "flat"), ("job1",)),
    ],
)
def test_commands_give_their_results(
    space: AddressSpace, path: str, arguments: tuple[str | int, ...], results: tuple[object, ...]
) -> None:
    assert asyncio.run(space.perform(space.find(path), arguments)) == results


@pytest.mark.parametrize(
    ("path", "arguments", "error"),
    [
        ("/preset/load", ("none",), UnknownName),
        ("/preset/load", (0,), UnknownName),
        ("/preset/load", ("../secret",), Forbidden),
        ("/preset/load", ("/etc/passwd",), Forbidden),
        ("/preset/save", ("a b",), Forbidden),
        ("/preset/load", (), TypeError),
        ("/preset/load", (1.5,), TypeError),
        ("/preset/load", ("broken",), PresetError),
        ("/model/load", ("none",), UnknownName),
        ("/render/start", ("../../a.wav",), Forbidden),
        ("/render/start", ("a.wav", "none"), UnknownName),
        ("/render/start", (3,), TypeError),
        ("/render/cancel", ("job9",), UnknownName),
    ],
)
def test_commands_refuse(
    space: AddressSpace, path: str, arguments: tuple[str | int, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        asyncio.run(space.perform(space.find(path), arguments))


def test_next_and_previous_go_round_and_step_over_what_cannot_play(space: AddressSpace) -> None:
    async def walk() -> list[object]:
        steps = ["/preset/next", "/preset/next", "/preset/prev", "/preset/prev"]
        await space.perform(space.find("/preset/load"), ("flat",))
        return [(await space.perform(space.find(each), ()))[0] for each in steps]

    assert space.commands.presets() == ["broken", "flat", "loud"]
    assert asyncio.run(walk()) == ["loud", "flat", "loud", "flat"]


def test_where_no_other_preset_can_play_the_first_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(desk, "presets", lambda: ["broken", "flat"])
    space = AddressSpace(desk)

    async def walk() -> None:
        await space.perform(space.find("/preset/load"), ("flat",))
        with pytest.raises(PresetError, match=r"broken\.toml"):
            await space.perform(space.find("/preset/next"), ())

    asyncio.run(walk())
    assert desk.preset == ("flat", False)


def test_levels_are_shown(desk: Desk, space: AddressSpace) -> None:
    desk.heard_levels["vocals"] = Level(-30.0, -40.0, -50.0, -60.0)
    assert space.find("/meter/vocals").arguments() == (-30.0, -40.0, -50.0, -60.0)
    assert space.find("/stem/vocals/vu").arguments() == (0.5,)
    assert space.find("/stem/drums/vu").arguments() == (0.0,)


def test_the_effects_are_listed(space: AddressSpace) -> None:
    assert space.find("/stem/vocals/fx/list").arguments() == (1, "Compressor", 0, 2, "LadderFilter", 0)
    assert space.find("/stem/bass/fx/list").arguments() == ()


def test_names_that_osc_cannot_carry_are_made_fit() -> None:
    key = Key("my stem/1", 0, "Dry*Wet [%]")
    leaves = table(("my stem/1",), {key: Parameter(key, "number", 0.0)})
    assert "/stem/my_stem_1/fx/1/Dry_Wet____" in leaves
    assert not [path for path in leaves if set(path) & set(" #*,?[]{}")]


def test_names_that_become_one_are_kept_apart() -> None:
    keys = [Key("a", 0, "x y"), Key("a", 0, "x_y")]
    leaves = table(("a",), {key: Parameter(key, "number", 0.0) for key in keys})
    assert leaves["/stem/a/fx/1/x_y"].key == keys[0]
    assert leaves["/stem/a/fx/1/x_y_2"].key == keys[1]


def test_the_table_stands_without_an_engine() -> None:
    leaves = table(("vocals", "rest"), parameters_of(("vocals", "rest")))
    assert leaves["/stem/vocals/gain"].arguments() == (0.0,)
    assert leaves["/stem/vocals/fx/1/threshold_db"].default == -20.0
    documented: list[Leaf] = [leaf for leaf in leaves.values() if leaf.description]
    assert len(documented) == len(leaves)
