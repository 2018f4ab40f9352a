"""Stage `train_agent_beta`: the suite's viper agent with another weight of the exploration bonus (paper 4.4, Fig 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.pipelines.agents.train_agent_viper import train_agent_viper
from viper_pipeline.rewards.rnd import RNDConfig
from viper_pipeline.training.artifacts import Directory


def train_agent_beta(exploration: Mapping[str, Any], *, beta: float, **rest: Any) -> Directory:
    """As `train_agent_viper`; beta is a share of the suite's own weight, at the beginning and at the end."""
    return train_agent_viper(exploration=weighted(exploration, float(beta)), **rest)


def weighted(exploration: Mapping[str, Any], share: float) -> dict[str, Any]:
    """The bonus' settings with `share` times its weights."""
    own = RNDConfig.model_validate(exploration)
    final = None if own.final_weight is None else share * own.final_weight
    return {**exploration, "weight": share * own.weight, "final_weight": final}
