"""Statistics over the tasks of a suite, as the field reports them (Agarwal et al. 2021), with stratified intervals.

A table of scores is a sequence of arrays, one a task, one normalised score a seed. Seeds are drawn with replacement
within each task, so every resample has the same tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy  # its parts are imported when first used: scipy.stats takes two seconds

from viper_pipeline.results.statistics import auroc

RESAMPLES = 2000
LEVEL = (0.025, 0.975)
Table = Sequence[np.ndarray]
"""A task each: scores (seeds,), or (resamples, seeds)."""


def mean(table: Table) -> np.ndarray:
    """The paper's statistic: the mean over tasks of each task's mean over seeds."""
    return np.mean([np.mean(scores, -1) for scores in table], axis=0)


def median(table: Table) -> np.ndarray:
    """The median over tasks of each task's mean over seeds."""
    return np.median([np.mean(scores, -1) for scores in table], axis=0)


def interquartile_mean(table: Table) -> np.ndarray:
    """The mean of the middle half of all runs: outliers weigh less than in the mean, luck less than in the median."""
    return np.asarray(scipy.stats.trim_mean(np.concatenate(list(table), -1), 0.25, axis=-1))


def optimality_gap(table: Table) -> np.ndarray:
    """By how much runs fall short of 1 on average; what exceeds 1 does not make up for it."""
    return 1.0 - np.minimum(np.concatenate(list(table), -1), 1.0).mean(-1)


def spread(table: Table) -> float:
    """The paper's band in Fig 3: one standard deviation of the tasks' means (not of seeds)."""
    return float(np.std([np.mean(scores) for scores in table]))


STATISTICS: Mapping[str, Callable[[Table], np.ndarray]] = {
    "mean": mean,
    "median": median,
    "iqm": interquartile_mean,
    "optimality_gap": optimality_gap,
}


def resampled(table: Table, rng: np.random.Generator, resamples: int = RESAMPLES) -> list[np.ndarray]:
    """Each task's seeds drawn anew: (resamples, seeds) a task."""
    return [np.asarray(s)[rng.integers(len(s), size=(resamples, len(s)))] for s in table]


def stratified_interval(
    statistic: Callable[[Table], np.ndarray], table: Table, seed: int = 0
) -> tuple[float, float] | None:
    """A 95 % interval by the bootstrap, percentiles; None where no task has two seeds, and none can be had."""
    if max(len(scores) for scores in table) < 2:
        return None
    values = statistic(resampled(table, np.random.default_rng(seed)))
    low, high = np.quantile(values, LEVEL)
    return float(low), float(high)


def performance_profile(table: Table, thresholds: np.ndarray) -> np.ndarray:
    """The share of runs whose score exceeds each threshold: (..., thresholds), falling."""
    runs = np.concatenate(list(table), -1)
    return (runs[..., None] > thresholds).mean(-2)


def profile_band(table: Table, thresholds: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """(2, thresholds): the 95 % interval of each point of the profile, one by one."""
    if max(len(scores) for scores in table) < 2:
        return None
    profiles = performance_profile(resampled(table, np.random.default_rng(seed), 500), thresholds)
    return np.quantile(profiles, LEVEL, axis=0)


def probability_of_improvement(ours: Table, theirs: Table) -> float:
    """The chance that a run of ours beats one of theirs on the same task, ties half, averaged over tasks."""
    return float(np.mean([auroc(a, b) for a, b in zip(ours, theirs, strict=True)]))


def improvement(ours: Table, theirs: Table, seed: int = 0) -> dict[str, float | None]:
    """The probability with its interval; both sides' seeds are drawn anew."""
    found: dict[str, float | None] = {"probability": probability_of_improvement(ours, theirs)}
    if min(max(len(s) for s in side) for side in (ours, theirs)) < 2:
        return found | {"ci95_low": None, "ci95_high": None}
    rng = np.random.default_rng(seed)
    wins = []
    for mine, other in zip(resampled(ours, rng), resampled(theirs, rng), strict=True):
        pairs = np.sign(mine[:, :, None] - other[:, None, :])
        wins.append((0.5 + 0.5 * pairs).mean((1, 2)))
    low, high = np.quantile(np.mean(wins, axis=0), LEVEL)
    return found | {"ci95_low": float(low), "ci95_high": float(high)}


def summary(table: Table) -> dict[str, Any]:
    """Every statistic with its interval, the paper's spread, and how many tasks and seeds they are made of."""
    numbers: dict[str, Any] = {
        "tasks": len(table),
        "seeds": min(len(scores) for scores in table),
        "std_over_tasks": spread(table),
    }
    for name, statistic in STATISTICS.items():
        low, high = stratified_interval(statistic, table) or (None, None)
        numbers[name] = {"value": float(statistic(table)), "ci95_low": low, "ci95_high": high}
    return numbers
