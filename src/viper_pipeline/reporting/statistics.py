"""Statistics over seeds and tasks: t-intervals, tests between methods, and aggregates over the tasks of a suite.

A seed is one training run; its score is the mean of its final episodes. Episodes of one seed are no independent
evidence on a method, so every interval and every test here is over seeds. Of fewer than `FEWEST` seeds no interval is
given, and of fewer than `ENOUGH` no test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from viper_pipeline.core.files import Json

FEWEST = 3
"""Seeds from which on an interval is given."""
ENOUGH = 5
"""Seeds, on both sides, from which on a test is made."""
LEVEL = 0.95
"""Of every interval."""
PERMUTATIONS = 20_000
"""All of them are tried if there are no more than so many, as for 8 seeds on both sides; else so many at random."""

Interval = tuple[float, float]


def t_interval(values: Sequence[float] | np.ndarray) -> Interval | None:
    """95 % interval of the mean by Student's t; values: one per seed. None of fewer than `FEWEST` values."""
    scores = np.asarray(values, np.float64)
    if len(scores) < FEWEST:
        return None
    middle, half = scores.mean(), half_width(scores)
    return float(middle - half), float(middle + half)


def half_width(scores: np.ndarray) -> np.ndarray:
    """Half the width of the t-interval of the means over the first axis, (n, ...) -> (...)."""
    count = len(scores)
    error = scores.std(0, ddof=1) / count**0.5
    return np.asarray(scipy.stats.t.ppf(0.5 + LEVEL / 2, count - 1) * error)


class Sample(NamedTuple):
    """What a test needs to know of independent values."""

    mean: float
    std: float  # with n - 1
    number: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Sample:
        """Of at least two values."""
        numbers = np.asarray(values, np.float64)
        return cls(float(numbers.mean()), float(numbers.std(ddof=1)), len(numbers))


class Significance(NamedTuple):
    """The outcome of a test of whether two means are equal: its name and its two-sided p."""

    name: str
    p: float


def welch_test(ours: Sample, theirs: Sample) -> Significance:
    """Welch's t-test, in which both sides have an error of their own.

    If neither side varies, the t-test has no answer; then the sign test of our values against their one value.
    """
    if ours.std == 0 and theirs.std == 0:
        return Significance("sign test", 1.0 if ours.mean == theirs.mean else 2 * 0.5**ours.number)
    found = scipy.stats.ttest_ind_from_stats(*ours, *theirs, equal_var=False)
    return Significance("Welch's t-test", float(found.pvalue))


def difference_interval(ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray) -> Interval | None:
    """95 % interval of the difference of two means by Welch's t; values: one per seed. None of fewer than `FEWEST`."""
    if min(len(ours), len(theirs)) < FEWEST:
        return None
    sides = (Sample.of(ours), Sample.of(theirs))
    errors = [side.std**2 / side.number for side in sides]
    middle = sides[0].mean - sides[1].mean
    if sum(errors) == 0:
        return middle, middle
    shares = [error**2 / (side.number - 1) for error, side in zip(errors, sides, strict=True)]
    half = float(scipy.stats.t.ppf(0.5 + LEVEL / 2, sum(errors) ** 2 / sum(shares)) * sum(errors) ** 0.5)
    return middle - half, middle + half


