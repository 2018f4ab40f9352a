"""Stage `report`: what changes when one part of VIPER is changed, beside the paper's Fig 9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.ablations.config import STREAMED
from viper_pipeline.pipelines.report.collect import floor, named, result
from viper_pipeline.results.ablations import (
    Variant,
    ablation_metrics,
    curve_rows,
    draw_ablations,
    draw_paper,
    headline,
    render,
)
from viper_pipeline.results.reward_metrics import reward_metrics
from viper_pipeline.rewards.evaluate import unpack
from viper_pipeline.training.artifacts import Directory
from viper_pipeline.videos.store import EpisodeFile

Made = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], dict[str, bytes], str]


def report_ablations(
    settings: Mapping[str, Any],
    profile: str,
    experts: EpisodeFile,
    baselines: EpisodeFile,
    *,
    suite: str,
    task: str,
    agent: str,
    **inputs: Directory,
) -> Made:
    """run__<axis>__<value>__<seed>, reward__<axis>__<value> -> metrics, their headline, rows of curves, figures,
    the page.

    settings: the block of the suite's own video model; its runs are `own`, and stand first in every axis but `way`,
    where `banded` scored by exact does.
    """
    rewards = named("reward", inputs)
    ((_, model),) = [key for key in rewards if key[0] == "own"]
    runs: dict[tuple[str, str], list[Any]] = {}
    for (axis, value, seed), directory in named("run", inputs).items():
        runs.setdefault((axis, value), []).append(result((suite, task, "viper", agent, seed), directory))

    def judged(axis: str, value: str) -> dict[str, Any]:
        directory = rewards.get((axis, value), rewards["own", model])
        return reward_metrics(*unpack(task, directory.tensors))

    own = runs["own", "own"], judged("own", model)
    first = {
        "beta": Variant("1", *own, own=True),
        "model": Variant(model, *own, own=True),
        "context": Variant(str(settings["window"] - 1), *own, own=True),
    }
    if any(axis == "way" for axis, _ in runs):
        first["way"] = Variant("exact", runs["model", STREAMED], judged("model", STREAMED))
    variants = {
        axis: [base, *(Variant(value, mine, judged(axis, value)) for (a, value), mine in runs.items() if a == axis)]
        for axis, base in first.items()
    }
    floors = floor((suite, task), experts, baselines)
    metrics = ablation_metrics(task, variants, floors)
    figures = {"ablations.png": draw_ablations(task, variants, floors), "paper.png": draw_paper()}
    return metrics, headline(metrics), curve_rows(variants), figures, render(profile, metrics, figures)
