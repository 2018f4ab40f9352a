"""Stage `report`: what changes when one part of VIPER is changed, beside the paper's Fig 9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.pipelines.agents.train_agent import train_agent_viper
from viper_pipeline.pipelines.models.evaluate_reward import evaluate_reward
from viper_pipeline.pipelines.models.train_video_model import train_video_model
from viper_pipeline.pipelines.params import STREAMED
from viper_pipeline.pipelines.report.inputs import floor, named, result
from viper_pipeline.reporting.metrics import reward_metrics
from viper_pipeline.reporting.paper_figures.ablations import (
    Variant,
    ablation_metrics,
    curve_rows,
    draw_ablations,
    draw_paper,
    headline,
    render,
)
from viper_pipeline.rewards.evaluation import unpack
from viper_pipeline.rewards.rnd import RNDConfig
from viper_pipeline.training.artifacts import Directory

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


def train_context(config: Mapping[str, Any], *, context: int, **rest: Any) -> Directory:
    """As `train_video_model`, with a window of `context` frames and the one that they predict."""
    return train_video_model({**config, "window": int(context) + 1}, **rest)


def train_agent_beta(exploration: Mapping[str, Any], *, beta: float, **rest: Any) -> Directory:
    """As `train_agent_viper`; beta is a share of the suite's own weight, at the beginning and at the end."""
    return train_agent_viper(exploration=weighted(exploration, float(beta)), **rest)


def weighted(exploration: Mapping[str, Any], share: float) -> dict[str, Any]:
    """The bonus' settings with `share` times its weights."""
    own = RNDConfig.model_validate(exploration)
    final = None if own.final_weight is None else share * own.final_weight
    return {**exploration, "weight": share * own.weight, "final_weight": final}


def evaluate_way(reward: Mapping[str, Any], *, model: str, way: str, **rest: Any) -> Directory:
    """As `evaluate_reward`; the suite's reward, were it by this model and in this way."""
    return evaluate_reward({**reward, "model": model, "way": way}, model=model, **rest)
