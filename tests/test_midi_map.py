"""MIDI maps: their form, where they lie, what ships, and the page that is made from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_bridge.control.address_space import table
from plugin_bridge.control.midi_map import Control, load_map, map_names, parse_map, shipped_maps_folder
from plugin_bridge.control.midi_page import midi_page
from tests.control_desk import parameters_of

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted(path.stem for path in shipped_maps_folder().glob("*.toml"))


def one(**values: object) -> str:
    """A map with one control."""
    pairs = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f"control = [{{ {pairs} }}]"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_target_of_a_shipped_map_exists_on_a_board_of_eight_stems(name: str) -> None:
    stems = tuple(f"stem{number}" for number in range(1, 9))
    known = table(stems, parameters_of(stems))
    paths = {*known, *(alias for leaf in known.values() for alias in leaf.aliases)}
    targets = [control.target for control in load_map(name).control]
    assert targets
    assert set(targets) <= paths


@pytest.mark.parametrize("name", SHIPPED)
def test_no_message_moves_two_things_by_a_shipped_map(name: str) -> None:
    controls = load_map(name).control
    for index, control in enumerate(controls):
        assert not [other.target for other in controls[index + 1 :] if control.overlaps(other)]


def test_the_shipped_maps_and_the_prose_of_their_page_are_in_the_wheel() -> None:
    from hatchling.builders.wheel import WheelBuilder

    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"plugin_bridge/control/maps/{name}.toml" for name in SHIPPED} <= packed
    assert "plugin_bridge/control/midi_page.md" in packed


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "midi.md").read_text("utf-8") == midi_page(), (
        "docs/midi.md must be what the maps say: plugin-bridge midi page > docs/midi.md"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nam = 'x'", "unknown field `nam`"),
        (one(type='"cc"', number=1, target='"/a"', colour=3), "unknown field `colour` - at `$.control[0]`"),
        (one(type='"knob"', number=1, target='"/a"'), "Invalid enum value 'knob'"),
        (one(type='"cc"', target='"/a"'), "number of cc must be 0 to 127, got None"),
        (one(type='"cc"', number=128, target='"/a"'), "number of cc must be 0 to 127, got 128"),
        (one(type='"cc14"', number=32, target='"/a"'), "number of cc14 must be 0 to 31, got 32"),
        (one(type='"program"', number=0, target='"/a"'), "number of program must be 1 to 128, got 0"),
        (one(type='"pitchbend"', number=1, target='"/a"'), "number must be left out of pitchbend"),
        (one(type='"cc"', number=1, target='"/a"', channel=17), "`int` <= 16"),
        (one(type='"cc"', number=1, target='"stem/1/fader"'), "target must be an address"),
        (one(type='"cc"', number=1, target='"/stem/*/fader"'), "target must be an address"),
        (one(type='"cc14"', number=1, target='"/a"', mode='"toggle"'), "mode of cc14 must be one of"),
        (one(type='"cc"', number=1, target='"/a"', lowest=0.5, highest=0.5), "highest must differ"),
        (one(type='"cc"', number=1, target='"/a"', lowest=-1), "`float` >= 0.0"),
        (one(type='"cc"', number=1, target='"/a"', lowest="nan"), "`float` >= 0.0"),
        (one(type='"cc"', number=1, target='"/a"', ring=48), "ring must be given to an endless encoder"),
        (one(type='"program"', target='"/a"', feedback="true"), "feedback must go to"),
        (one(type='"pitchbend"', target='"/a"', argument=1), "argument must be given to a button"),
        ("control = 3", "Expected `array`, got `int`"),
        ("control = [", "must be TOML"),
        ("a = " + "[" * 3000, "must be TOML"),
        ("schema = 2", "must have schema 1 or older, got 2"),
    ],
)
def test_a_bad_map_is_refused_in_one_sentence_that_names_the_file(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"a MIDI map must.*box\.toml") as caught:
        parse_map(text, Path("box.toml"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_maps_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ValueError, match=r"must be TOML, got .*latin\.toml"):
        load_map(tmp_path / "latin.toml")
    with pytest.raises(ValueError, match=r"must be a readable file, got .*none\.toml: No such file"):
        load_map(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="did you mean 'mackie-control'"):
        load_map("mackie-contrl")
    with pytest.raises(ValueError, match="known maps: default, mackie-control"):
        load_map("../../etc/passwd")


def test_the_users_map_takes_the_place_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGIN_BRIDGE_DATA", str(tmp_path))
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "default.toml").write_text(one(type='"cc"', number=1, target='"/a"'))
    (tmp_path / "midi" / "mine.toml").write_text("port = 'nano'")
    assert map_names() == ["default", "mackie-control", "mine"]
    assert [control.target for control in load_map("default").control] == ["/a"]
    assert load_map("mine").ports == ("nano",)


# Without denormals: a hosted plugin built with -ffast-math turns them off for the whole thread.
places = st.floats(0.0, 1.0, allow_subnormal=False)


@given(places, st.sampled_from(["linear", "squared", "root"]), places, places)
def test_place_is_the_inverse_of_travel(at: float, curve: str, lowest: float, highest: float) -> None:
    if abs(highest - lowest) < 0.01:
        highest = 0.0 if lowest > 0.5 else 1.0
    control = Control(target="/a", type="cc", number=0, lowest=lowest, highest=highest, curve=curve)  # type: ignore[arg-type]
    assert min(lowest, highest) - 1e-9 <= control.travel(at) <= max(lowest, highest) + 1e-9
    assert control.travel(control.place(control.travel(at))) == pytest.approx(control.travel(at), abs=1e-6)
