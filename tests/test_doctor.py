"""`plugin-bridge doctor`: one line for each thing it looks at, and a proposal from a real trial."""

import re
import subprocess
import sys

import pytest

from plugin_bridge.cli.doctor import Finding, _advice
from plugin_bridge.live.priority import WORKER_PRIORITY, locked_memory_limit, may_raise_priority


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plugin_bridge", "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.integration
def test_every_check_says_one_line_and_the_trial_ends_in_a_proposal() -> None:
    done = doctor("--model", "bands", "--server", "no-such-server")
    lines = done.stdout.splitlines()
    assert done.returncode in (0, 1), done.stderr  # 1 on a machine too slow for the trial
    assert all(re.match(r"(ok|note|bad) +[\w -]+: ", line) for line in lines)
    for what in ("real-time priority", "memory lock", "CPU governor", "JACK", "PortAudio", "trial of bands"):
        assert sum(what in line for line in lines) == 1, what
    assert done.returncode or re.search(
        r"advice: block 256 at 44100 Hz with --safety-ms \d+\.\d", done.stdout
    )


def test_an_unknown_model_is_one_sentence() -> None:
    done = doctor("--model", "nothing", "--server", "no-such-server")
    assert done.returncode == 2
    assert done.stderr.startswith("plugin-bridge: model must be one of the catalogue, got 'nothing'")
    assert len(done.stderr.splitlines()) == 1


def figures(**changes: float) -> dict[str, object]:
    usual = {"worker_p50_ms": 1.0, "worker_p99_ms": 2.0, "worker_worst_ms": 3.0, "hop_ms": 10.0}
    return {"model": "m", "own_misses": 0, "machine_late": 0, **usual, **changes}


def test_the_proposed_safety_covers_the_worst_hop() -> None:
    findings = list(_advice(figures(), 256, 48000))
    assert findings[1] == Finding("advice", "ok", "block 256 at 48000 Hz with --safety-ms 4.5 (216 frames)")


def test_a_model_that_is_too_heavy_is_bad() -> None:
    (finding,) = _advice(figures(own_misses=3), 256, 44100)
    assert finding.state == "bad"
    assert "choose a lighter model" in finding.text


def test_a_machine_that_was_late_is_noted() -> None:
    assert [finding.state for finding in _advice(figures(machine_late=1), 256, 44100)] == ["note", "note"]


def test_asking_for_priority_changes_nothing() -> None:
    assert may_raise_priority(WORKER_PRIORITY) is may_raise_priority(WORKER_PRIORITY)
    limit = locked_memory_limit()
    assert limit is None or limit >= -1
