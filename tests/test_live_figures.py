"""Figures of a running engine."""

from plugin_bridge.live.figures import RateMeter


def test_the_actual_rate_is_that_of_the_last_seconds() -> None:
    meter = RateMeter()
    assert meter.hz == 0
    for second in range(20):
        meter.note(second, 48000 * second)
    assert meter.hz == 48000
    for second in range(20, 40):
        meter.note(second, 48000 * 19 + 44100 * (second - 19))
    assert meter.hz == 44100


def test_what_has_stopped_has_no_rate() -> None:
    meter = RateMeter()
    for second in range(5):
        meter.note(second, 1000 * second)
    for second in range(5, 30):
        meter.note(second, 4000)
    assert meter.hz == 0
