"""How long stages took, as the hooks noted it: what an estimate of a run is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean


class Costs:
    """Seconds by node, on this machine."""

    def __init__(self, root: Path) -> None:
        self.seconds = {
            path.stem: float(json.loads(path.read_text())["seconds"])
            for path in sorted((root / ".viper" / "costs").glob("*.json"))
        }

    def expected(self, node: str) -> float | None:
        """What `node` took last time, or what others of its stage took; None if there is neither."""
        if node in self.seconds:
            return self.seconds[node]
        stage = node.rpartition(".")[0]
        alike = [seconds for name, seconds in self.seconds.items() if name.rpartition(".")[0] == stage]
        return fmean(alike) if alike else None

    def left(self, waiting: Iterable[str], running: Mapping[str, float], jobs: int) -> float | None:
        """Seconds until all is done. running: node -> seconds so far. None while a stage was never timed."""
        so_far = {node: 0.0 for node in waiting} | dict(running)
        rest = []
        for node, seconds in so_far.items():
            cost = self.expected(node)
            if cost is None:
                return None
            rest.append(max(cost - seconds, 0.0))
        return max([sum(rest) / jobs, *rest]) if rest else 0.0
