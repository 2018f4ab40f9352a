"""Every pipeline, built from the grid in params.yaml: suites, tasks, models, methods, agents, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.pipeline import Pipeline

from viper_pipeline.agents.base import AGENTS
from viper_pipeline.data.importers import IMPORTERS
from viper_pipeline.envs import SUITES
from viper_pipeline.rewards.base import EXPLORATION, REWARDS
from viper_pipeline.tokenizers import TOKENIZERS, TRAINABLE_TOKENIZERS
from viper_pipeline.video_models import VIDEO_MODELS

PLUGS = {
    "suite": SUITES,
    "tokenizer_kind": TOKENIZERS,
    "tokenizer_training": TRAINABLE_TOKENIZERS,
    "model": VIDEO_MODELS,
    "agent": AGENTS,
    "reward": REWARDS,
    "exploration": EXPLORATION,
}
"""Which registry a bound value of a node function is looked up in: a stage depends on the plug's code too."""
OPEN_PLUGS = {"viper_pipeline.tokenizers": TOKENIZERS, "viper_pipeline.data.importers": IMPORTERS}
"""Registries whose choice is made at run time: who imports one depends on all that it holds."""

NEUTRAL_PARAMS = {"runtime.workers"}
"""Parameters that say how a stage runs and change nothing that it makes: no part of its recipe."""


def build(params: Mapping[str, Any]) -> dict[str, Pipeline]:
    """One pipeline a suite, and `report` over the first one; the others end in a page of their own.

    So the first suite needs nothing of the others. A block `ablations` makes a pipeline beside them.
    """
    from viper_pipeline.pipelines.ablations import pipeline as ablations
    from viper_pipeline.pipelines.agents import pipeline as agents
    from viper_pipeline.pipelines.experts import pipeline as experts
    from viper_pipeline.pipelines.models import pipeline as models
    from viper_pipeline.pipelines.report import pipeline as report

    suites, seeds = params["suites"], params["seeds"]
    built = {
        name: experts.create(name, spec) + models.create(name, spec) + agents.create(name, spec, seeds)
        for name, spec in suites.items()
    }
    first, *others = suites
    for name in others:
        built[name] += report.create({name: suites[name]}, seeds, group=name, place=f"{name}/")
    if block := params.get("ablations"):
        built["ablations"] = ablations.create(block, suites[block["suite"]], seeds)
    return built | {"report": report.create({first: suites[first]}, seeds)}


def sources(params: Mapping[str, Any]) -> dict[str, str]:
    """Dataset name -> the file or folder of videos that params.yaml names for a task."""
    return {
        f"{suite}/{task}/source": dataset["path"]
        for suite, spec in params["suites"].items()
        for task, dataset in spec["datasets"].items()
    }


def check(params: Mapping[str, Any]) -> None:
    """Raise BadParams with one line a mistake."""
    from viper_pipeline.pipelines.params import validate

    validate(params)


def register_pipelines() -> dict[str, Pipeline]:
    """What Kedro calls."""
    from viper_pipeline.graph.project import project_root, read_params

    built = build(read_params(project_root() / "params.yaml"))
    return {"__default__": sum(built.values(), Pipeline([])), **built}
