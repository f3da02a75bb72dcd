"""`plugin-bridge osc`: the list, and the page that is committed as docs/osc.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from plugin_bridge.cli.main import main
from plugin_bridge.control.address_space import AddressSpace
from plugin_bridge.control.osc.failures import CODES
from plugin_bridge.control.osc.pattern import is_pattern
from tests.control_desk import Desk

PAGE = Path(__file__).resolve().parent.parent / "docs" / "osc.md"


def test_the_committed_page_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["osc", "page"]) == 0
    assert capsys.readouterr().out == PAGE.read_text("utf-8"), "plugin-bridge osc page > docs/osc.md"


def test_every_address_in_the_pages_examples_exists() -> None:
    prose = PAGE.read_text("utf-8").partition("## The addresses")[0]
    tops = "stem|preset|bypass|master|model|meter|sync|subscribe"
    named = set(re.findall(rf"(?<![\w.~/-])/(?:{tops})(?:[\w/*-]|\[[^]]*\])*", prose))
    assert {"/stem/vocals/gain", "/stem/1/mute", "/stem/*/pan", "/subscribe", "/preset/load"} <= named
    space = AddressSpace(Desk())
    for path in named:
        assert space.matching(path) if is_pattern(path) else space.find(path)


def test_the_page_explains_every_code() -> None:
    text = PAGE.read_text("utf-8")
    assert [code for code in CODES if f"| `{code}` |" not in text] == []
    assert "<!-- " not in text.partition("\n")[2]


def test_the_list_has_every_address_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["osc", "list", "--preset", "practice_bass"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.startswith("/stem/bass/fx/1/cutoff_frequency_hz ")]
    assert len(found) == 1
    assert "Hz" in found[0]
    assert len(lines) == len({line.split()[0] for line in lines}) > 100


def test_the_list_is_there_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["osc", "list", "--model", "classic4", "--json"]) == 0
    leaves = {leaf["path"]: leaf for leaf in json.loads(capsys.readouterr().out)}
    gain = leaves["/stem/vocals/gain"]
    assert (gain["types"], gain["unit"], gain["lowest"], gain["highest"]) == ("f", "dB", -90.0, 24.0)
    assert gain["aliases"] == ["/stem/1/gain"]
    assert not leaves["/latency"]["writable"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "no-such"], "preset"),
        (["--model", "no-such"], "model"),
    ],
)
def test_what_does_not_exist_is_said_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["osc", "list", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
