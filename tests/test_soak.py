"""A minute of the soak: everything at once, and every frame of main in its place."""

from __future__ import annotations

import sys

import pytest

from benchmarks.soak import Soak, table


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the processes' usage in /proc")
def test_a_minute_of_everything_leaves_no_gap_and_no_growth() -> None:
    outcome = Soak(seconds=60.0, kill_seconds=25.0).run()
    print(table(outcome).markdown())
    first, last = outcome.usages[0], outcome.usages[-1]
    assert outcome.heard["checked"] > 40 * 44100
    assert outcome.heard["longest_gap"] == 0
    assert outcome.heard["out_of_place"] == 0
    assert outcome.kills >= 1
    assert outcome.moves > 2000
    assert outcome.status["state"] == "running"
    # Fewer is no growth: a swap under way at the first look has files open that the last one need not meet.
    assert last.threads <= first.threads and last.files <= first.files
    assert last.kib < 1.01 * first.kib
