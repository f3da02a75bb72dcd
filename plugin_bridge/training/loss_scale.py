"""A loss made larger before its gradient is taken in half precision, which knows nothing under 6e-8.

The gradient of a mean over seconds of audio is smaller than that for each sample of an estimate, so that most
of it would be lost (Micikevicius et al., "Mixed precision training", 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

FIRST, LARGEST = 2.0**16, 2.0**30
STEADY = 1000
"""Updates in a row with finite gradients after which the factor is tried at twice its size."""


@dataclass
class LossScale:
    """The factor, and for how many updates it has been right; 1 is for single precision and stays."""

    factor: float = 1.0
    steady: int = 0

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradient, as many times too large as `factor` says."""
        (loss * self.factor).backward()  # type: ignore[no-untyped-call]

    def undo(self, parameters: Iterable[Tensor]) -> None:
        """Bring gradients back to their size."""
        for parameter in parameters:
            if parameter.grad is not None and self.factor != 1:
                parameter.grad /= self.factor

    def follow(self, finite: bool) -> None:
        """Halve the factor where a gradient was not finite, and double it when that has long not been so."""
        if self.factor == 1:
            return
        self.steady = self.steady + 1 if finite else 0
        if not finite:
            self.factor = max(2.0, self.factor / 2)
        elif self.steady == STEADY:
            self.factor, self.steady = min(LARGEST, 2 * self.factor), 0
