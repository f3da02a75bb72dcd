"""What every test and doctest shares: one printed seed, and the flag that rewrites goldens."""

from __future__ import annotations

import os
import random
import re
import sys

import hypothesis
import numpy as np
import pytest

SEED = int(os.environ.get("PLUGIN_BRIDGE_SEED", "20260101"))

# What keeps real time, looks at the whole machine or rewrites a file of the checkout; some tests are marked.
_ALONE = re.compile(
    r"tests/(integration/|test_(ardour|clock|discovery|doctor|golden|live|midi|osc|serve|session|soak|study))"
)

# No deadline: time never decides pass or fail. No database: what ran before must not either.
hypothesis.settings.register_profile("project", deadline=None, database=None)
hypothesis.settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part", choices=("beside", "alone"), help="only what may run beside other tests, or what must not"
    )
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the committed golden files instead of comparing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.part is None:
        return
    chosen, left = [], []
    for item in items:
        (chosen if _alone(item) == (config.option.part == "alone") else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = chosen


def _alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None or _ALONE.match(item.nodeid) is not None


def pytest_report_header() -> str:
    return f"seed: {SEED} (set PLUGIN_BRIDGE_SEED to change it)"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same seed, whatever ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  (for libraries that still draw from it)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture
def seed() -> int:
    """The seed of this run, for generators that a test makes itself."""
    return SEED


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True when the goldens are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))
