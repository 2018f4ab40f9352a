"""`exploration`: no reward, so that the exploration bonus is all that an agent learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.rewards.base import RewardContext, RewardMethod, Settings


class ExplorationMethod(RewardMethod):
    """Shows what the bonus alone is worth: VIPER has to do better."""

    label = "exploration"
    color = "#E69F00"
    description = "the same agent, trained on the exploration bonus alone"
    seed_label = "exploration"

    def build(self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]) -> None:
        """Nothing: every reward is 0."""
        return None
