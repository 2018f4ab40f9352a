"""Batches, made one step ahead by a thread, so that training does not wait for the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Feed:
    """Calls `make(step)` for the steps of a range, each while its predecessor is being worked on."""

    def __init__(self, make: Callable[[int], Any], first: int, end: int) -> None:
        """The steps from `first` on, `end` not among them."""
        self.make, self.next, self.end = make, first, end
        self.waited = 0.0
        """Seconds for which somebody waited for a batch."""
        self._begun = time.perf_counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._coming: Future | None = self._order()

    def _order(self) -> Future | None:
        return self._thread.submit(self.make, self.next) if self.next < self.end else None

    def take(self) -> Any:
        """The next step's batch. What `make` raised for it is raised here."""
        assert self._coming is not None, "all steps have been taken"
        begun = time.perf_counter()
        batch = self._coming.result()
        self.waited += time.perf_counter() - begun
        self.next += 1
        self._coming = self._order()
        return batch

    def share_waited(self) -> float:
        """The share of all time since the beginning that was spent waiting."""
        return self.waited / max(time.perf_counter() - self._begun, 1e-9)

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
