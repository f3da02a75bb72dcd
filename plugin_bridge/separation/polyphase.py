"""Streaming resampling by a short polyphase filter whose delay is known."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.separation.separator import Audio

HALF_WIDTH = 32
"""Frames, at the lower of the two rates, that a result looks to either side."""

_STOPBAND_DB = 90.0


class Polyphase:
    """A linear-phase resampler for streams, aligned so that output j lies at input position `j * step`.

    Kaiser-windowed sinc of `2 * HALF_WIDTH` taps at the lower rate, -6 dB at its half (Smith and
    Gossett, "A flexible sampling-rate conversion method", 1984). Positions are counted in exact
    fractions, so nothing drifts however long the stream is.

    An output at position p is made as soon as the input reaches beyond `p + lead` frames.
    """

    def __init__(self, step: Fraction, channels: int) -> None:
        self.step = step
        self.lead = ceil(HALF_WIDTH * max(Fraction(1), step))
        self._taps = 2 * self.lead
        self._table = _polyphase_table(step, self._taps)
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        # Input frames from index `_start` on; zeros stand for the time before the stream.
        self._start = -self._taps
        self._held = np.zeros((self._channels, self._taps), np.float32)
        self._made = 0

    def process(self, block: Audio) -> Audio:
        """All the output that the input so far allows. Shape: `(channels, frames)` to `(channels, any)`."""
        held = np.concatenate((self._held, block), axis=1)
        seen = self._start + held.shape[1]
        # Output j needs input floor(j * step) + lead: it can be made if j * step + lead < seen.
        due = max(self._made, ceil((seen - self.lead) / self.step))
        first = np.arange(self._made, due) * self.step.numerator
        base, phase = np.divmod(first, self.step.denominator)
        begin = base - (self.lead - 1) - self._start
        made: Audio = np.zeros((self._channels, 0), np.float32)
        if due > self._made:
            frames = np.lib.stride_tricks.sliding_window_view(held, self._taps, axis=1)[:, begin]
            made = np.einsum("cit,it->ci", frames, self._table[phase])
        keep = floor(due * self.step) - (self.lead - 1)
        drop = max(0, keep - self._start)
        self._held, self._start, self._made = held[:, drop:], self._start + drop, due
        return made


def _polyphase_table(step: Fraction, taps: int) -> NDArray[np.float32]:
    """Filters for every fraction of an input frame, `(phases, taps)`, each of unit gain at 0 Hz."""
    cutoff = 1.0 / max(1.0, float(step))
    phases = np.arange(step.denominator)[:, None] / step.denominator
    # Distance from the output's position to each tap, in input frames.
    distance = np.arange(taps)[None] - (taps // 2 - 1) - phases
    reach = HALF_WIDTH / cutoff
    beta = 0.1102 * (_STOPBAND_DB - 8.7)  # Kaiser's formula
    inside = np.clip(1 - (distance / reach) ** 2, 0, None)
    table = np.sinc(distance * cutoff) * np.i0(beta * np.sqrt(inside)) * (inside > 0)
    unit_gain: NDArray[np.float32] = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
    return unit_gain
