"""`task_reward`: the environment's own reward, the oracle that the paper's figures compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from viper_pipeline.rewards.base import FrameShape, RewardContext, RewardMethod, Settings, StoredReward


class ScaledTaskReward(StoredReward):
    """The environment's reward times a number."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def step(self, frames: np.ndarray, true_rewards: np.ndarray) -> np.ndarray:
        """frames are not used; true_rewards (E,) -> rewards (E,) float32."""
        return (true_rewards * self.scale).astype(np.float32)


class TaskRewardMethod(RewardMethod):
    """The only method whose agents are trained on the true reward; it is the mean over the repeats of an action."""

    label = "oracle"
    color = "#555555"
    description = "the same agent, trained on the true reward"
    seed_label = "oracle"  # the method's former name, kept so that results do not change

    def build(
        self, context: RewardContext, settings: Settings | None, inputs: Mapping[str, Any]
    ) -> Callable[[FrameShape], Any]:
        """A reward of 1 per step of the simulator becomes 1 per action."""
        source = ScaledTaskReward(1 / context.frame_spec(context.task).action_repeat)
        return lambda shape: source
