"""The numbers of a suite's report, for programs: metrics.json, headline.json and curves.csv in reports/<suite>."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.envs.atari import GAMES, human_normalized
from viper_pipeline.reporting.results import Baselines, Metrics, RunResult
from viper_pipeline.reporting.statistics import (
    aggregate_statistics,
    improvement,
    interquartile_mean,
    interval,
    reward_metrics,
)
from viper_pipeline.rewards.scores import unpack
from viper_pipeline.training.artifacts import ModelArtifact

UNITS = {
    "dmc": "return / 1000",
    "atari": "human-normalized score",
    "rlbench": "success rate",
    "tabletop": "success rate",
}
"""What 1 stands for: the most a task can return, a human tester, success. Other suites show plain returns."""
AVERAGED = ("auroc_step", "auroc_episode", "spearman_return", "value_order_correlation")
"""Numbers of a reward that are averaged over tasks."""


def normalized(suite: str, task: str, value: float) -> float:
    """A return on the suite's scale. The paper averages DMC's plain returns, which are the same times 1000."""
    if suite == "dmc":
        return value / 1000.0
    if suite == "atari" and task in GAMES:
        return human_normalized(task, value)
    return value


def unit(suite: str) -> str:
    """The scale's name."""
    return UNITS.get(suite, "return")


def score_tables(runs: Sequence[RunResult]) -> dict[tuple[str, str, str], dict[str, np.ndarray]]:
    """(suite, agent, method) -> task -> normalized final score of each seed, (seeds,)."""
    tables: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for r in runs:
        tasks = tables.setdefault((r.suite, r.agent, r.method), {})
        tasks.setdefault(r.task, []).append(normalized(r.suite, r.task, r.final_return))
    return {key: {task: np.array(scores) for task, scores in tasks.items()} for key, tasks in tables.items()}


def suite_metrics(runs: Sequence[RunResult]) -> Json:
    """{suite: {agent: {unit, methods: {method: statistics}, viper_against: {method: probability of improvement}}}}.

    Methods are compared on the tasks that both have.
    """
    tables = score_tables(runs)
    found: Json = {}
    for (suite, agent, method), tasks in tables.items():
        block = found.setdefault(suite, {}).setdefault(agent, {"unit": unit(suite), "methods": {}, "viper_against": {}})
        block["methods"][method] = aggregate_statistics(list(tasks.values()))
        viper = tables.get((suite, agent, "viper"), {})
        common = [task for task in tasks if task in viper]
        if method != "viper" and common:
            compared = improvement([viper[t] for t in common], [tasks[t] for t in common])
            block["viper_against"][method] = compared | {"tasks": len(common)}
    return found


def agent_metrics(runs: Sequence[RunResult]) -> Json:
    """{suite: {task: {agent: {method: {...}}}}} over seeds."""
    table: Json = {}
    for key in dict.fromkeys((r.suite, r.task, r.agent, r.method) for r in runs):
        mine = [r for r in runs if (r.suite, r.task, r.agent, r.method) == key]
        low, high = interval([r.final_returns for r in mine])
        suite, task, agent, method = key
        table.setdefault(suite, {}).setdefault(task, {}).setdefault(agent, {})[method] = {
            "final_return": float(np.mean([r.final_return for r in mine])),
            "ci95_low": low,
            "ci95_high": high,
            "iqm": float(interquartile_mean([np.array([x for r in mine for x in r.final_returns])])),
            "seeds": len(mine),
            "from_records": sum(bool(r.origin) for r in mine),
            "episodes": sum(r.final_episodes for r in mine),
            "steps": mine[0].budget,
            "per_seed": [r.final_return for r in mine],
        }
    return table


def baseline_metrics(levels: Sequence[Baselines]) -> Json:
    """{suite: {task: {expert_return, random_return, idle_return}}}; null where a return is unknown."""

    def known(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    table: Json = {}
    for level in levels:
        table.setdefault(level.suite, {})[level.task] = {
            "expert_return": known(level.expert),
            "random_return": known(level.random),
            "idle_return": known(level.idle),
        }
    return table


def reward_summary(artifact: ModelArtifact) -> Json:
    """How well an evaluated reward separates experts from others: means over tasks, and every number by task."""
    tasks = {task: reward_metrics(*unpack(task, artifact.tensors)) for task in artifact.config["scales"]}
    for task, gate in artifact.config.get("gates", {}).items():
        tasks[task]["gate"] = gate
    means = {name: float(np.mean([t[name] for t in tasks.values()])) for name in AVERAGED}
    return means | {"tasks": tasks}


def build_metrics(
    runs: Sequence[RunResult],
    levels: Sequence[Baselines],
    rewards: Mapping[str, Metrics],
    costs: JsonView,
) -> Json:
    """All of metrics.json but the run records. rewards: suite -> model -> `reward_summary`; costs: node -> cost."""
    return {
        "agents": agent_metrics(runs),
        "aggregates": suite_metrics(runs),
        "baselines": baseline_metrics(levels),
        "rewards": dict(rewards),
        "costs": dict(costs),
    }


def headline(metrics: Metrics) -> Json:
    """What `dvc metrics` shows of them: {task: {baseline: return, agent: {method: return}}, model: {auroc_step}}."""
    found: Json = {}
    for suite, tasks in metrics["baselines"].items():
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


def curve_points(runs: Sequence[RunResult]) -> list[Json]:
    """curves.csv: one row per point of every run's curve."""
    return [
        {
            "suite": r.suite,
            "task": r.task,
            "method": r.method,
            "agent": r.agent,
            "seed": r.seed,
            "step": int(step),
            "return_mean": round(float(value), 3),
        }
        for r in runs
        for step, value in zip(r.steps, r.returns, strict=True)
    ]
