"""Small answers to `is it time?` for loops whose steps come in bundles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Passed:
    """True when a bundle of steps reaches a multiple of `period` or the `last` step (0: only the last)."""

    period: int
    last: int

    def __call__(self, before: int, after: int) -> bool:
        """Whether it is time once the steps `before` (exclusive) to `after` (inclusive) are done."""
        passed = self.period > 0 and after // self.period > before // self.period
        return passed or before < self.last <= after
