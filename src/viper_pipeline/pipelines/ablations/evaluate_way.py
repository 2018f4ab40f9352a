"""Stage `evaluate_reward_way`: the reward of a video model that is scored in another way (docs/scoring.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.models.evaluate_reward import evaluate_reward
from viper_pipeline.training.artifacts import Directory


def evaluate_way(reward: Mapping[str, Any], *, model: str, way: str, **rest: Any) -> Directory:
    """As `evaluate_reward`; the suite's reward, were it by this model and in this way."""
    return evaluate_reward({**reward, "model": model, "way": way}, model=model, **rest)
