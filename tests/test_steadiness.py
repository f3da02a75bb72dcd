"""A stream that has run for minutes separates as one that has only begun."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.steadiness import first_and_last, streamed
from plugin_bridge.separation import catalogue
from plugin_bridge.separation.separator import StreamingSeparator


def test_songs_that_follow_each_other_are_told_apart_to_the_frame() -> None:
    separator = catalogue.load("bands")
    assert isinstance(separator, StreamingSeparator)
    draw = np.random.default_rng(5).standard_normal((3, 2, 5001)).astype(np.float32)
    heard = np.concatenate(list(streamed(separator, draw)), axis=-1)
    whole = np.concatenate(list(draw), axis=-1)
    np.testing.assert_allclose(heard, separator.separate(whole), atol=1e-5)


@pytest.mark.slow
def test_the_fourth_minute_scores_as_the_first() -> None:
    first, last = first_and_last(catalogue.DEFAULT_MODEL, minutes=4)
    print(first, last, sep="\n")
    for stem, score in first.scores_db.items():
        assert score > 0
        assert abs(last.scores_db[stem] - score) <= 0.1, stem
