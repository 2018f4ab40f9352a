"""reports/metrics.json: the numbers, for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from viper_pipeline.envs.atari import GAMES, human_normalised
from viper_pipeline.reporting.results import Floors, RunResult

SEED_RESAMPLES = 10_000


def interval(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean over seeds, each a list of returns of episodes.

    Seeds are drawn with replacement, then episodes within each drawn seed: with few seeds this carries both kinds of
    uncertainty, though two or three seeds can never tell much of how seeds differ.
    """
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(g, np.float64) for g in groups]
    means = np.stack([rng.choice(a, (SEED_RESAMPLES, len(a))).mean(1) for a in arrays])
    chosen = rng.integers(len(arrays), size=(SEED_RESAMPLES, len(arrays)))
    totals = means[chosen, np.arange(SEED_RESAMPLES)[:, None]].mean(1)
    low, high = np.quantile(totals, [0.025, 0.975])
    return float(low), float(high)


def trimmed_mean(values: Sequence[float]) -> float:
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


BEGINNING = 50  # frames: where frozen and moving experts still look alike


def _steps(videos: Sequence[np.ndarray], end: int | None = None) -> np.ndarray:
    return np.concatenate([v[1:end] for v in videos])


def _means(videos: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([v[1:].mean() for v in videos])


def reward_metrics(scores: Mapping[str, Sequence[np.ndarray]], returns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """scores: kind -> nats (T,) of each video; returns: kind -> true returns (N,), where there are any.

    auroc_step and auroc_episode: held-out experts against random. spearman_return: episode mean of nats against true
    return, over every kind that has returns but the training videos. kinds: mean nats of a frame, and the AUROC of
    held-out experts against that kind (below 0.5: it looks better than the expert).
    """
    expert = scores["held_out"]
    judged = [k for k in returns if k != "train"]
    nats = np.concatenate([_means(scores[k]) for k in judged])
    true = np.concatenate([returns[k] for k in judged])
    known = ~np.isnan(true)
    return {
        "auroc_step": auroc(_steps(expert), _steps(scores["random"])),
        "auroc_episode": auroc(_means(expert), _means(scores["random"])),
        "spearman_return": spearman(nats[known], true[known]),
        "value_order_correlation": value_order_correlation([v[1:] for v in expert]),
        "kinds": {
            kind: {
                "nats": float(_steps(videos).mean()),
                "videos": len(videos),
                "auroc_step": auroc(_steps(expert), _steps(videos)),
                "auroc_beginning": auroc(_steps(expert, BEGINNING), _steps(videos, BEGINNING)),
            }
            for kind, videos in scores.items()
        },
    }


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


UNITS = {
    "dmc": "return / 1000",
    "atari": "human-normalised score",
    "rlbench": "success rate",
    "tabletop": "success rate",
}
"""What 1 stands for: the most a task can return, a human tester, success. Returns of other suites stay as they are."""


def normalised(suite: str, task: str, value: float) -> float:
    """A return on the suite's scale; the paper averages DMC's plain returns, which is the same times 1000."""
    if suite == "dmc":
        return value / 1000.0
    if suite == "atari" and task in GAMES:
        return human_normalised(task, value)
    return value


def unit(suite: str) -> str:
    """The scale's name."""
    return UNITS.get(suite, "return")


def score_tables(runs: Sequence[RunResult]) -> dict[tuple[str, str, str], dict[str, np.ndarray]]:
    """(suite, agent, method) -> task -> normalised final score of each seed, (seeds,)."""
    tables: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for r in runs:
        tasks = tables.setdefault((r.suite, r.agent, r.method), {})
        tasks.setdefault(r.task, []).append(normalised(r.suite, r.task, float(np.mean(r.final_returns))))
    return {key: {task: np.array(scores) for task, scores in tasks.items()} for key, tasks in tables.items()}


def suite_metrics(runs: Sequence[RunResult]) -> dict[str, Any]:
    """{suite: {agent: {unit, methods: {method: statistics}, viper_against: {method: probability of improvement}}}}.

    A comparison is made on the tasks that both methods have.
    """
    tables = score_tables(runs)
    found: dict[str, Any] = {}
    for (suite, agent, method), tasks in tables.items():
        block = found.setdefault(suite, {}).setdefault(agent, {"unit": unit(suite), "methods": {}, "viper_against": {}})
        block["methods"][method] = summary(list(tasks.values()))
        viper = tables.get((suite, agent, "viper"), {})
        common = [task for task in tasks if task in viper]
        if method != "viper" and common:
            compared = improvement([viper[t] for t in common], [tasks[t] for t in common])
            block["viper_against"][method] = compared | {"tasks": len(common)}
    return found


def agent_metrics(runs: Sequence[RunResult]) -> dict[str, Any]:
    """{suite: {task: {agent: {method: {...}}}}} over seeds."""
    table: dict[str, Any] = {}
    for key in dict.fromkeys((r.suite, r.task, r.agent, r.method) for r in runs):
        mine = [r for r in runs if (r.suite, r.task, r.agent, r.method) == key]
        low, high = interval([r.final_returns for r in mine])
        suite, task, agent, method = key
        table.setdefault(suite, {}).setdefault(task, {}).setdefault(agent, {})[method] = {
            "final_return": float(np.mean([np.mean(r.final_returns) for r in mine])),
            "ci95_low": low,
            "ci95_high": high,
            "iqm": trimmed_mean([x for r in mine for x in r.final_returns]),
            "seeds": len(mine),
            "kept": sum(bool(r.origin) for r in mine),
            "episodes": sum(r.judged for r in mine),
            "steps": mine[0].budget,
            "per_seed": [float(np.mean(r.final_returns)) for r in mine],
        }
    return table


def _known(value: float | None) -> float | None:
    """JSON has no NaN: an unknown return is null."""
    return None if value is None or math.isnan(value) else value


def floor_metrics(floors: Sequence[Floors]) -> dict[str, Any]:
    """{suite: {task: {expert_return, random_return, idle_return}}}."""
    table: dict[str, Any] = {}
    for f in floors:
        table.setdefault(f.suite, {})[f.task] = {
            "expert_return": _known(f.expert),
            "random_return": _known(f.random),
            "idle_return": _known(f.idle),
        }
    return table


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `dvc metrics` shows of them: {task: {floor: return, agent: {method: return}}, model: {auroc_step}}."""
    found: dict[str, Any] = {}
    for suite, tasks in metrics["oracles"].items():
        for task, levels in tasks.items():
            known = {name.removesuffix("_return"): value for name, value in levels.items() if value is not None}
            agents = metrics["agents"].get(suite, {}).get(task, {})
            found[task] = {name: round(value, 1) for name, value in known.items()} | {
                agent: {method: round(row["final_return"], 1) for method, row in methods.items()}
                for agent, methods in agents.items()
            }
    for models in metrics["rewards"].values():
        found |= {model: {"auroc_step": round(numbers["auroc_step"], 4)} for model, numbers in models.items()}
    return found


def build_metrics(
    runs: Sequence[RunResult],
    floors: Sequence[Floors],
    rewards: Mapping[str, Any],
    costs: Mapping[str, Any],
) -> dict[str, Any]:
    """All of metrics.json."""
    return {
        "agents": agent_metrics(runs),
        "aggregates": suite_metrics(runs),
        "oracles": floor_metrics(floors),
        "rewards": dict(rewards),
        "costs": dict(costs),
    }
