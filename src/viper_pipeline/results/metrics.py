"""reports/metrics.json: the numbers, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from viper_pipeline.results.inputs import Floors, RunResult
from viper_pipeline.results.statistics import interquartile_mean, interval
from viper_pipeline.results.suite_metrics import suite_metrics


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
            "iqm": interquartile_mean([x for r in mine for x in r.final_returns]),
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
