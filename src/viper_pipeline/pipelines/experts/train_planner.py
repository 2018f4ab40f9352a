"""Stage `train_oracle` of suites with a motion planner: nothing is learned (paper 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.oracles.planner import FORMAT, PlannerConfig
from viper_pipeline.training.artifacts import Directory


def train_planner(recipe: Mapping[str, Any], *, suite: str, task: str) -> Directory:
    """recipe: a PlannerConfig, which is all there is of this oracle."""
    config = PlannerConfig.model_validate(recipe)
    return Directory({"format": FORMAT, "suite": suite, "task": task, "recipe": config.model_dump()})