def permutation_test(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Significance:
    """Permutation test of the difference of two means; values: one per seed."""

    def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    sides = (np.asarray(ours, np.float64), np.asarray(theirs, np.float64))
    found = scipy.stats.permutation_test(
        sides, difference, n_resamples=PERMUTATIONS, vectorized=True, rng=np.random.default_rng(seed)
    )
    return Significance("permutation test", float(found.pvalue))


def trimmed_mean(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """The interquartile mean: the mean of the middle half. Outliers weigh less than in the mean."""
    return np.asarray(scipy.stats.trim_mean(scores, 0.25, axis=axis))


ScoreTable = Sequence[np.ndarray]
"""One array per task: the scores of its seeds, (seeds,), in the order of the seeds."""


def matrix(table: ScoreTable) -> np.ndarray:
    """(tasks, seeds), of as many seeds as every task has."""
    seeds = min(len(scores) for scores in table)
    return np.stack([np.asarray(scores, np.float64)[:seeds] for scores in table])


def task_mean(scores: np.ndarray) -> np.ndarray:
    """The paper's statistic, the mean over tasks: (tasks, ...) -> (...)."""
    return scores.mean(0)


def task_median(scores: np.ndarray) -> np.ndarray:
    """The median over tasks."""
    return np.median(scores, 0)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """The mean of the middle half of the tasks; of fewer than four tasks, of all."""
    return trimmed_mean(scores, 0)


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """By how much tasks fall short of 1 on average; what exceeds 1 does not make up for it."""
    return 1.0 - np.minimum(scores, 1.0).mean(0)


def std_over_tasks(table: ScoreTable) -> float:
    """The paper's band in Fig 3: one standard deviation of the tasks' means (not of seeds)."""
    return float(np.std([np.mean(scores) for scores in table]))


STATISTICS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": task_mean,
    "median": task_median,
    "iqm": interquartile_mean,
    "optimality_gap": optimality_gap,
}
"""Each is taken over the tasks of one seed after the other; a seed's number is then one independent value."""


def over_seeds(statistic: Callable[[np.ndarray], np.ndarray], table: ScoreTable) -> np.ndarray:
    """The statistic over tasks, of each seed: (seeds,)."""
    return np.asarray(statistic(matrix(table)))


def aggregate_interval(statistic: Callable[[np.ndarray], np.ndarray], table: ScoreTable) -> Interval | None:
    """The t-interval of the mean over seeds of a statistic over tasks; None of fewer than `FEWEST` seeds.

    Runs of different tasks are independent even if their seeds are equal, so this is the spread that a whole new set
    of runs would have. A bootstrap of so few seeds would be too narrow.
    """
    return t_interval(over_seeds(statistic, table))


def performance_profile(table: ScoreTable, thresholds: np.ndarray) -> np.ndarray:
    """The share of runs whose score exceeds each threshold: (thresholds,), falling."""
    runs = np.concatenate(list(table))
    return (runs[:, None] > thresholds).mean(0)


def probability_of_improvement(ours: ScoreTable, theirs: ScoreTable) -> float:
    """The chance that a run of ours beats one of theirs on the same task, ties half, averaged over tasks."""
    wins = [0.5 + 0.5 * np.sign(np.subtract.outer(a, b)).mean() for a, b in zip(ours, theirs, strict=True)]
    return float(np.mean(wins))


def improvement(ours: ScoreTable, theirs: ScoreTable) -> Json:
    """The probability of improvement, the difference of the means over tasks, and its test if there are seeds for one.

    The probability has no interval: of few seeds, none that is known covers it.
    """
    mine, other = over_seeds(task_mean, ours), over_seeds(task_mean, theirs)
    test = permutation_test(mine.tolist(), other.tolist()) if min(len(mine), len(other)) >= ENOUGH else None
    return {
        "probability": probability_of_improvement(ours, theirs),
        "difference": float(mine.mean() - other.mean()),
        "test": test.name if test else None,
        "p": test.p if test else None,
    }


def aggregate_statistics(table: ScoreTable) -> Json:
    """Every statistic with its interval, the paper's spread, and how many tasks and seeds they are made of."""
    numbers: Json = {
        "tasks": len(table),
        "seeds": min(len(scores) for scores in table),
        "std_over_tasks": std_over_tasks(table),
    }
    for name, statistic in STATISTICS.items():
        low, high = aggregate_interval(statistic, table) or (None, None)
        numbers[name] = {"value": float(over_seeds(statistic, table).mean()), "ci95_low": low, "ci95_high": high}
    return numbers
