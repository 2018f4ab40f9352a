"""Means of what happens between two rows of a curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Tally:
    """Sums since the last row of the curve. True returns are for people; the agent never sees them."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray | float) -> None:
        """Some more values of one thing."""
        self.sums[name] = self.sums.get(name, 0.0) + float(np.sum(values))
        self.counts[name] = self.counts.get(name, 0) + int(np.size(values))

    def means(self) -> dict[str, float]:
        """The means; begins anew."""
        means = {name: total / max(self.counts[name], 1) for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means
