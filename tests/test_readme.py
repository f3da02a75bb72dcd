"""What the README shows runs, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("program", re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
def test_every_python_example_runs(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_every_make_target_named_exists() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test", "check"} <= named <= targets


def test_every_path_named_exists() -> None:
    named = re.findall(r"`((?:examples|tests|benchmarks|plugin_bridge)/[\w/.-]+)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_public_name_is_explained() -> None:
    import plugin_bridge

    assert [name for name in plugin_bridge.__all__ if name[0] != "_" and f"`{name}`" not in README] == []
