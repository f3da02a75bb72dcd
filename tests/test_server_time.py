"""A time tag's frame on its way from the server's clock to the sound."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from plugin_bridge.board.parameter_tree import Key
from tests.server_runs import serving, until

RATE = 44100
LOW = Key("low", None, "gain_db")


def test_a_dated_move_counts_from_the_very_frame_that_the_clock_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named: list[int] = []

    async def test() -> list[Any]:
        async with serving(safety_ms=500.0) as server:
            clock = server._clock
            its_own = clock.frame_of

            def noted(seconds: float) -> int:
                named.append(its_own(seconds))
                return named[-1]

            monkeypatch.setattr(clock, "frame_of", noted)
            await until(lambda: server.status()["frames"] > RATE // 4, "the first sound")
            now = time.time()
            for ahead in (0.3, 0.5001, 0.7):
                server.move([(LOW, -20.0 * ahead)], now + ahead)
            await until(lambda: len(server.engine.troupe.applied) == 3, "all three have counted")
            return list(server.engine.troupe.applied)

    assert [frame for frame, *_ in asyncio.run(test())] == named
    assert len({frame % 256 for frame in named}) > 1, "frames within blocks, not at their edges"
