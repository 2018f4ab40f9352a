"""What stages cost, added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class StageCost:
    """All runs of one stage."""

    stage: str
    runs: int
    seconds: float  # in all
    longest: float
    peak_rss_mb: float
    machines: tuple[str, ...]
    gpu_percent: float | None = None  # share of time that a GPU was at work, mean of runs; None where none was watched


def by_stage(costs: Mapping[str, Mapping[str, Any]]) -> list[StageCost]:
    """node -> {seconds, peak_rss_mb, machine, gpu_percent if watched} -> a row a stage, in the order of their names."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for node, cost in costs.items():
        groups.setdefault(node.rpartition(".")[0] or node, []).append(cost)
    return [
        StageCost(
            stage,
            len(rows),
            sum(float(r["seconds"]) for r in rows),
            max(float(r["seconds"]) for r in rows),
            max(float(r["peak_rss_mb"]) for r in rows),
            tuple(sorted({str(r.get("machine", UNKNOWN)) for r in rows})),
            fmean(watched) if (watched := [r["gpu_percent"] for r in rows if "gpu_percent" in r]) else None,
        )
        for stage, rows in sorted(groups.items())
    ]


def duration(seconds: float) -> str:
    """For people: 42 s, 3.5 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
