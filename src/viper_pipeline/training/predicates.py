"""Small answers to `is it time?`, so that loops read as prose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Every:
    """True at every `period`-th step and at the `last` one; a period of 0 is only ever true at the last."""

    period: int
    last: int | None = None

    def __call__(self, step: int) -> bool:
        """Whether it is time at `step` (1-based: steps done so far)."""
        return step == self.last or (self.period > 0 and step % self.period == 0)
