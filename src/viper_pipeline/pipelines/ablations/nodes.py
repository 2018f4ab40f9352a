"""Stages of the ablations: agents and models with one part of VIPER changed, and a report beside the paper's Fig 9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.core.files import Json
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.pipelines.agents.nodes import train_agent
from viper_pipeline.pipelines.models.nodes import evaluate_reward, train_video_model
from viper_pipeline.pipelines.params import STREAMED
from viper_pipeline.pipelines.wiring import by_key
from viper_pipeline.reporting.page import render_ablations
from viper_pipeline.reporting.paper_figures.ablations import (
    Variant,
    ablation_headline,
    ablation_metrics,
    ablation_points,
    draw_variants,
)
from viper_pipeline.reporting.plots import figure_files
from viper_pipeline.reporting.results import RunKey, RunResult, TaskKey, baselines, run_result
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.rewards.base import EXPLORATION
from viper_pipeline.rewards.scores import unpack, unpack_frames
from viper_pipeline.training.artifacts import ModelArtifact

Made = tuple[Json, Json, list[Json], dict[str, bytes], str]


def report_ablations(
    settings: ParamsBlock,
    profile: str,
    experts: EpisodeFile,
    baseline_episodes: EpisodeFile,
    *,
    suite: str,
    task: str,
    agent: str,
    pages: Sequence[str],
    **inputs: ModelArtifact,
) -> Made:
    """Make metrics, their headline, rows of curves, figures and the page of all ablations.

    inputs: run__<axis>__<value>__<seed> and reward__<axis>__<value>. settings: the block of the suite's own video
    model. Its runs are `own`, the reference of every axis but `scoring`; there it is `videogpt_streaming`, scored by
    full windows. pages: the folders of reports/ that the page links to.
    """
    rewards = by_key("reward", inputs)
    ((_, model),) = [key for key in rewards if key[0] == "own"]
    runs: dict[tuple[str, str], list[RunResult]] = {}
    for (axis, value, seed), artifact in by_key("run", inputs).items():
        key = RunKey(suite, task, "viper", agent, int(seed))
        runs.setdefault((axis, value), []).append(run_result(key, artifact))

    def separation(axis: str, value: str) -> Json:
        artifact = rewards.get((axis, value), rewards["own", model])
        frames, mode = unpack_frames(task, artifact.tensors), artifact.config["reward"]["mode"]
        return reward_metrics(*unpack(task, artifact.tensors), frames, mode)

    own = runs["own", "own"], separation("own", model)
    first = {
        "beta": Variant("1", *own, own=True),
        "model": Variant(model, *own, own=True),
        "context": Variant(str(settings["window"] - 1), *own, own=True),
    }
    if any(axis == "scoring" for axis, _ in runs):
        first["scoring"] = Variant("full_window", runs["model", STREAMED], separation("model", STREAMED))
    variants = {
        axis: [base, *(Variant(value, mine, separation(axis, value)) for (a, value), mine in runs.items() if a == axis)]
        for axis, base in first.items()
    }
    levels = baselines(TaskKey(suite, task), experts, baseline_episodes)
    metrics = ablation_metrics(task, variants, levels)
    figures = figure_files("ablations", draw_variants(variants, levels))
    page = render_ablations(profile, metrics, figures, pages)
    return metrics, ablation_headline(metrics), ablation_points(variants), figures, page


def train_context(config: ParamsBlock, *, context: int, **rest: Any) -> ModelArtifact:
    """`train_video_model` with a window of `context` frames and the one that they predict."""
    return train_video_model({**config, "window": int(context) + 1}, **rest)


def train_agent_beta(bonus: ParamsBlock, *, beta: float, exploration: str, **rest: Any) -> ModelArtifact:
    """`train_agent` with `beta` times the suite's exploration weight, at the beginning and at the end."""
    return train_agent(bonus=weighted(bonus, exploration, float(beta)), exploration=exploration, **rest)


def weighted(bonus: ParamsBlock, kind: str, factor: float) -> Json:
    """The settings of a bonus of this kind with its weights multiplied by `factor`."""
    own = EXPLORATION.get(kind).Config.model_validate(bonus)
    final = None if own.final_weight is None else factor * own.final_weight
    return {**bonus, "weight": factor * own.weight, "final_weight": final}


def evaluate_scoring(reward: ParamsBlock, *, model: str, scoring: str, **rest: Any) -> ModelArtifact:
    """`evaluate_reward` with the reward's `model` and `scoring` replaced."""
    return evaluate_reward({**reward, "model": model, "scoring": scoring}, model=model, **rest)
