"""Statistics of returns and of rewards, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # its parts are imported when first used: scipy.stats takes two seconds

RESAMPLES = 10_000


def interval(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean over seeds, each a list of returns of episodes.

    Seeds are drawn with replacement, then episodes within each drawn seed: with few seeds this carries both kinds of
    uncertainty, though two or three seeds can never tell much of how seeds differ.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(g, np.float64) for g in groups]
    means = np.stack([rng.choice(a, (RESAMPLES, len(a))).mean(1) for a in arrays])
    chosen = rng.integers(len(arrays), size=(RESAMPLES, len(arrays)))
    totals = means[chosen, np.arange(RESAMPLES)[:, None]].mean(1)
    low, high = np.quantile(totals, [0.025, 0.975])
    return float(low), float(high)


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half."""
    return float(scipy.stats.trim_mean(np.asarray(values, np.float64), 0.25))


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
