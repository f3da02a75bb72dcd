"""Batches made ahead of the step that needs them, by threads: what costs time in them releases the GIL."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from plugin_bridge.separation.separator import Stems
from plugin_bridge.training.remix import Batch, Batches


class Prefetch:
    """Endless `(step, batch)` from `first_step` on, the same as `batches.batch(step)` gives.

    `waited_seconds` adds up how long the training loop was kept waiting. Use it as a context manager.
    """

    def __init__(self, batches: Batches, *, first_step: int = 0, workers: int = 1, ahead: int = 2) -> None:
        if workers < 1 or ahead < 1:
            raise ValueError(f"prefetching needs one worker and one batch ahead, got {workers} and {ahead}")
        self._batches = batches
        self._step = first_step
        self._next_run = first_step // batches.sampling.consecutive
        self._ahead = max(ahead, workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._due: deque[Future[Stems]] = deque()
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        consecutive = self._batches.sampling.consecutive
        while True:
            while len(self._due) < self._ahead:
                self._due.append(self._pool.submit(self._batches.run, self._next_run))
                self._next_run += 1
            began = time.perf_counter()
            run = self._due.popleft().result()
            self.waited_seconds += time.perf_counter() - began
            for position in range(self._step % consecutive, consecutive):
                self._step += 1
                yield self._step - 1, self._batches.part(run, position)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
