"""Numbers of a whole suite: every method's scores over tasks, and whether VIPER beats the others (Fig 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from viper_pipeline.results.aggregates import improvement, summary
from viper_pipeline.results.inputs import RunResult
from viper_pipeline.results.normalise import normalised, unit


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
