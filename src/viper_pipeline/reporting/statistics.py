"""Statistics: intervals by the bootstrap, rank statistics, and aggregates over tasks and seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy

from viper_pipeline.core.files import Json
from viper_pipeline.rewards.scores import transition_scores

SEED_RESAMPLES = 10_000


def interval(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over seeds; groups: the episode returns of each seed.

    Seeds are drawn with replacement, then episodes within each drawn seed, so the interval covers both kinds of
    uncertainty. With two or three seeds it says little about how seeds differ.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(g, np.float64) for g in groups]
    means = np.stack([rng.choice(a, (SEED_RESAMPLES, len(a))).mean(1) for a in arrays])
    chosen = rng.integers(len(arrays), size=(SEED_RESAMPLES, len(arrays)))
    totals = means[chosen, np.arange(SEED_RESAMPLES)[:, None]].mean(1)
    low, high = np.quantile(totals, [0.025, 0.975])
    return float(low), float(high)


def auroc(better: np.ndarray, worse: np.ndarray) -> float:
    """The chance that a random value of `better` exceeds one of `worse`; ties count half."""
    better, worse = np.ravel(better), np.ravel(worse)
    ranks = scipy.stats.rankdata(np.concatenate([better, worse]))
    wins = ranks[: len(better)].sum() - len(better) * (len(better) + 1) / 2
    return float(wins / (len(better) * len(worse)))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation; 0 where one of the two is constant."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(scipy.stats.spearmanr(x, y).statistic)


def value_order_correlation(videos: Sequence[np.ndarray]) -> float:
    """Mean over videos of the rank correlation between a frame's time and its own reward (not the sum up to it).

    A reward that grows along an expert's episode, as progress does, has a value near 1. 0 without videos.
    """
    return float(np.mean([spearman(np.arange(len(v)), v) for v in videos])) if len(videos) else 0.0


BEGINNING = 50  # frames: where frozen and moving experts still look alike


def episode_means(videos: Sequence[np.ndarray]) -> np.ndarray:
    """Mean score of a transition of each video, (N,)."""
    return np.array([v[1:].mean() for v in videos])


def reward_metrics(scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]) -> Json:
    """scores: kind -> nats (T,) of each video; returns: kind -> true returns (N,), where there are any.

    auroc_step and auroc_episode: held-out experts against random. spearman_return: episode mean of nats against true
    return, over every kind that has returns but the training videos. kinds: mean nats of a frame, and the AUROC of
    held-out experts against that kind (below 0.5: it looks better than the expert).
    """
    expert = scores["held_out"]
    beginning = transition_scores([v[:BEGINNING] for v in expert])
    scored = [k for k in returns if k != "train"]
    nats = np.concatenate([episode_means(scores[k]) for k in scored])
    true = np.concatenate([returns[k] for k in scored])
    known = ~np.isnan(true)
    return {
        "auroc_step": auroc(transition_scores(expert), transition_scores(scores["random"])),
        "auroc_episode": auroc(episode_means(expert), episode_means(scores["random"])),
        "spearman_return": spearman(nats[known], true[known]),
        "value_order_correlation": value_order_correlation([v[1:] for v in expert]),
        "kinds": {
            kind: {
                "nats": float(transition_scores(videos).mean()),
                "videos": len(videos),
                "auroc_step": auroc(transition_scores(expert), transition_scores(videos)),
                "auroc_beginning": auroc(beginning, transition_scores([v[:BEGINNING] for v in videos])),
            }
            for kind, videos in scores.items()
        },
    }


RESAMPLES = 2000
LEVEL = (0.025, 0.975)
ScoreTable = Sequence[np.ndarray]
"""One array per task: scores (seeds,), or (resamples, seeds)."""


def task_mean(table: ScoreTable) -> np.ndarray:
    """The paper's statistic: the mean over tasks of each task's mean over seeds."""
    return np.mean([np.mean(scores, -1) for scores in table], axis=0)


def task_median(table: ScoreTable) -> np.ndarray:
    """The median over tasks of each task's mean over seeds."""
    return np.median([np.mean(scores, -1) for scores in table], axis=0)


def interquartile_mean(table: ScoreTable) -> np.ndarray:
    """The mean of the middle half of all runs: outliers weigh less than in the mean, luck less than in the median."""
    return np.asarray(scipy.stats.trim_mean(np.concatenate(list(table), -1), 0.25, axis=-1))


def optimality_gap(table: ScoreTable) -> np.ndarray:
    """By how much runs fall short of 1 on average; what exceeds 1 does not make up for it."""
    return 1.0 - np.minimum(np.concatenate(list(table), -1), 1.0).mean(-1)


def std_over_tasks(table: ScoreTable) -> float:
    """The paper's band in Fig 3: one standard deviation of the tasks' means (not of seeds)."""
    return float(np.std([np.mean(scores) for scores in table]))


STATISTICS: Mapping[str, Callable[[ScoreTable], np.ndarray]] = {
    "mean": task_mean,
    "median": task_median,
    "iqm": interquartile_mean,
    "optimality_gap": optimality_gap,
}


def resampled(table: ScoreTable, rng: np.random.Generator, resamples: int = RESAMPLES) -> list[np.ndarray]:
    """Seeds resampled with replacement within each task: one (resamples, seeds) per task."""
    return [np.asarray(s)[rng.integers(len(s), size=(resamples, len(s)))] for s in table]


def stratified_interval(
    statistic: Callable[[ScoreTable], np.ndarray], table: ScoreTable, seed: int = 0
) -> tuple[float, float] | None:
    """A 95 % interval by the bootstrap, percentiles; None if no task has two seeds."""
    if max(len(scores) for scores in table) < 2:
        return None
    values = statistic(resampled(table, np.random.default_rng(seed)))
    low, high = np.quantile(values, LEVEL)
    return float(low), float(high)


def performance_profile(table: ScoreTable, thresholds: np.ndarray) -> np.ndarray:
    """The share of runs whose score exceeds each threshold: (..., thresholds), falling."""
    runs = np.concatenate(list(table), -1)
    return (runs[..., None] > thresholds).mean(-2)


def profile_band(table: ScoreTable, thresholds: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """(2, thresholds): the 95 % interval of each point of the profile, one by one."""
    if max(len(scores) for scores in table) < 2:
        return None
    profiles = performance_profile(resampled(table, np.random.default_rng(seed), 500), thresholds)
    return np.quantile(profiles, LEVEL, axis=0)


def probability_of_improvement(ours: ScoreTable, theirs: ScoreTable) -> float:
    """The chance that a run of ours beats one of theirs on the same task, ties half, averaged over tasks."""
    return float(np.mean([auroc(a, b) for a, b in zip(ours, theirs, strict=True)]))


def improvement(ours: ScoreTable, theirs: ScoreTable, seed: int = 0) -> dict[str, float | None]:
    """The probability with its interval; seeds of both sides are resampled."""
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


def aggregate_statistics(table: ScoreTable) -> Json:
    """Every statistic with its interval, the paper's spread, and how many tasks and seeds they are made of."""
    numbers: Json = {
        "tasks": len(table),
        "seeds": min(len(scores) for scores in table),
        "std_over_tasks": std_over_tasks(table),
    }
    for name, statistic in STATISTICS.items():
        low, high = stratified_interval(statistic, table) or (None, None)
        numbers[name] = {"value": float(statistic(table)), "ci95_low": low, "ci95_high": high}
    return numbers
