"""Twenty thousand malformed datagrams: the server answers on, and nothing grows but a counter."""

from __future__ import annotations

import os
import random

from tests.osc_fuzz import fuzz


def test_the_server_withstands_what_is_no_osc() -> None:
    seed = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    print(f"FUZZ_SEED={seed}")
    outcome = fuzz(20_000, seed)
    print(outcome)
    assert outcome.answered == outcome.asked == 200
    assert outcome.internal == []
    assert outcome.loop_errors == []
    assert outcome.malformed > 1000
    assert outcome.logged <= 102
