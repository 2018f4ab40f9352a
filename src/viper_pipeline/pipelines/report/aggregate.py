"""Stage `aggregate`: every run, reward and floor in one file of numbers and one table of curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from viper_pipeline.pipelines.report.collect import floors, named, run_results, settings_of
from viper_pipeline.pipelines.report.kept import Kept, kept_beside
from viper_pipeline.results.metrics import build_metrics, headline
from viper_pipeline.results.reward_metrics import reward_metrics
from viper_pipeline.rewards.evaluate import unpack
from viper_pipeline.training.artifacts import Directory

SUMMARY = ("auroc_step", "auroc_episode", "spearman_return", "value_order_correlation")


def aggregate(kept: Mapping[str, bytes], **inputs: Any) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """run__, experts__, baselines__, reward__, settings__... -> reports/metrics.json, the few of its numbers that
    `dvc metrics` shows, and a row a point of every curve.

    kept: the files of reports/runs, by name.
    """
    own = run_results(inputs)
    more = kept_beside(own, kept, settings_of(inputs))
    runs = [*own, *more.shown]
    rewards: dict[str, Any] = {}
    for (suite, model), directory in named("reward", inputs).items():
        rewards.setdefault(suite, {})[model] = reward_summary(directory)
    curves = [
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
    levels = floors(inputs)
    spent = costs(Path(".viper/costs"), {level.suite for level in levels})
    metrics = build_metrics(runs, levels, rewards, spent) | {"kept": kept_summary(more)}
    return metrics, headline(metrics), curves


def reward_summary(directory: Directory) -> dict[str, Any]:
    """Means over tasks, and everything task by task."""
    tasks = {task: reward_metrics(*unpack(task, directory.tensors)) for task in directory.config["scales"]}
    means = {name: float(np.mean([t[name] for t in tasks.values()])) for name in SUMMARY}
    return means | {"tasks": tasks}


def kept_summary(kept: Kept) -> dict[str, Any]:
    """Where kept runs come from, and why others were left out: how many each."""
    shown: dict[str, int] = {}
    for run in kept.shown:
        name = f"{run.suite} {run.task} {run.method} {run.agent}: {run.origin}"
        shown[name] = shown.get(name, 0) + 1
    return {"shown": shown, "left_out": dict(kept.left_out)}


def costs(folder: Path, suites: Set[str]) -> dict[str, Any]:
    """Seconds and memory of the suites' stages on this machine; the one thing here that differs from run to run."""
    stages = (path for path in sorted(folder.glob("*.json")) if path.stem.partition(".")[0] in suites)
    return {path.stem: json.loads(path.read_text()) for path in stages}
